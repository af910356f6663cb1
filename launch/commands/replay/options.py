"""The options of `ideomotor replay`, and which scene they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ideomotor.control.calibration import USUAL_ARM
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.loading.trajectory import Trajectory

TASK, SEED, LEVEL = "lift", 1, "light"  # of a scene that the recording says nothing of


@dataclass(frozen=True)
class ReplayOptions:
    """Plays an episode of a dataset on an arm, on its twin, or in simulation."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """folder of a LeRobot dataset, v2.0 to v3.0"""

    episode: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """which of its episodes, counted from 0"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "so101"
    """name of the robot, or the path of its embodiment file"""

    port: Annotated[str | None, tyro.conf.arg(metavar="DEV")] = None
    """serial device of the servo adapter, e.g. /dev/ttyACM0"""

    twin: bool = False
    """a simulated arm behind a serial port instead of a real one"""

    sim: bool = False
    """in simulation, tick by tick, as fast as it goes and always the same"""

    speed: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 1.0
    """how fast it is played, as a share: begin with 0.3"""

    map: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOURCE=TARGET")]] = ()
    """which of the data's joints is which of the robot's, as for `ideomotor train`, e.g. action=action:deg"""

    task: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = None
    """scene of the twin or the simulation; by default the recorded one, where the data says so, or lift"""

    seed: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """of the scene; by default the recorded one, or 1"""

    camera: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=INDEX|PATH")] = ()
    """cameras for the log, if you want pictures in it"""

    yes: bool = False
    """reset what another program left in the servos without asking"""

    countdown: Annotated[float, tyro.conf.arg(metavar="S")] = 3.0
    """seconds between everything being ready and torque on; Ctrl-C gives up"""

    arm: str = USUAL_ARM
    """name of this arm, if you have several of its kind"""

    log: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder for the log, a dataset; by default one with the time in its name, in the XDG state folder"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the outcome as JSON; - is standard output"""


def check(options: ReplayOptions) -> None:
    """Raises UserError for options that do not go together, or that cannot be."""
    if sum((options.port is not None, options.twin, options.sim)) != 1:
        raise UserError("port: expected one of --port DEV (an arm), --twin and --sim")
    if options.sim and (options.camera or options.log):
        raise UserError("sim: nothing is logged there, expected neither --log nor --camera")
    if options.port is not None and (options.task is not None or options.seed is not None):
        raise UserError("task: scenes are the twin's and the simulation's, expected --twin or --sim")
    if not 0 <= options.countdown <= 60:
        raise UserError(f"countdown: got {options.countdown}, expected 0 to 60")
    if not 0.05 <= options.speed <= 1:
        raise UserError(f"speed: got {options.speed}, expected a share from 0.05 to 1")
    if options.seed is not None and options.seed < 0:
        raise UserError(f"seed: got {options.seed}, expected at least 0")
    if options.log and options.log.exists() and (not options.log.is_dir() or any(options.log.iterdir())):
        raise UserError(f"log: {str(options.log)!r} is there already, expected an empty or a new folder")


def scene_of(options: ReplayOptions, trajectory: Trajectory) -> tuple[str, int, str]:
    """(task, seed, level of randomisation): what was asked for, else what was recorded, else the usual."""
    from ideomotor.datasets.lerobot.layout import read_json
    from ideomotor.launch.commands.record.checks import OPTIONS_FILE

    recorded = trajectory.facts.get("task_name"), trajectory.facts.get("seed")
    task = options.task or recorded[0] or TASK
    seed = options.seed if options.seed is not None else recorded[1]
    file = options.data / OPTIONS_FILE
    level = read_json(file).get("randomize", LEVEL) if file.exists() else LEVEL
    return task, SEED if seed is None else int(seed), level


def arrangement_of(options: ReplayOptions, trajectory: Trajectory) -> int:
    """Where the scene's things stood when it was recorded, see `World.put_back`; 0 in any other scene."""
    other = options.task is not None or options.seed is not None
    return 0 if other else int(trajectory.facts.get("arrangement", 0))


def about(options: ReplayOptions, embodiment: Embodiment, trajectory: Trajectory) -> dict[str, Any]:
    """What the JSON says of what is played."""
    return {
        "data": str(options.data),
        "episode": options.episode,
        "robot": embodiment.name,
        "instruction": trajectory.instruction,
        "speed": options.speed,
        "recorded_hz": trajectory.recorded_hz,
        "recorded_seconds": trajectory.ticks / embodiment.control_hz,
        "recorded_success": trajectory.facts.get("success"),
    }
