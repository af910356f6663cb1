"""What was commanded and measured in one recorded episode, at the robot's own rate, to be played again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.loading.resample import curve
from ideomotor.datasets.mapping.mapping import open_mapped


@dataclass(frozen=True)
class Trajectory:
    """One episode. Joints are in the embodiment's order and units."""

    commands: np.ndarray  # (N, A) float64 [rad or m], one a tick of control_hz
    states: np.ndarray  # (T, A) float64 [rad or m], measured at the rows
    state_ticks: np.ndarray  # (T,) float64, the tick at which each row begins
    recorded_hz: float  # of the commands as they are stored
    instruction: str
    facts: dict[str, Any]  # task_name, seed, arrangement and success, as far as they are stored

    @property
    def ticks(self) -> int:
        return len(self.commands)


def read_trajectory(
    root: Path | str, episode: int, embodiment: Embodiment, mapping: tuple[str, ...] = ()
) -> Trajectory:
    """Reads an episode of any dataset whose joints have the embodiment's names, or are mapped to them.

    Raises:
        UserError: no such episode; joints that are missing or in other units; not finite; another robot's.
    """
    if not embodiment.targets:
        raise UserError(f"robot: {embodiment.name} takes no joint targets, so none can be played")
    [dataset] = open_mapped([root], replace(embodiment, cameras=()), mapping)
    if not 0 <= episode < len(dataset):
        raise UserError(
            f"episode: got {episode}, expected 0 to {len(dataset) - 1}: {root} has {len(dataset)}"
        )
    stored = layout.HIGH_RATE if layout.HIGH_RATE in dataset.meta.features else layout.ACTION
    columns = dataset.columns(episode, [stored, layout.STATE, "task_index"])
    recorded = columns[stored].reshape(-1, len(embodiment.joints)).astype(np.float64)
    states = columns[layout.STATE][:, : len(embodiment.joints)].astype(np.float64)
    for name, values in ((stored, recorded), (layout.STATE, states)):
        if not len(values) or not np.isfinite(values).all():
            raise UserError(f"{root}: episode {episode}: {name}: expected rows, all of them finite")
    rate = dataset.fps * len(recorded) / len(states)
    hz = float(embodiment.control_hz)
    ticks = round((len(recorded) - 1) * hz / rate) + 1
    commands = recorded if rate == hz else curve(recorded, np.arange(ticks) * (rate / hz))
    row = dataset.episodes.slice(episode, 1).to_pylist()[0]
    known = ("task_name", "seed", "arrangement", "success")
    return Trajectory(
        commands=commands,
        states=states,
        state_ticks=np.arange(len(states)) * (hz / dataset.fps),
        recorded_hz=rate,
        instruction=dataset.tasks[int(columns["task_index"][0])],
        facts={name: row[name] for name in known if row.get(name) is not None},
    )
