"""The command line of `ideomotor record`: of scripted experts (`RecordOptions`), or of a person on an arm."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro

from ideomotor.control.calibration import USUAL_ARM
from ideomotor.control.errors import UserError
from ideomotor.launch.commands.record.options import RecordOptions


@dataclass(frozen=True)
class ByPersonOptions:
    """Records what a person does with an arm, or with its twin."""

    robot: str
    leader: str | None
    instruction: str | None
    episodes: int
    out: Path
    resume: bool
    port: str | None
    arm: str
    leader_arm: str
    camera: tuple[str, ...]
    twin: bool
    task: str
    seed: int
    rearrange: bool
    episode_seconds: float | None
    reset_seconds: float | None
    yes: bool
    speed: float
    countdown: float
    sound: bool
    view: str | None
    max_seconds: float | None
    floor: bool
    fault: tuple[str, ...]
    leader_fault: tuple[str, ...]
    json: Path | None
    log: Path | None = None  # a recording has none but itself


@dataclass(frozen=True, kw_only=True)
class RecordArguments(RecordOptions):
    """Records demonstrations to a LeRobot v3 dataset: of the scripted experts (give tasks), or of a person
    who drives an arm with a leader (give --leader, or --twin to rehearse it)."""

    tasks: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TASK...")] = ()
    """tasks for the experts, of `ideomotor tasks`; `all` of them"""

    leader: Annotated[str | None, tyro.conf.arg(metavar="NAME[@DEV]")] = None
    """what a person drives with, e.g. so101_leader@/dev/ttyACM1; with --twin its twin by default"""

    instruction: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """a person: what they do, in words; with --twin the scene's own by default"""

    port: Annotated[str | None, tyro.conf.arg(metavar="DEV")] = None
    """a person: serial device of the arm's servo adapter, e.g. /dev/ttyACM0"""

    camera: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=INDEX|PATH")] = ()
    """a person: where the robot's cameras are; those that are left out are not recorded"""

    episode_seconds: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """a person: an episode is done after so long; otherwise → says so"""

    reset_seconds: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """a person: the next episode begins so long after one; otherwise → says so"""

    twin: bool = False
    """both arms simulated; a scripted hand solves --task with the leader"""

    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = "lift"
    """the twin's scene, one of `ideomotor tasks`"""

    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """of the twin's scene"""

    rearrange: bool = False
    """the twin's things come to other spots before each episode"""

    arm: str = USUAL_ARM
    """a person: name of the arm, if there are several of its kind"""

    leader_arm: str = USUAL_ARM
    """a person: name of the leader arm, if there are several of its kind"""

    yes: bool = False
    """a person: reset what another program left in the arm's servos without asking"""

    speed: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 1.0
    """a person: the joints' highest speed, as a share"""

    countdown: Annotated[float, tyro.conf.arg(metavar="S")] = 3.0
    """a person: seconds between everything being ready and torque on"""

    view: Annotated[str | None, tyro.conf.arg(metavar="rerun|URL|FILE.rrd")] = None
    """a person: show pictures and joints in Rerun meanwhile (extra `rerun`)"""

    sound: bool = False
    """a person: say when an episode begins, is saved or dropped (spd-say, espeak-ng or say; else the bell)"""

    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """a person: end after so long, whatever is recorded by then"""

    floor: bool = False
    """a person: measure beside it how late an empty loop is on this machine; needs --max-seconds"""

    fault: tuple[str, ...] = ()
    """faults of the arm's twin, as `ideomotor twin` has them; at=S counts from the first tick"""

    leader_fault: tuple[str, ...] = ()
    """faults of the leader's twin"""


def meant(arguments: RecordArguments) -> RecordOptions | ByPersonOptions:
    """What is to be recorded.

    Raises:
        UserError: options of both kinds.
    """
    experts = {field.name for field in fields(RecordOptions)}
    person = {field.name for field in fields(ByPersonOptions)} - {"log"}
    by_person = arguments.leader is not None or arguments.twin or arguments.port is not None
    mine, others = (person, experts - person) if by_person else (experts, person - experts)
    why = (
        "is of what scripted experts do, not with --leader, --twin or --port"
        if by_person
        else "is of what a person does, expected --leader (or --twin) with it"
    )
    for field in fields(arguments):
        if field.name in others and getattr(arguments, field.name) != field.default:
            raise UserError(f"{field.name.replace('_', '-')}: {why}")
    kind = ByPersonOptions if by_person else RecordOptions
    return kind(**{name: getattr(arguments, name) for name in mine})
