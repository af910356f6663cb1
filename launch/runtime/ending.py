"""The end of a launch: motors first, then the person, then the files, and at last what there is to read.

The motors have been seen to when this begins. Nothing here fails because something else did: a terminal that
is gone, a disk that is full, a person who presses Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console

from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import handled


class Voice:
    """Says things to whoever is there, and goes on if nobody is."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, *things: Any, markup: bool = False) -> None:
        try:
            self._console.print(*things, markup=markup)
        except (OSError, SystemExit):  # rich makes an exit of a closed pipe
            pass


class Files:
    """Writes one file after the other.

    Attributes:
        problems: what could not be written, in words.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def write(self, what: str, how: Callable[[], Any]) -> Any:
        """What `how` returns; None if it could not be done, which is then a problem."""
        try:
            return how()
        except UserError as error:
            self.problems.append(str(error))
        except OSError as error:
            self.problems.append(f"{what}: {error.strerror or error} ({error.filename or 'while writing'})")
        return None


@contextmanager
def patiently(voice: Voice) -> Generator[None]:
    """While files are written the first signal that would end it is answered, and the second one obeyed."""
    signals: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        signals.append(number)
        if len(signals) > 1 and sys.stdin and sys.stdin.isatty():
            raise KeyboardInterrupt
        voice.say("saving the log (once more: do not wait for it)")

    with handled(on_signal):
        yield


def tell(outcome: dict[str, Any], voice: Voice) -> None:
    """The outcome for people."""
    from ideomotor.launch.runtime.loop_figures import table

    if outcome["warning"]:
        voice.say(f"warning: {outcome['warning']}")
    if outcome["ticks"]:
        voice.say(table(outcome, outcome["control_hz"]))
        counts = outcome["interventions_by_reason"]
        changes = ", ".join(f"{reason} {ticks}" for reason, ticks in counts.items()) or "none"
        voice.say(f"safety       ticks with a changed command: {changes}")
    for fault in outcome["faults"]:
        voice.say(f"fault        {fault}")
    voice.say(ended(outcome))
    if outcome["attempts"] is not None and not outcome["judged"]:
        why = outcome["not_judged_because"]
        voice.say(f"task         not judged: {why}; {outcome['attempts']} attempts ended")
    elif outcome["attempts"]:
        voice.say(f"task         solved in {outcome['solved']} of {outcome['attempts']} attempts")
    elif outcome["attempts"] == 0:
        voice.say("task         NOT solved")
    if logged := outcome["logged"]:
        lost = f", {logged['lost_ticks']} ticks lost" if logged["lost_ticks"] else ""
        voice.say(f"log          {outcome['log']}: {logged['frames']} frames, {logged['ticks']} ticks{lost}")


def ended(outcome: dict[str, Any]) -> str:
    """Why, in one line."""
    stage = f", at stage {outcome['stage']}" if outcome["stage"] else ""
    return f"ended        {outcome['stop_reason']}{stage}"
