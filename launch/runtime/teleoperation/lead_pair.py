"""The two leaders of a robot of two arms: `--leader so101_leader@left=/dev/ttyACM2,right=/dev/ttyACM3`.

NAME is the leader of both, or the pair's own name, which stands for the leader of each of its arms. With
twins and without devices both leaders are twins too, with which simulated hands wave: there is no world in
which they could do something.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Generator, Mapping

import numpy as np

from ideomotor.control.calibration import Calibration, arm_name, default_calibration, load_calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.pair import split_ports
from ideomotor.control.robots.pair_arm import said_of
from ideomotor.control.teleop.leader_arm import LeaderArm, check_leads
from ideomotor.control.teleop.leader_pair import LeaderPair
from ideomotor.launch.runtime.rig import TWIN_PRIORITY, Rig
from ideomotor.launch.runtime.teleoperation.leaders import Leading, is_file, leader_named, looked_at

EXAMPLE = "left=/dev/ttyACM2,right=/dev/ttyACM3"


@contextlib.contextmanager
def lead_pair(name: str, ports: str, pair: str, embodiment: Embodiment, rig: Rig) -> Generator[Leading]:
    """Looks at both leaders, with nothing written to them; they are there while the block runs.

    Args:
        name: of the leader of both arms, or the follower's own.
        ports: "left=DEV,right=DEV"; empty: twins.
        pair: name of the pair of leaders, where there are several.
        embodiment: the follower.
        rig: what is driven.

    Raises:
        UserError: as `lead_by`, with the side.
    """
    leaders = {}
    for arm in embodiment.arms:
        own = arm.robot if name == embodiment.name else name
        leaders[arm.name] = leader_named(own, arm.embodiment)
        said_of(arm.name, functools.partial(check_leads, leaders[arm.name], arm.embodiment))
    if ports:
        devices = split_ports(ports, "leader")
        used = {os.path.realpath(port) for port in split_ports(rig.port).values()}
        if shared := [port for port in devices.values() if os.path.realpath(port) in used]:
            raise UserError(f"leader: {shared[0]} is a follower's port too, expected another one")
        calibrations = {
            arm: said_of(arm, functools.partial(load_calibration, leader, arm_name(arm, pair)))
            for arm, leader in leaders.items()
        }
        yield _looked_at(leaders, devices, calibrations, embodiment, rig)
        return
    if rig.twin is None:
        raise UserError(f"leader: got {name!r} without devices, expected e.g. {name}@{EXAMPLE}")
    from ideomotor.sim.twin.pair import PairTwin

    robots = {arm: name if is_file(name) else leader.name for arm, leader in leaders.items()}
    with PairTwin(robots, hand="wave", priority=TWIN_PRIORITY) as twins:
        calibrations = {arm: default_calibration(leader) for arm, leader in leaders.items()}
        found = _looked_at(leaders, split_ports(twins.port), calibrations, embodiment, rig)
        yield dataclasses.replace(found, inject=twins.inject)


def _looked_at(
    leaders: Mapping[str, Embodiment],
    devices: Mapping[str, str],
    calibrations: Mapping[str, Calibration],
    follower: Embodiment,
    rig: Rig,
) -> Leading:
    found: dict[str, Leading] = {}
    makes: dict[str, Callable[[], LeaderArm]] = {}
    for arm in follower.arms:
        own = leaders[arm.name], devices[arm.name], calibrations[arm.name], arm.embodiment
        found[arm.name] = said_of(arm.name, functools.partial(looked_at, *own, rig))
        makes[arm.name] = functools.partial(LeaderArm, *own)
    poses = [each.pose for each in found.values() if each.pose is not None]
    return Leading(
        rig=rig,
        make=functools.partial(_make, follower, makes),
        about="; ".join(f"{arm} {each.about}" for arm, each in found.items()),
        pose=np.concatenate(poses),
        warnings=tuple(f"{arm} {said}" for arm, each in found.items() for said in each.warnings),
    )


def _make(follower: Embodiment, makes: Mapping[str, Callable[[], LeaderArm]]) -> LeaderPair:
    """The teleoperator, in the process that uses it."""
    return LeaderPair(follower, {arm: make() for arm, make in makes.items()})
