"""Which columns of a dataset its cache keeps: what windows need, and extras that are as expected."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.columns import ColumnWriter

NEEDED = (layout.STATE, layout.ACTION, layout.HIGH_RATE, layout.EXPERT, "task_index")
# Columns that training does without, with their widths; 0: a text.
EXTRAS = {
    layout.REFERRED: 6,
    layout.KEYPOINTS: 6,
    "progress": 1,
    "subtask": 0,
    "plan_text": 0,
    layout.DRIVER: 1,
    layout.STOP_STATE: 0,
}


def column_bytes(dataset: Dataset) -> int:
    """Returns about what the columns take."""
    widths = [int(np.prod(dataset.meta.features[name]["shape"])) for name in _kept(dataset)]
    return 8 * sum(widths) * int(dataset.starts[-1]) + 2**20


def write_columns(dataset: Dataset, folder: Path) -> tuple[list[str], dict[str, list[str]], dict[str, str]]:
    """Writes the columns to files, for `columns.read_columns`.

    Returns:
        Their names; {column of texts: its texts}; {extra: why it is left out}.

    Raises:
        UserError: one that is needed is missing or damaged.
    """
    left_out: dict[str, str] = {}
    while True:
        names = [name for name in _kept(dataset) if name not in left_out]
        try:
            return names, _append_all(dataset, folder, names), left_out
        except _Unfit as unfit:
            left_out[unfit.name] = unfit.why
            for path in folder.glob("*.npy"):
                path.unlink()


def _kept(dataset: Dataset) -> list[str]:
    return [name for name in (*NEEDED, *EXTRAS) if name in dataset.meta.features]


class _Unfit(Exception):
    """An extra column that cannot be used."""

    def __init__(self, name: str, why: str):
        super().__init__(why)
        self.name, self.why = name, why


def _append_all(dataset: Dataset, folder: Path, names: list[str]) -> dict[str, list[str]]:
    """Writes the columns, an episode at a time, and returns {column of texts: its texts}.

    Raises:
        _Unfit: one of EXTRAS is not what it should be.
        UserError: one of NEEDED.
    """
    rows, tasks = int(dataset.starts[-1]), len(dataset.tasks)
    writer = ColumnWriter(folder, rows, names, alone=(layout.ACTION, layout.HIGH_RATE, layout.EXPERT))
    try:
        for episode in range(len(dataset)):
            columns = dataset.columns(episode, [name for name in names if name not in EXTRAS])
            extras, left_out = dataset.read_columns(episode, [name for name in names if name in EXTRAS])
            for name, width in EXTRAS.items():
                if name in names:
                    if why := left_out.get(name) or _unfit(extras.get(name), width):
                        raise _Unfit(name, f"episode {episode}: {why}")
                    columns[name] = extras[name]
            chosen = columns.get("task_index", np.zeros(1, int))
            if tasks and not ((chosen >= 0) & (chosen < tasks)).all():
                raise UserError(f"task_index: {chosen.min()} to {chosen.max()}, expected 0 to {tasks - 1}")
            writer.append(columns)
    except UserError as error:
        raise UserError(f"{dataset.root}: {error}") from None
    finally:
        writer.close()
    return writer.texts


def _unfit(values: np.ndarray | None, width: int) -> str:
    """Returns why a column cannot be used as one of EXTRAS; "" where it can."""
    if values is None:
        return "the column is missing"
    if width == 0:
        return "" if values.dtype == object and values.ndim == 1 else f"{values.dtype}, expected texts"
    if values.dtype.kind not in "fiub" or values[:1].size != width:
        got = f"{values.dtype} {values.shape[1:]}"
        return f"{got}, expected {width} number{'s' if width > 1 else ''} a row"
    return "" if np.isfinite(values).all() else "not finite"
