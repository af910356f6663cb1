"""Instructions by task_index where their file is lost, but the episodes still name their texts.

The numbers are in the rows of the data files. An episode of one instruction tells which number it has; what
that leaves open follows where an episode has but one unknown number and one unknown text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.parquet_files import DataFile
from ideomotor.datasets.lerobot.plain_columns import to_numpy


def lost_tasks(lost: Path, texts: Sequence[Sequence[str]], files: Sequence[Path], column: str) -> list[str]:
    """Returns instructions by task_index.

    Args:
        lost: the file that is not there, for messages.
        texts: the instructions of each episode.
        files: the data file of each episode.
        column: the one that numbers the instruction.

    Raises:
        UserError: the texts are not there either, or nothing says which number is which.
    """
    if not all(len(names) for names in texts):
        raise UserError(f"{lost}: no such file, and the episodes do not name their tasks")
    numbers = [_numbers(path, episodes, column) for path, episodes in _by_file(files)]
    used = {episode: found for part in numbers for episode, found in part.items()}
    if not any(len(found) for found in used.values()):  # no such column: `Dataset` makes it up
        return list(dict.fromkeys(text for names in texts for text in names))
    known: dict[int, str] = {}
    progress = True
    while progress:
        progress = False
        for episode, found in used.items():
            new = [number for number in found if number not in known]
            left = [text for text in texts[episode] if text not in {known.get(n) for n in found}]
            if len(new) == 1 and len(left) == 1:
                known[new[0]], progress = left[0], True
    for episode, found in used.items():
        for number in found:
            if known.get(number) not in texts[episode]:
                raise UserError(
                    f"{lost}: no such file, and the episode table does not tell which task {number} of "
                    f"episode {episode} is (of {', '.join(map(repr, texts[episode]))})"
                )
    return [known.get(number, "") for number in range(max(known) + 1)]


def _by_file(files: Sequence[Path]) -> list[tuple[Path, list[int]]]:
    found: dict[Path, list[int]] = {}
    for episode, path in enumerate(files):
        found.setdefault(path, []).append(episode)
    return list(found.items())


def _numbers(path: Path, episodes: list[int], column: str) -> dict[int, list[int]]:
    """Returns the numbers of the instructions in each of the episodes of a file."""
    file = DataFile(path)
    if column not in file.schema.names:
        return {episode: [] for episode in episodes}
    tasks = to_numpy(file.column(column), f"{path}: {column}")
    if "episode_index" in file.schema.names:
        owners = to_numpy(file.column("episode_index"), f"{path}: episode_index")
        groups = [owners == owner for owner in dict.fromkeys(owners.tolist())]
    else:
        groups = [np.ones(len(tasks), bool)]
    if tasks.dtype.kind not in "iu" or tasks.ndim != 1 or len(groups) != len(episodes) or (tasks < 0).any():
        raise UserError(f"{path}: {column}: cannot tell which tasks its {len(episodes)} episodes have")
    return {
        episode: list(dict.fromkeys(tasks[rows].tolist()))
        for episode, rows in zip(episodes, groups, strict=True)
    }
