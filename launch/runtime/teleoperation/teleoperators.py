"""What a person drives a rig with: a leader arm or its twin, looked at before any motor is on.

`--leader NAME[@DEV]`: NAME is a leader's embodiment (`so101_leader`, or the path of its file; the follower's
name stands for its leader), one of `JOG_DEVICES`, which have no pose, a teleoperator of another package by
its entry point (control/plugins.py), or `lerobot:TYPE`, one of LeRobot's. With a twin and without DEV the
leader is a twin too, moved by a hand that solves the scene's task (sim/twin/guiding_hand.py). A robot of two
arms has two leaders (launch/runtime/teleoperation/lead_pair.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Generator
from typing import TYPE_CHECKING

from ideomotor.control.calibration import default_calibration, load_calibration
from ideomotor.control.embodiment import Embodiment, embodiment_names
from ideomotor.control.errors import UserError
from ideomotor.control.plugins import TELEOPERATORS, has_plugin, load_plugin
from ideomotor.control.teleop.teleoperator import Teleoperator
from ideomotor.launch.runtime.attempts import Helper
from ideomotor.launch.runtime.rig import TWIN_PRIORITY, Rig
from ideomotor.launch.runtime.teleoperation.jog_devices import JOG_DEVICES
from ideomotor.launch.runtime.teleoperation.lead_pair import lead_pair
from ideomotor.launch.runtime.teleoperation.leaders import (
    Leading,
    is_file,
    leader_named,
    leads_by_tip,
    looked_at,
    split_scale,
)

if TYPE_CHECKING:
    from ideomotor.sim.twin.process import Twin


LEROBOT = "lerobot:"  # of `--leader lerobot:TYPE[@DEV]`


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
    if embodiment.arms:
        if help_after_s:
            raise UserError(f"help-after: {embodiment.name} has no world in which a hand could help")
        with lead_pair(name, port, arm, embodiment, rig) as pair:
            yield pair
        return
    leader = leader_named(name, embodiment)
    port, scale = split_scale(port)
    by_tip = leads_by_tip(leader, embodiment)
    if scale is not None and not by_tip:
        raise UserError(f"leader: scale: {leader.name} leads joint by joint, expected none")
    scale = (scale or 1.0) if by_tip else None
    if port:
        if os.path.realpath(port) == os.path.realpath(rig.port):
            raise UserError(f"leader: {port} is the follower's port too, expected another one")
        yield looked_at(leader, port, load_calibration(leader, arm), embodiment, rig, scale)
        return
    from ideomotor.sim.twin.process import Twin

    if not isinstance(rig.twin, Twin):
        raise UserError(
            f"leader: got {spec!r} without a device, expected e.g. {name}@/dev/ttyACM1 (ideomotor find-port)"
        )
    if by_tip:
        with Twin(name if is_file(name) else leader.name, priority=TWIN_PRIORITY) as twin:
            twin.inject("hand wave")  # it has not the joints to do what somebody would do here
            found = looked_at(leader, twin.port, default_calibration(leader), embodiment, rig, scale)
            yield dataclasses.replace(found, inject=twin.inject)
        return
    if rig.table is None:
        raise UserError(
            f"leader: the twin of {embodiment.name} has no world in which a hand could do something"
        )
    with Twin(name if is_file(name) else leader.name, leads=rig.twin, priority=TWIN_PRIORITY) as twin:
        table = dataclasses.replace(rig.table, helper=_helper(twin, help_after_s))
        guided = dataclasses.replace(rig, table=table)
        found = looked_at(leader, twin.port, default_calibration(leader), embodiment, guided)
        yield dataclasses.replace(found, inject=twin.inject)


def _is_plugin(name: str) -> bool:
    return not is_file(name) and name not in embodiment_names() and has_plugin(TELEOPERATORS, name)


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


def _helper(twin: Twin, after_s: float | None) -> Helper:
    def solve() -> None:
        twin.guide("solve")

    def home() -> None:
        twin.guide("home")

    return Helper(after_s, solve, home)
