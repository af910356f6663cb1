"""The options of `ideomotor record`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

ALL = "all"  # tasks there are


@dataclass(frozen=True)
class RecordOptions:
    """Records demonstrations of the scripted experts to a LeRobot v3 dataset."""

    tasks: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TASK...")]
    """tasks to record, of `ideomotor tasks`; `all` of them"""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """folder of the dataset"""

    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """solved episodes of each task"""

    randomize: Literal["none", "light", "full"] = "light"
    """how much of the scene's look and physics varies with the seed"""

    noise: Annotated[float, tyro.conf.arg(metavar="P")] = 0.0
    """probability that a demonstration starts from a wrong pose, so that it shows a recovery; with --env: how
    much disturbs them at most, as a share of the largest command"""

    policy: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """a policy that drives, until a random moment or to the end; every frame has what the expert would do
    from there. With --env: until a random moment, and the expert's way on is the demonstration"""

    midway: bool = False
    """of tasks of several skills: an episode is one of their steps, drawn by the seed, where those before it
    have left arm and things, with the skill's own instruction"""

    teacher: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """with --policy: another policy, whose commands every frame has instead of the expert's, as far as
    --policy drives it to the end; to distil it further (docs/training.md)"""

    seed_start: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """first seed of each task"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "so101"
    """robot, or embodiment file"""

    env: Annotated[str, tyro.conf.arg(metavar="NAME|FILE|MODULE:ID")] = ""
    """tasks of a Gymnasium environment that an embodiment file maps, such as metaworld (docs/metaworld.md)"""

    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """processes to record with; does not change what is recorded"""

    batch: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """with --policy: episodes at once in each process, whose networks run as one batch: faster, and the same
    but for the rounding of float32"""

    ray: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = ""
    """record on a Ray cluster (HOST:PORT, ray://HOST:PORT or auto; extra `ray`) instead, the same bytes"""

    resume: bool = False
    """continue an interrupted recording made with the same options"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write a summary as JSON; - is standard output"""
