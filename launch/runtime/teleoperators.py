"""What a person drives a rig with: a leader arm or its twin, looked at before any motor is on.

`--leader NAME[@DEV]`: NAME is a leader's embodiment (`so101_leader`, or the path of its file; the follower's
name stands for its leader), one of `JOG_DEVICES`, which have no pose, a teleoperator of another package by
its entry point (control/plugins.py), or `lerobot:TYPE`, one of LeRobot's. With a twin and without DEV the
leader is a twin too, moved by a hand that solves the scene's task (sim/twin/guiding_hand.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.calibration import Calibration, default_calibration, load_calibration
from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.plugins import TELEOPERATORS, has_plugin, load_plugin, plugin_names
from ideomotor.control.robots.drivers import ServoStatus, driver_of
from ideomotor.control.teleop.approach import ApproachLimits, far_apart
from ideomotor.control.teleop.leader_arm import LeaderArm, check_leads
from ideomotor.control.teleop.mirror import mirror
from ideomotor.control.teleop.teleoperator import Teleoperator
from ideomotor.launch.commands.session_options import comes_later
from ideomotor.launch.runtime.attempts import Helper
from ideomotor.launch.runtime.jog_devices import JOG_DEVICES
from ideomotor.launch.runtime.rig import TWIN_PRIORITY, Rig

if TYPE_CHECKING:
    from ideomotor.sim.twin.process import Twin


LEROBOT = "lerobot:"  # of `--leader lerobot:TYPE[@DEV]`


@dataclass(frozen=True)
class Leading:
    """A device that is there and whole.

    Attributes:
        rig: what is driven; with a leader's twin, whose hand knows when an attempt begins.
        make: the teleoperator, not connected; picklable.
        about: what it is, for people.
        pose: (A,) the follower's joints where the leader is [rad or m]; None: it has no pose.
        warnings: what is worth knowing.
        on_keys: takes the keys of the terminal that mean nothing to the session itself.
        inject: makes a fault of a leader's twin happen; None for a device that is there.
    """

    rig: Rig
    make: Callable[[], Teleoperator]
    about: str
    pose: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    inject: Callable[[str], None] | None = None
    on_keys: Callable[[str], None] | None = None

    def spoil(self, faults: Sequence[str]) -> None:
        """Makes those faults of a leader's twin happen that do not wait for the first tick."""
        if faults and self.inject is None:
            raise UserError("leader-fault: faults are those of a leader's twin, expected --twin without @DEV")
        for fault in faults:
            if self.inject and not comes_later(fault):
                self.inject(fault)

    def late(self, faults: Sequence[str]) -> tuple[Callable[[], None], ...]:
        """The others, to be called at the first tick."""
        inject = self.inject
        return tuple(functools.partial(inject, f) for f in faults if inject and comes_later(f))

    def check_near(self, embodiment: Embodiment, servos: Sequence[ServoStatus]) -> None:
        """UserError if the leader's pose is further from the follower's than an approach may be."""
        if self.pose is None:
            return
        position = np.array([servo.position for servo in servos])
        if far := far_apart(embodiment, ApproachLimits(), self.pose, position):
            raise UserError(f"leader: {far}")


@contextlib.contextmanager
def lead_by(
    spec: str, arm: str, embodiment: Embodiment, rig: Rig, help_after_s: float | None = None
) -> Generator[Leading]:
    """Looks at a device, with nothing written to it; it is there while the block runs.

    Args:
        spec: NAME[@DEV].
        arm: name of the leader arm, where there are several.
        embodiment: the follower.
        rig: what is driven.
        help_after_s: of an attempt, after which a twin's hand takes over; None: it never does.

    Raises:
        UserError: no such device, another robot's, not calibrated, on the follower's port, or not whole.
    """
    name, _, port = spec.partition("@")
    if name in JOG_DEVICES:
        with JOG_DEVICES[name](embodiment, port or None) as device:
            yield Leading(rig, device.make, device.about, on_keys=device.on_keys)
        return
    if name.startswith(LEROBOT) or _is_plugin(name):
        make = functools.partial(_from_package, name, embodiment, port or None)
        make()  # so that whatever is wrong with it is said now
        yield Leading(rig, make, f"{name}{f' at {port}' if port else ''}")
        return
    leader = _embodiment(name, embodiment)
    check_leads(leader, embodiment)
    if port:
        if os.path.realpath(port) == os.path.realpath(rig.port):
            raise UserError(f"leader: {port} is the follower's port too, expected another one")
        yield _looked_at(leader, port, load_calibration(leader, arm), embodiment, rig)
        return
    if rig.twin is None:
        raise UserError(
            f"leader: got {spec!r} without a device, expected e.g. {name}@/dev/ttyACM1 (ideomotor find-port)"
        )
    if rig.table is None:
        raise UserError(
            f"leader: the twin of {embodiment.name} has no world in which a hand could do something"
        )
    from ideomotor.sim.twin.process import Twin

    with Twin(name if _is_file(name) else leader.name, leads=rig.twin, priority=TWIN_PRIORITY) as twin:
        table = dataclasses.replace(rig.table, helper=_helper(twin, help_after_s))
        guided = dataclasses.replace(rig, table=table)
        found = _looked_at(leader, twin.port, default_calibration(leader), embodiment, guided)
        yield dataclasses.replace(found, inject=twin.inject)


def _is_plugin(name: str) -> bool:
    return not _is_file(name) and name not in embodiment_names() and has_plugin(TELEOPERATORS, name)


def _from_package(name: str, embodiment: Embodiment, port: str | None) -> Teleoperator:
    """The teleoperator of another package; called in the process that uses it.

    Raises:
        UserError: there is none, it refuses, or lacks a method.
    """
    if name.startswith(LEROBOT):
        from ideomotor.control.robots.lerobot_leader import LerobotLeader

        return LerobotLeader(name.removeprefix(LEROBOT), embodiment, port)
    made = load_plugin(TELEOPERATORS, name)(embodiment, port)
    methods = ("connect", "read", "disconnect")
    if missing := [each for each in methods if not callable(getattr(made, each, None))]:
        raise UserError(f"leader: {name} has no {', '.join(missing)}, expected {', '.join(methods)}")
    return made


def _looked_at(
    leader: Embodiment, port: str, calibration: Calibration, follower: Embodiment, rig: Rig
) -> Leading:
    driver = driver_of(leader)
    for difference in driver.differences(leader, port, calibration):
        if difference.setting.counts:
            raise UserError(
                f"leader: {difference}: another program left it, and positions mean something else with it; "
                f"ideomotor calibrate {leader.name} resets it"
            )
    servos = driver.inspect(leader, port, calibration)
    if on := [servo.joint for servo in servos if servo.motor_on]:
        raise UserError(
            f"leader: the motors of {', '.join(on)} are on, expected an arm that a hand can move: "
            f"ideomotor release {leader.name} --port {port}"
        )
    how = mirror(leader, follower)
    slow = max(servo.return_delay_us for servo in servos)
    return Leading(
        rig=rig,
        make=functools.partial(LeaderArm, leader, port, calibration, follower),
        about=f"{leader.name} at {port}, {min(servo.voltage for servo in servos):.1f} V",
        pose=how.follower(np.array([servo.position for servo in servos])),
        warnings=(f"leader: its servos wait {slow} µs before they answer: setup-motors sets that to 0",)
        if slow
        else (),
    )


def _helper(twin: Twin, after_s: float | None) -> Helper:
    def solve() -> None:
        twin.guide("solve")

    def home() -> None:
        twin.guide("home")

    return Helper(after_s, solve, home)


def _embodiment(name: str, follower: Embodiment) -> Embodiment:
    """The leader's; a follower's own name stands for its leader."""
    if not _is_file(name) and f"{name}_leader" in embodiment_names():
        name = f"{name}_leader"
    if not _is_file(name) and name not in embodiment_names():
        leaders = [known for known in embodiment_names() if load_embodiment(known).leads]
        expected = ", ".join([*leaders, *JOG_DEVICES, *plugin_names(TELEOPERATORS)])
        raise UserError(f"leader: unknown name {name!r}, expected one of {expected}, or the path of a file")
    return load_embodiment(name)


def _is_file(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))
