"""The log of a launch: a process that reads the shared state and writes a LeRobot v3 dataset of one episode.

It never holds anybody up: the control loop leaves each tick in a ring (`SharedState.ticks`) that this process
empties many times a second; a tick that was overwritten before is counted as lost. It outlives the others:
when the process that started it dies, it writes what it has. When it cannot go on itself, because the disk
fills up say, it says so at once and ends the log there, while there is still room for that.

    data/, videos/, meta/    the episode: pictures, state, `action`, `action.high_rate`, stage, policy's plan
    launch/ticks.parquet     every tick: commands, states (NaN where not measured), ages, interventions
    launch/plans.parquet     every plan: text, progress, keypoints
    launch/launch.json       pre-flight and outcome (by whoever launched), as is launch/lateness.svg
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import STOPPING, shielded
from ideomotor.control.runtime.process import where
from ideomotor.control.runtime.shared_state import SharedState, SharedStateSpec, attach
from ideomotor.launch.runtime.recording.session_recorder import Recorder

EVERY_S = 0.01
START_S, FINISH_S = 60.0, 300.0
ROOM_AT_START, ROOM_TO_FINISH = 64_000_000, 16_000_000  # [bytes] free on the disk, at least


class SessionLog:
    """The log process, seen from the one that launches.

    Attributes:
        failed: why nothing more is recorded; empty while all is well.

    Raises:
        UserError: the folder is not empty, or cannot be written.
    """

    keeps_report = True  # files beside the dataset, of whoever launched

    def __init__(self, shared: SharedState, embodiment: Embodiment, folder: Path, task: str) -> None:
        self.folder = folder
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=log_process, args=(shared.spec, embodiment, folder, task, theirs), daemon=False
        )
        with shielded():
            self._process.start()
        theirs.close()
        self.failed = ""
        try:
            said = self._pipe.recv() if self._pipe.poll(START_S) else "did not start in time"
        except EOFError:
            said = "its process ended while starting"
        if said:
            self._process.kill()
            raise UserError(f"log: {said}")

    def failure(self) -> str:
        """Why nothing more is recorded, the first time that it is asked for after that; empty otherwise."""
        try:
            said = self._pipe.recv() if not self.failed and self._pipe.poll() else ""
        except (EOFError, OSError):
            self._process.join(1.0)
            said = f"its process has died (exit code {self._process.exitcode})"
        self.failed = self.failed or said
        return said

    def finish(self, facts: dict[str, Any]) -> dict[str, int]:
        """Ends the recording; {"frames", "ticks", "lost_ticks", "plans"}, up to a failure if there was one.

        Raises:
            UserError: nothing could be written.
        """
        self.failure()
        try:
            self._pipe.send(facts)
            said = self._pipe.recv() if self._pipe.poll(FINISH_S) else "did not end in time"
        except (EOFError, OSError):
            self._process.join(1.0)
            said = f"its process has died (exit code {self._process.exitcode})"
        self._process.join(1.0)
        if isinstance(said, str):
            raise UserError(f"log: {self.failed or said}")
        return said

    def close(self) -> None:
        """Ends it, if it still runs: it then writes what it has."""
        self._pipe.close()
        self._process.join(FINISH_S)


def log_process(
    spec: SharedStateSpec, embodiment: Embodiment, folder: Path, task: str, pipe: Connection
) -> None:
    """The process's main function: sends "" when it is ready, and in the end what `Recorder.finish` returns.

    A text instead of that says what went wrong.
    """
    for number in STOPPING:  # it ends when the launch has ended
        signal.signal(number, signal.SIG_IGN)
    shared = attach(spec)
    try:
        check_room(folder, ROOM_AT_START)
        recorder = Recorder(shared, embodiment, folder, task)
    except (UserError, OSError) as error:
        _send(pipe, str(error))
        shared.close()
        return
    _send(pipe, "")
    failure, facts = "", None
    while facts is None:
        try:
            if pipe.poll(EVERY_S):
                facts = pipe.recv()
        except (EOFError, OSError):  # whoever launched is gone
            facts = {}
        try:
            if not failure:
                check_room(folder, ROOM_TO_FINISH)
                recorder.take()
        except Exception as error:
            failure = _in_words(error)
            _send(pipe, failure)
    try:
        result: dict[str, int] | str = recorder.finish(facts, take=not failure)
    except Exception as error:
        result = _in_words(error)
    del recorder
    shared.close()
    _send(pipe, result)


def check_room(folder: Path, least: int) -> None:
    """UserError if there are fewer free bytes on a folder's disk, or on the one that it will be on."""
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    if (free := disk.f_bavail * disk.f_frsize) < least:
        raise UserError(
            f"disk: {free / 1e6:.0f} MB free at {str(folder)!r}, expected at least {least / 1e6:.0f} MB"
        )


def _send(pipe: Connection, what: Any) -> None:
    with contextlib.suppress(OSError):  # nobody is there any more
        pipe.send(what)


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, (UserError, OSError)) else where(error)
