"""Which rows of recorded launches start a training window: those that a person drove, or those more often.

The log of a launch says who drove each row (`driver`, datasets/lerobot/live_writer.py) and whether the arm
was running (`stage`). What else there is counts as a person's: demonstrations have no other driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.loading.cache import Cache


@dataclass(frozen=True)
class PersonRows:
    """What is made of it.

    Attributes:
        weight: how many times as often a window begins at a row that a person drove as at one of a policy's.
        only: windows begin where a person drove, and what they are to learn ends where they handed back.
    """

    weight: int = 1
    only: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.weight <= 1000:
            raise UserError(f"person_weight: got {self.weight}, expected a whole number from 1 to 1000")


EVERY_ROW = PersonRows()


def drawn_rows(caches: Sequence[Cache], how: PersonRows, every: int) -> list[np.ndarray] | None:
    """Returns for each dataset the rows that windows begin at, some several times; None: all of them once.

    Args:
        every: only every so many frames of an episode are used, the newest before the one that is drawn.

    Raises:
        UserError: none of a dataset's is left.
    """
    if not how.only and how.weight == 1:
        return None
    drawn = []
    for cache in caches:
        person, rows = by_person(cache), np.arange(int(cache.starts[-1]))
        starts = cache.starts[np.searchsorted(cache.starts, rows, side="right") - 1]
        person &= person[rows - (rows - starts) % every]
        times = person.astype(int) if how.only else np.where(person, how.weight, 1)
        drawn.append(np.repeat(rows, times))
        if not drawn[-1].size:
            raise UserError(f"{cache.meta.root}: no row that a person drove, expected some")
    return drawn


def by_person(cache: Cache) -> np.ndarray:
    """(N,) bool, whether a person drove a row, and the arm was not holding or on its way home."""
    person = np.ones(int(cache.starts[-1]), dtype=bool)
    if layout.DRIVER not in cache.columns:
        return person
    person &= np.asarray(cache.columns[layout.DRIVER]).reshape(-1) == 1
    if layout.STOP_STATE in cache.vocabulary:
        runs = np.array([text == "run" for text in cache.vocabulary[layout.STOP_STATE]])
        person &= runs[np.asarray(cache.columns[layout.STOP_STATE]).reshape(-1)]
    return person


def stretch_ends(cache: Cache) -> np.ndarray:
    """(N,) int64, for each row the first one after it that another drove, or that is of another episode."""
    person, rows = by_person(cache), int(cache.starts[-1])
    breaks = np.zeros(rows + 1, dtype=bool)
    breaks[cache.starts] = True
    breaks[1:-1] |= person[1:] != person[:-1]
    where = np.flatnonzero(breaks)
    return where[np.searchsorted(where, np.arange(rows), side="right")]
