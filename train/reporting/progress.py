"""What a person sees of a stage of training while it goes on: how far it is, what it loses, the time left.

On standard error: a bar where that is a terminal, else a line a minute.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ideomotor.control.durations import in_words

STAGES = {"interpreter": "stage 1, interpreter", "decoder": "stage 2, decoder", "joint": "stage 3, both"}
DRAWN_S, LINE_S = 0.5, 60.0  # between two states of the bar, and between two lines [s]
COUNT_S = 10.0  # between two lines of a preparation [s]
PACE_S = 60.0  # of the latest steps that the time left is reckoned from
SMOOTHED = 20  # steps that the loss shown is about the mean of


class StageProgress:
    """Shows one stage; a context manager.

    Args:
        name: of the stage.
        steps, minutes: how long it is, see `learner.Settings`.
        start: step that it begins or goes on at.
        shown: whether anything is, as in the first process only.
    """

    def __init__(self, name: str, steps: int, minutes: float, start: int, shown: bool = True):
        self._name, self._steps, self._seconds = STAGES.get(name, name), steps, 60 * minutes
        self._shown, self._drawn = shown, -float("inf")
        self._pace: deque[tuple[float, int]] = deque([(time.monotonic(), start)])
        self._loss: torch.Tensor | None = None
        self._seen = 0
        console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[line]}"),
            console=console,
            disable=not shown or not console.is_terminal,
            refresh_per_second=2,
        )
        self._task = self._bar.add_task(self._name, total=1.0, line="first steps")

    def __enter__(self) -> StageProgress:
        self._bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.stop()

    def step(self, step: int, elapsed: float, loss: torch.Tensor) -> None:
        """Tells of a step that is done, `elapsed` seconds of training after its beginning."""
        if not self._shown:
            return
        self._seen += 1
        loss = loss.detach().float()
        self._loss = loss if self._loss is None else self._loss.lerp(loss, 1 / min(self._seen, SMOOTHED))
        now = time.monotonic()
        self._pace.append((now, step))
        while len(self._pace) > 2 and now - self._pace[1][0] > PACE_S:
            self._pace.popleft()
        if now - self._drawn < (LINE_S if self._bar.disable else DRAWN_S) or self._seen < 2:
            return
        self._drawn = now
        share, line = self._share(step, elapsed), self.line(step, elapsed)
        if self._bar.disable:
            print(f"{self._name}: {100 * share:.0f} %, {line}", file=sys.stderr, flush=True)
        else:
            self._bar.update(self._task, completed=share, line=f"{100 * share:.0f} %  {line}")

    def say(self, line: str) -> None:
        """A line that stays, above the bar."""
        if not self._shown:
            return
        if self._bar.disable:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.console.print(line, markup=False)

    def line(self, step: int, elapsed: float) -> str:
        """Where it is, in words."""
        of = f" of {self._steps:,}" if not self._seconds else ""
        log = "" if self._loss is None else f", loss {float(self._loss):.3f}"
        return f"step {step:,}{of}{log}, {in_words(self.left(step, elapsed))} left"

    def left(self, step: int, elapsed: float) -> float:
        """Seconds that the stage will yet take: by its clock, or by the pace of the latest steps."""
        if self._seconds:
            return max(0.0, self._seconds - elapsed)
        # The first step makes what later ones find made: it does not count as soon as others do.
        (since, first), (now, last) = self._pace[1 if len(self._pace) > 2 else 0], self._pace[-1]
        return (self._steps - step) * (now - since) / max(1, last - first)

    def _share(self, step: int, elapsed: float) -> float:
        return min(1.0, elapsed / self._seconds if self._seconds else step / max(1, self._steps))


class Countdown:
    """Tells how far a long preparation is, with the time left, every ten seconds."""

    def __init__(self, what: str, log: Callable[[str], None]):
        self._what, self._log = what, log
        self._begun = self._last = time.monotonic()

    def at(self, done: int, total: int) -> None:
        """`done` of `total` are there."""
        now = time.monotonic()
        if done and (now - self._last >= COUNT_S or done == total):
            self._last = now
            left = in_words((now - self._begun) / done * (total - done))
            self._log(f"{self._what}: {done:,} of {total:,}" + (f", {left} left" if done < total else ""))
