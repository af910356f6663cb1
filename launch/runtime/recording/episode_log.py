"""The process that records demonstrations, seen from the one that runs the session, and its main function.

It is nobody's dependency: when it dies the arm goes on, and what was saved is safe. When whoever started it
dies, it drops the episode in hand, since nobody has said that it is done. A disk that fills up ends the
recording before it is full.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import Counter
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import STOPPING, shielded
from ideomotor.control.runtime.process import where
from ideomotor.control.runtime.realtime import favoured
from ideomotor.control.runtime.shared_state import SharedState, SharedStateSpec, attach
from ideomotor.launch.runtime.recording.episode_recorder import DROPPED, EpisodeRecorder
from ideomotor.launch.runtime.recording.session_log import EVERY_S, FINISH_S, START_S, check_room

ROOM = 256_000_000  # [bytes] free on the disk, at least: one long episode


class EpisodeLog:
    """One recording.

    Attributes:
        folder: of the dataset.
        episodes, frames: on the disk.
        tasks: instructions on the disk.
        length: rows of the episode in hand, as last heard.
        waiting: pictures that are not encoded yet.
        saving: an episode is being put on the disk.
        saved: what is known of each episode that was saved in this session.
        failed: why nothing more can be recorded; empty while all is well.

    Raises:
        UserError: the folder is not one to record into.
    """

    keeps_report = False  # the folder is the dataset's alone

    def __init__(
        self,
        shared: SharedState,
        embodiment: Embodiment,
        folder: Path,
        rates: Mapping[str, float],
        resume: bool = False,
    ) -> None:
        self.folder = folder
        self.length = self.waiting = 0
        self.saving, self.failed = False, ""
        self.saved: list[dict[str, int]] = []
        self._said = ""  # of a failure that nobody has asked for yet
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=episode_process,
            args=(shared.spec, embodiment, folder, dict(rates), resume, theirs),
            daemon=False,
        )
        with shielded():
            self._process.start()
        theirs.close()
        try:
            said = self._pipe.recv() if self._pipe.poll(START_S) else "did not start in time"
        except EOFError:
            said = "its process ended while starting"
        if isinstance(said, str):
            self._process.kill()
            raise UserError(f"out: {said}" if not said.startswith(str(folder)) else said)
        self._take(said)

    def begin(self) -> None:
        """Begins an episode."""
        self.length = 0
        self._ask("begin")

    def discard(self) -> None:
        """Drops the episode in hand."""
        self._ask("discard")

    def save(self, task: str, facts: Mapping[str, Any]) -> None:
        """Puts the episode in hand on the disk; `saving` until that is done."""
        self.saving = True
        self._ask("save", task, dict(facts))

    def poll(self) -> None:
        """Takes over what the process says."""
        try:
            while not self.failed and self._pipe.poll():
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            self._process.join(1.0)
            self._fail(f"its process has died (exit code {self._process.exitcode})")

    def failure(self) -> str:
        """Why nothing more is recorded, the first time that it is asked for after that; empty otherwise."""
        self.poll()
        said, self._said = self._said, ""
        return said

    @property
    def dropped(self) -> dict[str, int]:
        """{camera: pictures that did not come while a saved episode was recorded}."""
        total: Counter[str] = Counter()
        for saved in self.saved:
            total.update({k.removeprefix(DROPPED): n for k, n in saved.items() if k.startswith(DROPPED)})
        return dict(total)

    def summary(self) -> dict[str, Any]:
        """What a recording's JSON says of it."""
        return {
            "episodes": self.episodes,
            "frames": self.frames,
            "tasks": self.tasks,
            "recorded": len(self.saved),
            "dropped_frames": self.dropped,
            "gaps": sum(saved["gaps"] for saved in self.saved),
            "lost_ticks": sum(saved["lost_ticks"] for saved in self.saved),
        }

    def finish(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Ends the recording once an episode that is being saved is safe; `summary`.

        An episode in hand is dropped.
        """
        self._ask("finish")
        with contextlib.suppress(EOFError, OSError):
            while self._pipe.poll(FINISH_S):
                self._take(self._pipe.recv())
        self._process.join(1.0)
        return self.summary()

    def close(self) -> None:
        """Ends it, if it still runs."""
        self._pipe.close()
        self._process.join(FINISH_S)

    def _ask(self, *request: Any) -> None:
        with contextlib.suppress(OSError):  # it has died: `poll` says so
            self._pipe.send(request)

    def _take(self, said: dict[str, Any]) -> None:
        self.episodes, self.frames, self.tasks = said["episodes"], said["frames"], said["tasks"]
        self.length, self.waiting = said["length"], said["waiting"]
        if "saved" in said:
            self.saving = False
            self.saved += [said["saved"]] if said["saved"]["rows"] else []
        if said.get("failed"):
            self._fail(said["failed"])

    def _fail(self, why: str) -> None:
        self.saving, self._said, self.failed = False, why, why


def episode_process(
    spec: SharedStateSpec,
    embodiment: Embodiment,
    folder: Path,
    rates: Mapping[str, float],
    resume: bool,
    pipe: Connection,
) -> None:
    """The process's main function. Says what is on the disk once it is ready, a text if it cannot be."""
    for number in STOPPING:  # it ends when the session has ended
        signal.signal(number, signal.SIG_IGN)
    favoured()
    shared = attach(spec)
    recorder = None
    try:
        check_room(folder, ROOM)
        recorder = EpisodeRecorder(shared, embodiment, folder, rates, resume)
        _tell(pipe, recorder)
        _serve(recorder, folder, pipe)
    except (UserError, OSError) as error:
        with contextlib.suppress(OSError):
            pipe.send(str(error))
    finally:
        if recorder is not None:
            recorder.close()
        del recorder
        shared.close()


def _serve(recorder: EpisodeRecorder, folder: Path, pipe: Connection) -> None:
    """Records and answers until it is over."""
    reported, failed = -1, False
    while True:
        try:
            request = pipe.recv() if pipe.poll(EVERY_S) else None
        except (EOFError, OSError):  # whoever ran the session is gone
            return
        if request == ("finish",):
            recorder.discard()
            _tell(pipe, recorder)
            pipe.close()
            return
        if failed:
            continue
        try:
            check_room(folder, ROOM // 4 if recorder.recording else ROOM)
            recorder.take()
            if request is not None:
                _carry_out(recorder, request, pipe)
        except Exception as error:
            failed = True
            with contextlib.suppress(Exception):
                recorder.discard()
            words = str(error) if isinstance(error, UserError | OSError) else where(error)
            _tell(pipe, recorder, failed=words)
        if recorder.writer.length != reported:
            reported = recorder.writer.length
            _tell(pipe, recorder)


def _carry_out(recorder: EpisodeRecorder, request: tuple[Any, ...], pipe: Connection) -> None:
    name, *arguments = request
    if name == "begin":
        recorder.begin()
    elif name == "discard":
        recorder.discard()
    else:
        _tell(pipe, recorder, saved=recorder.save(*arguments))


def _tell(pipe: Connection, recorder: EpisodeRecorder, **more: Any) -> None:
    writer = recorder.writer
    state = {"episodes": writer.episodes, "frames": writer.frames, "tasks": writer.tasks}
    with contextlib.suppress(OSError):  # nobody is there any more
        pipe.send(state | {"length": writer.length, "waiting": writer.waiting, **more})
