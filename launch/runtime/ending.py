"""The end of a launch: motors first, then the person, then the files, and at last what there is to read.

The motors have been seen to when this begins. Nothing here fails because something else did: a terminal that
is gone, a disk that is full, a person who presses Ctrl-C.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import handled
from ideomotor.launch.commands.release import let_go
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.runtime.left_on import release_command, remove_note, write_note

if TYPE_CHECKING:
    from ideomotor.launch.runtime.recording.episode_log import EpisodeLog
    from ideomotor.launch.runtime.recording.session_log import SessionLog
    from ideomotor.launch.runtime.session import SessionConfig, SessionResult


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


def end_session(
    output: Output,
    config: SessionConfig,
    result: SessionResult,
    log: SessionLog | EpisodeLog,
    outcome: dict[str, Any],
    about: dict[str, Any],
    facts: dict[str, Any],
) -> int:
    """The motors have been seen to: now the person, then the files, then what there is to read.

    Args:
        outcome: what `--json` gets; what happens here is added.
        about: what the log's report says besides.
        facts: what the log's episode says of itself.

    Returns:
        The exit code.
    """
    from ideomotor.control.robots.drivers import driver_of
    from ideomotor.launch.runtime import session, session_figures
    from ideomotor.launch.runtime.recording.session_recorder import PICTURE, REPORT

    voice, files, port = Voice(output.text), Files(), config.rig.port
    if outcome["motors_on"]:
        voice.say(ended(outcome))
        if sys.stdin and sys.stdin.isatty():
            driver = driver_of(config.embodiment)
            outcome["motors_on"] = not let_go(voice.say, lambda: driver.let_go(config.embodiment, port))
        if outcome["motors_on"] and config.rig.inject is None:
            write_note(config.robot, port, outcome["stop_reason"])
            voice.say(f"To let go: {release_command(config.robot, port)}")
    if not outcome["motors_on"] and not config.dry_run:
        remove_note(config.robot, port)
    with patiently(voice):
        outcome["logged"] = files.write("log", lambda: log.finish(facts))
        if log.failed and outcome["logged"]:
            files.problems.append(f"log: {log.failed}")
        picture = session_figures.picture(config, result) if log.keeps_report else None
        if picture is not None:
            files.write("log", lambda: write_whole(log.folder / PICTURE, picture))
        outcome["faults"] = list(dict.fromkeys([*outcome["faults"], *files.problems]))
        if log.keeps_report:
            report = as_text(about | {"outcome": outcome})
            files.write("log", lambda: write_whole(log.folder / REPORT, report))
        else:
            outcome |= outcome["logged"] or {}
        outcome["faults"] = list(dict.fromkeys([*outcome["faults"], *files.problems]))
        files.write("json", lambda: output.result(outcome))
    outcome["faults"] = list(dict.fromkeys([*outcome["faults"], *files.problems]))
    tell(outcome, voice)
    if outcome["interrupted"] or outcome["stop_reason"].startswith("emergency stop"):
        return 130
    return 0 if outcome["stop_reason"] == session.FINISHED and not outcome["faults"] else 1


def as_text(value: dict[str, Any]) -> str:
    """JSON as files have it."""
    return json.dumps(_known(value), indent=2, allow_nan=False) + "\n"


def _known(value: Any) -> Any:
    """The same with null for numbers that nobody knows."""
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def tell(outcome: dict[str, Any], voice: Voice) -> None:
    """The outcome for people."""
    from ideomotor.launch.runtime.figures.loop_figures import table

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
    if (logged := outcome["logged"]) and "ticks" in logged:
        lost = f", {logged['lost_ticks']} ticks lost" if logged["lost_ticks"] else ""
        voice.say(f"log          {outcome['log']}: {logged['frames']} frames, {logged['ticks']} ticks{lost}")


def ended(outcome: dict[str, Any]) -> str:
    """Why, in one line."""
    stage = f", at stage {outcome['stage']}" if outcome["stage"] else ""
    return f"ended        {outcome['stop_reason']}{stage}"
