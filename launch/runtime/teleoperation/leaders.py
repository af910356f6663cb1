"""A leader that is there and whole, and the leader arm that a name means."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ideomotor.control.calibration import Calibration
from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.plugins import TELEOPERATORS, plugin_names
from ideomotor.control.robots.drivers import ServoStatus, driver_of
from ideomotor.control.teleop.approach import ApproachLimits, far_apart
from ideomotor.control.teleop.leader_arm import LeaderArm, check_leads
from ideomotor.control.teleop.mirror import mirror
from ideomotor.control.teleop.teleoperator import Teleoperator
from ideomotor.control.teleop.tip_leader import SCALES, TipLeader, check_tips
from ideomotor.launch.commands.session_options import comes_later
from ideomotor.launch.runtime.rig import Rig
from ideomotor.launch.runtime.teleoperation.jog_devices import JOG_DEVICES


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


def leads_by_tip(leader: Embodiment, follower: Embodiment) -> bool:
    """Whether an arm leads another one by its tip, having other joints; not: joint by joint.

    Raises:
        UserError: it can do neither.
    """
    try:
        check_leads(leader, follower)
        return False
    except UserError as error:
        if not leader.leads or follower.arms:
            raise
        lacking = [robot.name for robot in (leader, follower) if robot.geometry is None]
        if lacking:
            files = " and ".join(f"that of {name}" for name in lacking)
            raise UserError(
                f"{error}, or the section geometry (links and tip, as so101.yaml has it) in {files}: the "
                "leader's tip then leads the arm's"
            ) from error
    check_tips(leader, follower)
    return True


def looked_at(
    leader: Embodiment,
    port: str,
    calibration: Calibration,
    follower: Embodiment,
    rig: Rig,
    scale: float | None = None,
) -> Leading:
    """A leader arm that is there, with nothing written to it.

    Args:
        scale: of the follower's way, where the leader's tip leads; None: it leads joint by joint.

    Raises:
        UserError: it is not whole, or its motors are on.
    """
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
    slow = max(servo.return_delay_us for servo in servos)
    about = f"{leader.name} at {port}, {min(servo.voltage for servo in servos):.1f} V"
    make, pose = functools.partial(LeaderArm, leader, port, calibration, follower), None
    if scale is None:
        pose = mirror(leader, follower).follower(np.array([servo.position for servo in servos]))
    else:
        make = functools.partial(TipLeader, leader, port, calibration, follower, scale)
        about += f", its tip leads {follower.name}'s, {scale:g} times its way"
    return Leading(
        rig=rig,
        make=make,
        about=about,
        pose=pose,
        warnings=(f"leader: its servos wait {slow} µs before they answer: setup-motors sets that to 0",)
        if slow
        else (),
    )


def leader_named(name: str, follower: Embodiment) -> Embodiment:
    """The leader's; a follower's own name stands for its leader."""
    if not is_file(name) and f"{name}_leader" in embodiment_names():
        name = f"{name}_leader"
    if not is_file(name) and name not in embodiment_names():
        leaders = [known for known in embodiment_names() if load_embodiment(known).leads]
        expected = ", ".join([*leaders, *JOG_DEVICES, *plugin_names(TELEOPERATORS)])
        raise UserError(f"leader: unknown name {name!r}, expected one of {expected}, or the path of a file")
    return load_embodiment(name)


def is_file(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def split_scale(port: str) -> tuple[str, float | None]:
    """(DEV, scale) of "DEV,scale=0.5"; `UserError` for one that is none."""
    device, comma, text = port.partition(",scale=")
    if not comma:
        return port, None
    try:
        scale = float(text)
    except ValueError:
        scale = float("nan")
    if not SCALES[0] <= scale <= SCALES[1]:
        raise UserError(f"leader: scale: got {text!r}, expected {SCALES[0]:g} to {SCALES[1]:g}")
    return device, scale
