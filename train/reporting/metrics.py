"""Where the figures of a training go: JSON lines, a page, and trackers where the recipe says so."""

from __future__ import annotations

import contextlib
import json
import math
import time
from pathlib import Path

from ideomotor.datasets.files import replace_files
from ideomotor.train.reporting.page import figures_of, write_page
from ideomotor.train.reporting.trackers import TensorBoard, Tracker, Trackio

SHOWN_S = 15.0  # between two writings of the page


class Metrics:
    """The figures of one stage, appended to as it goes on; a context manager.

    What an interrupted training wrote about steps after the one that it continues from is dropped: these
    steps are made again.

    Args:
        out: folder of the training.
        name: of the stage: its lines are in `<name>.jsonl`.
        step: from which training goes on.
        tensorboard, trackio: which trackers get them too, see `trackers`.
        silent: write nothing at all, as all processes but the first do.
    """

    def __init__(
        self,
        out: Path,
        name: str,
        step: int,
        tensorboard: bool = False,
        trackio: bool = False,
        silent: bool = False,
    ):
        self._lines = None if silent else out / f"{name}.jsonl"
        self._trackers: list[Tracker] = []
        self._out, self._shown = out, -math.inf
        if self._lines is None:
            return
        replace_files({self._lines: _up_to(self._lines, step)})
        if tensorboard:
            self._trackers.append(TensorBoard(out, name, step))
        if trackio:
            self._trackers.append(Trackio(out, name, figures_of(self._lines)))

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *raised: object) -> None:
        for tracker in self._trackers:
            tracker.close()
        self._show(under_way=raised[0] is None)  # another stage, or the end, follows

    def write(self, figures: dict[str, float]) -> None:
        """Adds figures, one of which is the `step` they are about."""
        if self._lines is None:
            return
        with self._lines.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({key: round(value, 6) for key, value in figures.items()}) + "\n")
        for tracker in self._trackers:
            tracker.write(figures)
        if time.monotonic() - self._shown > SHOWN_S:
            self._show(under_way=True)

    def _show(self, under_way: bool) -> None:
        """Writes the page, as often as that is cheap. A training does not end for want of it."""
        if self._lines is None:
            return
        with contextlib.suppress(OSError):
            write_page(self._out, under_way)
        self._shown = time.monotonic()


def _up_to(path: Path, step: int) -> bytes:
    """The whole lines of a file that are about steps up to this one; none of a training that starts anew."""
    kept = []
    if step and path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] > step:
                    continue
            except (ValueError, KeyError, TypeError):
                continue  # the line being written when the training died
            kept.append(line + "\n")
    return "".join(kept).encode()
