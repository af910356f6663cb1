"""A running session in Rerun: what the cameras see, where the joints are and where they are commanded to be.

    --view rerun                    the viewer on this computer
    --view rerun+http://HOST:PORT/proxy   a viewer elsewhere
    --view FILE.rrd                 a recording for it

It is a process of its own that reads the shared state, as everybody may, and writes nothing there: the
control loop never waits for it, nobody does, and it may die. It takes the newest pictures a few times a
second, at the lowest priority, and not every one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import STOPPING, shielded
from ideomotor.control.runtime.seqlock import Follower
from ideomotor.control.runtime.shared_state import (
    SharedState,
    SharedStateSpec,
    attach,
    text_of,
    unpack_frames,
)
from ideomotor.control.runtime.supervisor import live_with_parent
from ideomotor.datasets.outputs import check_output
from ideomotor.datasets.viewing.rrd import require_rerun

HERE = "rerun"  # the viewer on this computer
SCHEMES = ("rerun://", "rerun+http://", "rerun+https://")
EVERY_S = 0.1  # between looks at the shared state
JPEG = 75  # quality
NICE = 15
MEMORY = "1GB"  # that a viewer which is started keeps
END_S = 2.0  # for it to write what it has


def check_view(target: str | None) -> None:
    """UserError for what is no target of `--view`, or where the extra is not installed."""
    if target is None:
        return
    if target.endswith(".rrd"):
        check_output("view", Path(target), [".rrd"])
    elif target != HERE and not target.startswith(SCHEMES):
        raise UserError(
            f"view: got {target!r}, expected rerun, rerun+http://HOST:9876/proxy (a viewer elsewhere) or a "
            "FILE.rrd"
        )
    require_rerun("view")


@contextlib.contextmanager
def live_view(
    target: str | None, shared: SharedState, embodiment: Embodiment, say: Callable[[str], None]
) -> Generator[None]:
    """Shows a session while the block runs; nothing without a target.

    Args:
        target: of `--view`, checked.
        say: called with a line if it has ended by itself.
    """
    if target is None:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(
        target=view_process, args=(shared.spec, embodiment.joint_names, target), daemon=True
    )
    with shielded():
        process.start()
    try:
        yield
    finally:
        if process.exitcode is not None:
            say(f"view: its process had ended (exit code {process.exitcode}); the session did not need it")
        else:
            process.terminate()
            process.join(END_S)
            process.kill()
        process.join()


def view_process(spec: SharedStateSpec, joints: Sequence[str], target: str) -> None:
    """The process's main function: shows what is new until it is asked to end."""
    live_with_parent()
    os.nice(NICE)
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    shared, recording = attach(spec), _opened(target)
    shown = LiveRecording(recording, shared, joints)
    try:
        while not ended:
            shown.update()
            time.sleep(EVERY_S)
        shown.update()
        recording.flush()
        recording.disconnect()
    finally:
        shared.close()


def _opened(target: str) -> Any:
    rr = require_rerun("view")
    recording = rr.RecordingStream("ideomotor", recording_id=f"session-{os.getpid()}-{time.time_ns()}")
    if target == HERE:
        recording.spawn(memory_limit=MEMORY, hide_welcome_screen=True)
    elif target.endswith(".rrd"):
        recording.save(target)
    else:
        recording.connect_grpc(target)
    return recording


class LiveRecording:
    """What a Rerun recording is given of a session. Call `update` now and then."""

    def __init__(self, recording: Any, shared: SharedState, joints: Sequence[str]) -> None:
        rr = self._rr = require_rerun("view")
        self._recording, self._shared, self._joints = recording, shared, joints
        self._ticks = Follower(shared.ticks)
        self._mailbox = shared.films if shared.spec.films else shared.frames
        self._frames, self._seen = self._mailbox.new(), {}
        self._said = ""
        for part in ("position", "command"):
            for joint in joints:
                name = rr.SeriesLines(names=f"{joint} {part}")
                recording.log(rr.new_entity_path(["joints", joint, part]), name, static=True)
        cameras = [
            rr.blueprint.Spatial2DView(origin=f"camera/{name}", name=name) for name, *_ in self._cameras
        ]
        plots = rr.blueprint.Grid(
            *(rr.blueprint.TimeSeriesView(origin=f"joints/{joint}", name=joint) for joint in joints)
        )
        state = rr.blueprint.TextLogView(origin="state", name="state")
        left = rr.blueprint.Vertical(*cameras, state)
        recording.send_blueprint(rr.blueprint.Blueprint(rr.blueprint.Horizontal(left, plots)))

    @property
    def _cameras(self) -> tuple[tuple[str, int, int], ...]:
        return self._shared.spec.filmed.cameras

    def update(self) -> None:
        """Shows what is new."""
        if records := self._ticks.new():
            self._show_ticks(records)
        self._show_pictures()

    def _show_ticks(self, records: list[np.ndarray]) -> None:
        rr, recording = self._rr, self._recording
        times = rr.TimeColumn("time", duration=[float(record["time"]) for record in records])
        for part in ("position", "command"):
            values = np.stack([record[part] for record in records])  # (n, A)
            for i, joint in enumerate(self._joints):
                scalars = rr.Scalars.columns(scalars=values[:, i])
                recording.send_columns(rr.new_entity_path(["joints", joint, part]), [times], scalars)
        for record in records:
            said = f"{text_of(record['stage'])} {text_of(record['reason'])}".strip()
            if said != self._said:
                self._said = said
                recording.set_time("time", duration=float(record["time"]))
                recording.log("state", rr.TextLog(said))

    def _show_pictures(self) -> None:
        if not self._mailbox.read(self._frames):
            return
        pictures = unpack_frames(self._frames, self._shared.spec.filmed)
        times = zip(self._cameras, self._frames["times"], strict=True)
        for (name, *_), at in times:
            if name in pictures and self._seen.get(name) != at:
                self._seen[name] = float(at)
                self._recording.set_time("time", duration=float(at))
                self._recording.log(f"camera/{name}", self._rr.Image(pictures[name]).compress(JPEG))
