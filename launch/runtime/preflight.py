"""What is looked at before a motor gets torque: servos, calibration, cameras, policy, start pose.

Whatever is missing or wrong is a `UserError`; what is merely worth knowing is a warning in the report.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import shielded
from ideomotor.control.robots.drivers import ServoStatus
from ideomotor.control.runtime.seqlock import Follower
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState
from ideomotor.control.runtime.starting import START_S
from ideomotor.control.runtime.supervisor import Job
from ideomotor.launch.runtime.rig import Rig

MEASURE_S = 1.0  # that frame rates are measured for
LEAST_SHARE = 0.8  # of a camera's rate, below which there is a warning
FAR_RAD = 0.35  # from the home pose, above which there is a warning


@dataclass(frozen=True)
class CameraReport:
    """One camera as it is."""

    name: str
    source: str
    hz: float  # measured
    expected_hz: float


@dataclass(frozen=True)
class Preflight:
    """Everything that was looked at."""

    robot: str
    protocol: str
    port: str
    calibration: str  # its file
    calibrated_at: str
    servos: list[ServoStatus]
    cameras: list[CameraReport]
    policy: str
    trained_on: str
    instruction: str
    limits: list[dict[str, Any]]  # of each joint
    far_from_home: float  # the joint that is furthest [rad or m]
    warnings: list[str]
    person: str  # what a person drives with; empty: nobody does
    arms: list[str]  # of a robot that is made of several


def preflight(
    embodiment: Embodiment,
    rig: Rig,
    servos: list[ServoStatus],
    cameras: list[CameraReport],
    policy: str,
    trained_on: str = "",
    others: Sequence[str] = (),
    person: str = "",
) -> Preflight:
    """Puts the report together. Everything in it has passed its own checks already.

    Args:
        policy: who drives, in words.
        trained_on: fingerprint of the policy's data; empty where nothing was trained.
        others: warnings that were found before.
        person: what a person drives with.
    """
    position = np.array([servo.position for servo in servos])
    away = np.abs(position - embodiment.home_position)
    furthest = int(np.nan_to_num(away, nan=-1.0).argmax())
    warnings = [
        f"camera {camera.name}: {camera.hz:.1f} pictures a second, expected {camera.expected_hz:g}"
        for camera in cameras
        if camera.hz < LEAST_SHARE * camera.expected_hz
    ]
    warnings += [f"camera {name}: {mode.difference}" for name, mode in rig.modes.items() if mode.difference]
    if np.isnan(away).any():
        warnings.append("start pose: its driver tells positions only once the motors are on")
    if away[furthest] > FAR_RAD:
        joint = embodiment.joints[furthest]
        warnings.append(
            f"start pose: {joint.name} is {away[furthest]:.2f} {joint.unit} away from the home pose, where "
            "policies usually start"
        )
    warnings += others
    if on := [servo.joint for servo in servos if servo.motor_on]:
        warnings.append(f"motors are on already: {', '.join(on)}")
    limits = [
        {
            "joint": joint.name,
            "unit": joint.unit,
            "lower": joint.lower,
            "upper": joint.upper,
            "max_velocity": joint.max_velocity,
            "max_effort": joint.max_effort,
        }
        for joint in embodiment.joints
    ]
    robots = [arm.embodiment for arm in embodiment.arms] or [embodiment]
    kinds = [robot.bus.protocol for robot in robots if robot.bus]
    kind = " and ".join(dict.fromkeys(kinds)) or (embodiment.driver and embodiment.driver.name)
    return Preflight(
        robot=embodiment.name,
        protocol=kind or "",
        port=rig.port,
        calibration=str(rig.calibration_file),
        calibrated_at=rig.calibration.made_at,
        servos=servos,
        cameras=cameras,
        policy=policy,
        trained_on=trained_on,
        instruction=rig.instruction,
        limits=limits,
        far_from_home=float(away[furthest]),
        warnings=warnings,
        person=person,
        arms=[arm.name for arm in embodiment.arms],
    )


def unlike_a_launch(servos: Sequence[ServoStatus], embodiment: Embodiment) -> list[str]:
    """Says why rates and lateness of a dry run are not those of a launch, which sets return delays to 0."""
    slow = {servo.joint: servo.return_delay_us for servo in servos if servo.return_delay_us}
    if not slow:
        return []
    # In a tick all servos of a line answer, and one of them a second time; the lines of a pair do so at once.
    lines = [arm.prefix for arm in embodiment.arms] or [""]
    delays = [[wait for joint, wait in slow.items() if joint.startswith(line)] for line in lines]
    wait_ms = max(sum(line) + max(line, default=0) for line in delays) / 1000
    return [
        f"return delay: {max(slow.values())} µs in {', '.join(slow)}, which a launch sets to 0 and a dry run "
        f"leaves: its ticks take {wait_ms:.1f} ms longer, so its rate and lateness are not those of a launch"
    ]


def tables(found: Preflight) -> Group:
    """The report for people."""
    about = Table(box=None, show_header=False, pad_edge=False, title="Pre-flight", title_justify="left")
    about.add_column(style="bold", no_wrap=True)
    about.add_column()
    about.add_row("robot", f"{found.robot}, {found.protocol} bus at {found.port}")
    about.add_row("calibration", f"{found.calibration}, made {found.calibrated_at}")
    trained = f", trained on data {found.trained_on}" if found.trained_on else ""
    if found.policy:
        about.add_row("policy", f"{found.policy}{trained}")
    if found.person:
        about.add_row("leader", found.person)
    about.add_row("instruction", found.instruction)
    for camera in found.cameras:
        about.add_row("camera", f"{camera.name} ({camera.source}), {camera.hz:.1f} pictures a second")
    far = f"at most {found.far_from_home:.2f} rad away from the home pose"
    about.add_row("start pose", _known(found.far_from_home, far, "not known"))
    for warning in found.warnings:
        about.add_row("warning", warning)
    return Group(about, *(_servos(found, f"{arm}_") for arm in found.arms or [""]))


def _servos(found: Preflight, prefix: str) -> Table:
    """The servos of the robot, or of the one of its arms whose joints have a prefix."""
    title = f"{prefix.removesuffix('_')} arm" if found.arms else None
    servos = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for heading in ("joint", "id", "model", "supply", "motor", "position", "range", "speed"):
        servos.add_column(heading, no_wrap=True)
    for servo, limit in zip(found.servos, found.limits, strict=True):
        if found.arms and not servo.joint.startswith(prefix):
            continue
        heat = _known(servo.temperature, f", {servo.temperature:.0f} °C", "")
        servos.add_row(
            servo.joint.removeprefix(prefix),
            str(servo.id),
            f"{servo.model} {servo.firmware}",
            _known(servo.voltage, f"{servo.voltage:.1f} V"),
            f"{'on' if servo.motor_on else 'off'}{heat}",
            _known(servo.position, f"{servo.position:+.2f} {limit['unit']}"),
            f"{limit['lower']:+.2f}..{limit['upper']:+.2f}",
            f"{limit['max_velocity']:g}",
        )
    return servos


def _known(value: float, shown: str, otherwise: str = "-") -> str:
    """What is shown of a value that not every driver knows."""
    return otherwise if np.isnan(value) else shown


def measure_cameras(
    shared: SharedState, job: Job, embodiment: Embodiment, sources: dict[str, str]
) -> list[CameraReport]:
    """Runs the process of the cameras for a moment, as it will run later, and counts each one's pictures.

    Args:
        sources: {camera: what it is}, for the report.

    Raises:
        UserError: it ends by itself, or a camera gives nothing.
    """
    process = multiprocessing.get_context("spawn").Process(target=job.target, args=job.args, daemon=True)
    with shielded():
        process.start()
    row = shared.heartbeats[HEARTBEATS.index(job.role)]
    times: dict[str, set[float]] = {camera.name: set() for camera in embodiment.cameras}
    try:
        until = time.monotonic() + START_S
        while row[0] != process.pid:
            if process.exitcode is not None or time.monotonic() > until:
                raise UserError(f"{job.role}: their process did not start (exit code {process.exitcode})")
            time.sleep(0.01)
        frames = Follower(shared.frames)
        frames.new()
        began = time.monotonic()
        while time.monotonic() - began < MEASURE_S:
            time.sleep(0.01)
            for record in frames.new():
                for name, at in zip(times, record["times"], strict=True):
                    times[name].add(float(at))
    finally:
        process.kill()
        process.join()
        row[:] = 0
    reports = []
    for camera in embodiment.cameras:
        seen = sorted(times[camera.name] - {0.0})
        if not seen:
            raise UserError(f"camera: {camera.name}: no picture within {MEASURE_S:g} s")
        hz = (len(seen) - 1) / (seen[-1] - seen[0]) if len(seen) > 1 else 1 / MEASURE_S
        reports.append(CameraReport(camera.name, sources[camera.name], hz, camera.hz))
    return reports
