"""`ideomotor calibrate ROBOT --compare LEADER@DEV`: whether a leader and its follower agree on their joints.

Somebody holds both arms alike at three poses; their motors are off. Where they differ by the same everywhere,
the leader's calibration file is put right after a yes. Nothing is ever written to a servo.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rich.table import Table

from ideomotor.control.calibration import (
    Calibration,
    calibration_path,
    default_calibration,
    load_calibration,
    save_calibration,
)
from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.bring_up import survey
from ideomotor.control.robots.drivers import opened
from ideomotor.control.teleop.compare_arms import POSES, JointDifference, corrected, differences, read_pose
from ideomotor.control.teleop.leader_arm import check_leads
from ideomotor.launch.commands.bring_up.calibration_person import TerminalPerson
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.sim.twin.process import Twin

TWIN_OFF = 194  # [counts] (17°) that the elbow of a leader's twin is mounted off, so that there is something
WHERE = ("about the middle of its range", "well to one side of it", "well to the other side")


class BothArms(Protocol):
    """Who holds both arms, and answers."""

    def hold(self, request: str, pose: int) -> None:
        """Returns when both are held alike in the pose of that number, from 0."""
        ...

    def agrees(self, question: str) -> bool: ...


@dataclass(frozen=True)
class Pair:
    """Two arms, each on a port of its own."""

    follower: Embodiment
    follower_port: str
    follower_calibration: Calibration
    leader: Embodiment
    leader_port: str
    leader_calibration: Calibration


class AtTerminal:
    """Somebody at a terminal."""

    def __init__(self, output: Output) -> None:
        self._person = TerminalPerson(output)

    def hold(self, request: str, pose: int) -> None:
        self._person.ready(request)

    def agrees(self, question: str) -> bool:
        return self._person.agrees(question)


class TwinHands:
    """The hands of two twins, whose owner agrees to everything."""

    def __init__(self, twins: tuple[Twin, Twin], output: Output, agree: bool = True) -> None:
        self._twins, self._output, self._agree = twins, output, agree

    def hold(self, request: str, pose: int) -> None:
        self._output.text.print(f"\n{request} (simulated hands do it)")
        for twin in self._twins:
            twin.inject(f"hand {('middle', 'lazy', 'other')[pose]} 3")
        time.sleep(1.0)

    def agrees(self, question: str) -> bool:
        self._output.text.print(f"\n{question} ({'yes' if self._agree else 'no'})")
        return self._agree


def compare_arms(
    robot: str, port: str | None, arm: str, leader: str, leader_arm: str, twin: bool, output: Output
) -> int:
    """Runs the dialogue; 0 if the arms agree, now or before, 1 if they do not.

    Args:
        leader: NAME[@DEV].

    Raises:
        UserError: an arm is missing, not calibrated, not whole, or its motors are on.
    """
    follower = load_embodiment(robot)
    name, _, leader_port = leader.partition("@")
    leading = load_embodiment(name)
    check_leads(leading, follower)
    if twin:
        with _twins(robot, name, len(leading.joints)) as twins:
            known = default_calibration(follower), default_calibration(leading)
            pair = Pair(follower, twins[0].port, known[0], leading, twins[1].port, known[1])
            return dialogue(pair, "twin", TwinHands(twins, output), output)
    if port is None or not leader_port:
        raise UserError(
            f"compare: expected both arms, e.g. --port /dev/ttyACM0 --compare {name}@/dev/ttyACM1, or --twin"
        )
    if os.path.realpath(port) == os.path.realpath(leader_port):
        raise UserError(f"compare: {leader_port} is the follower's port too, expected another one")
    if not sys.stdin.isatty():
        raise UserError("standard input: expected a terminal, since comparing is a dialogue (or use --twin)")
    known = load_calibration(follower, arm), load_calibration(leading, leader_arm)
    pair = Pair(follower, port, known[0], leading, leader_port, known[1])
    return dialogue(pair, leader_arm, AtTerminal(output), output)


def dialogue(pair: Pair, leader_arm: str, person: BothArms, output: Output) -> int:
    """Asks for each pose; writes the leader's calibration file only after a yes."""
    poses = []
    with (
        opened(pair.follower, pair.follower_port) as follower,
        opened(pair.leader, pair.leader_port) as leader,
    ):
        for embodiment, port, (line, family, layout) in (
            (pair.follower, pair.follower_port, follower),
            (pair.leader, pair.leader_port, leader),
        ):
            if on := [report.servo.joint for report in survey(line, family, layout) if report.torque]:
                raise UserError(
                    f"compare: the motors of {', '.join(on)} of {embodiment.name} are on, expected arms that "
                    f"hands can move: ideomotor release {embodiment.name} --port {port}"
                )
        for pose in range(POSES):
            person.hold(
                f"Pose {pose + 1} of {POSES}: hold both arms alike, every joint {WHERE[pose]}, and still.",
                pose,
            )
            led = read_pose(*leader, pair.leader_calibration)
            poses.append((led, read_pose(*follower, pair.follower_calibration)))
    found = differences(pair.leader, pair.follower, poses)
    output.text.print(_table(found))
    for each in found:
        if each.differs:
            output.text.print(str(each), markup=False)
    offsets, uneven = [e for e in found if e.is_offset], [e for e in found if e.differs and not e.is_offset]
    path, written = calibration_path(pair.leader.name, leader_arm), False
    if offsets and not uneven:
        made = corrected(pair.leader_calibration, pair.leader, offsets)
        joints = ", ".join(each.joint for each in offsets)
        if written := person.agrees(f"Correct {joints} in the leader's calibration {path}?"):
            save_calibration(
                Calibration(made.robot, leader_arm, time.strftime("%Y-%m-%d %H:%M:%S"), made.joints), path
            )
    output.result(_as_json(pair, found, [e.joint for e in offsets] if written else [], str(path)))
    if not offsets and not uneven:
        output.text.print("The arms agree.")
    else:
        output.text.print(f"Written to {path}." if written else "Nothing was written.", markup=False)
    return 0 if written or not (offsets or uneven) else 1


@contextlib.contextmanager
def _twins(follower: str, leader: str, joints: int) -> Iterator[tuple[Twin, Twin]]:
    from ideomotor.sim.twin.process import Twin

    off = tuple(TWIN_OFF * (i == 2) for i in range(joints))
    with Twin(follower) as first, Twin(leader, off) as second:
        yield first, second


def _table(found: list[JointDifference]) -> Table:
    table = Table("joint", *(f"pose {i + 1}" for i in range(POSES)), "is", box=None, pad_edge=False)
    for each in found:
        shown = [
            f"{1000 * d:+.1f} mm" if each.unit == "m" else f"{math.degrees(d):+.1f}°"
            for d in each.differences
        ]
        table.add_row(each.joint, *shown, "off" if each.is_offset else "uneven" if each.differs else "alike")
    return table


def _as_json(pair: Pair, found: list[JointDifference], written: list[str], path: str) -> dict[str, Any]:
    rows = [
        {
            "joint": each.joint,
            "unit": each.unit,
            "differences": list(each.differences),
            "differs": each.differs,
            "offset": each.offset if each.is_offset else None,
        }
        for each in found
    ]
    return {
        "robot": pair.follower.name,
        "leader": pair.leader.name,
        "joints": rows,
        "corrected": written,
        "path": path,
    }
