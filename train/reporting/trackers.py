"""Programs of others that show the figures of trainings, each an extra of its own, imported only where used.

TensorBoard reads event files in the training's folder. Trackio (https://github.com/gradio-app/trackio) keeps
runs in a local database that `trackio show` serves as a page; nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from ideomotor.control.errors import UserError

EVENTS = "tensorboard"  # folder in a training's folder; each stage is a run in it
PROJECT = "ideomotor"  # of Trackio's runs


class Tracker(Protocol):
    """One stage's figures in another program."""

    def write(self, figures: dict[str, float]) -> None:
        """Adds figures, one of which is the `step` they are about."""
        ...

    def close(self) -> None:
        """The stage has ended, or was interrupted."""
        ...


class TensorBoard:
    """Event files in `tensorboard/<stage>/`."""

    def __init__(self, out: Path, stage: str, step: int):
        writer = summary_writer()
        self._events = writer(str(out / EVENTS / stage), purge_step=step + 1 if step else None)

    def write(self, figures: dict[str, float]) -> None:
        for key, value in figures.items():
            if key != "step":
                self._events.add_scalar(key, value, int(figures["step"]))

    def close(self) -> None:
        self._events.close()


class Trackio:
    """A run `<folder>-<stage>` of the project `ideomotor`.

    Args:
        kept: figures of the steps before the one that a training goes on from: the run is made anew from
            them, since one cannot take back what it has of steps that are made again.
    """

    def __init__(self, out: Path, stage: str, kept: Sequence[dict[str, float]]):
        self._trackio, name = trackio(), f"{out.absolute().name}-{stage}"
        with _aside():
            with contextlib.suppress(ValueError):  # the project's first run
                for run in self._trackio.Api().runs(PROJECT):
                    if run.name == name:
                        run.delete()
            self._run = self._trackio.init(
                project=PROJECT,
                name=name,
                config={"folder": str(out.absolute()), "stage": stage},
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        for figures in kept:
            self.write(figures)

    def write(self, figures: dict[str, float]) -> None:
        values = {key: value for key, value in figures.items() if key != "step"}
        self._run.log(values, step=int(figures["step"]))

    def close(self) -> None:
        with _aside():
            self._trackio.finish()


def summary_writer() -> Any:
    """torch's SummaryWriter class. UserError naming the extra where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "tensorboard: needs the extra 'tensorboard': pip install 'ideomotor[tensorboard]'"
        ) from None
    return SummaryWriter


def trackio() -> Any:
    """The module. UserError naming the extra where it is not installed."""
    try:
        import trackio
    except ImportError:
        raise UserError("trackio: needs the extra 'trackio': pip install 'ideomotor[trackio]'") from None
    return trackio


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """What a tracker prints goes to standard error: standard output may be carrying JSON."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
