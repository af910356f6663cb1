"""The columns of a damaged data file, each for itself: what can be read, and what is wrong with the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.check_columns import missing, unusable
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.parquet_files import DataFile
from ideomotor.datasets.lerobot.plain_columns import to_numpy

RECOMPUTED = ("timestamp", *layout.COUNTERS)


class Tables:
    """The newest data file."""

    def __init__(self, root: Path) -> None:
        self._root, self._newest = root, None

    def open(self, path: Path) -> DataFile:
        if self._newest is None or self._newest.path != path:
            self._newest = DataFile(path)
        return self._newest

    def columns(self, path: Path, first: int, length: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Returns the columns of some rows, and {column: why it is not an array}."""
        file, found, unreadable = self.open(path), dict[str, np.ndarray](), dict[str, str]()
        for name in file.schema.names:
            try:
                if why := file.why_not(name):
                    raise UserError(why)
                found[name] = to_numpy(file.column(name).slice(first, length), name)
            except UserError as error:
                unreadable[name] = str(error).removeprefix(f"{name}: ").replace(f"{self._root}/", "")
        return found, unreadable


def column_faults(
    columns: dict[str, np.ndarray],
    unreadable: dict[str, str],
    features: dict[str, Any],
    robot: Embodiment | None,
) -> dict[str, str]:
    """Returns {column: what is wrong with it} in an episode, of those that must hold numbers or texts."""
    faults = {name: f"{name}: {why}" for name, why in unreadable.items()}
    faults |= {
        name: f"{name}: the column is missing" for name in missing(columns, features) if name not in faults
    }
    for bad in unusable("", columns, features, robot):
        name = bad["where"].removeprefix(": ")
        faults.setdefault(name, f"{name}: {bad['what']}")
    arrays = {name for name, feature in features.items() if layout.is_array(feature)}
    return {name: why for name, why in faults.items() if name in arrays and name not in RECOMPUTED}
