"""What `--policy lerobot:…` needs beside the checkpoint, for `run`, `eval` and `launch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

PREFIX = "lerobot:"  # of `--policy`


@dataclass(frozen=True)
class TrainerOptions:
    """Of LeRobot's trainer."""

    python: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Python of an environment that has lerobot; by default IDEOMOTOR_LEROBOT_PYTHON"""


@dataclass(frozen=True)
class LeRobotOptions:
    """Of a policy of LeRobot's."""

    python: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Python of an environment that has lerobot; by default IDEOMOTOR_LEROBOT_PYTHON"""

    hz: Annotated[float | None, tyro.conf.arg(metavar="N")] = None
    """commands a second that it was trained on, where the checkpoint does not say"""

    steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """commands executed of each chunk before the next is due; by default the checkpoint's n_action_steps,
    less what a chunk needs to last while the next one is made"""

    map: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOURCE=TARGET")]] = ()
    """what a camera, state or command of its data is of the robot, as --map of `ideomotor train` says it:
    observation.images.top=front or action=action:deg; may be given several times"""
