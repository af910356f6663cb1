"""What trainings of ours had seen, and what their policies could then do: what good looks like."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CURVES = Path(__file__).with_name("curves.json")


@dataclass(frozen=True)
class Yardstick:
    """One training that was evaluated."""

    label: str
    tasks: int
    windows: int  # that its decoder had seen
    seen: str
    could: str
    where: str  # the page that has the command and the conditions
    figures: Mapping[str, float] = field(default_factory=dict)  # at its stages' ends, as in *.jsonl


# Of the built-in tasks, in the order of how much was seen.
SO101 = (
    Yardstick(
        label="quick, press",
        tasks=1,
        windows=51_200,
        seen="250 steps of stage 1, 51,200 windows of 300 demonstrations of one task",
        could="solves 15 of 50 held-out episodes of that task (30 %, 19 to 44)",
        where="docs/training.md, How long it takes",
        figures={"error_mrad_tick_48": 12.0},
    ),
    Yardstick(
        label="make policy",
        tasks=8,
        windows=608_000,
        seen="3,900 steps of stage 1, 608,000 windows of 5,300 demonstrations, all in two hours",
        could="solves 223 of 400 held-out episodes of eight tasks (55.8 %, 50.9 to 60.5)",
        where="docs/results.md, From nothing in two hours",
        figures={"held_out_pixel_p50": 0.40},
    ),
    Yardstick(
        label="bundled policy",
        tasks=8,
        windows=2_400_000,
        seen="10,000 steps of stage 1, 2,400,000 windows, in its last four rounds alone",
        could="solves 665 of 800 held-out episodes of eight tasks (83.1 %, 80.4 to 85.6)",
        where="vla/checkpoints/so101/README.md",
        figures={"held_out_pixel_p50": 0.34},
    ),
)
METAWORLD = (
    Yardstick(
        label="bundled metaworld",
        tasks=50,
        windows=448_000,
        seen="820 steps of stage 1, 448,000 windows of 2,500 demonstrations",
        could="solves 233 of 500 episodes of 50 tasks (35.2 % as a mean over the levels)",
        where="vla/checkpoints/metaworld/README.md",
    ),
)


def yardsticks(robot: str) -> tuple[Yardstick, ...]:
    """Those of a robot; of one that nobody trained for, those of the SO-101."""
    return METAWORLD if robot == "metaworld" else SO101


@functools.cache
def curves() -> dict[str, Any]:
    """The recorded curves of one of them: its label, and for each stage {figure: [(samples, value), …]}."""
    return json.loads(CURVES.read_text(encoding="utf-8"))
