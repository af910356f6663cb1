"""Makes rows of a person's demonstrations from the shared state (datasets/lerobot/demonstration_writer.py).

A row begins at every K-th tick in which a person drives and nothing holds the arm. What lies between two such
stretches, a pause say, is left out, and the rows' measured times say so. Each camera gives a row its newest
picture from before the row's time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.safe_stop import StopState
from ideomotor.control.runtime.seqlock import Follower
from ideomotor.control.runtime.shared_state import SharedState, SharedStateSpec, text_of
from ideomotor.control.teleop.teleoperator import DriverName
from ideomotor.datasets.lerobot.demonstration_writer import DemonstrationWriter, Row

FPS = 30  # rows a second, or the greatest common divisor of this and the control rate
WAIT_S = 0.25  # that a row waits for a later picture, so that it is known which was the newest before it
KEPT = 24  # pictures of a camera
DROPPED = "dropped_"  # before a camera's name, in the numbers of an episode
LATE = 1.5  # periods of a camera between two pictures, above which some are missing


@dataclass
class _Camera:
    """What one camera has given."""

    hz: float  # that it gives when nothing is wrong
    pictures: deque[tuple[float, np.ndarray]] = field(default_factory=lambda: deque(maxlen=KEPT))
    newest: float = 0.0  # [s]
    dropped: int = 0  # since the episode began

    def take(self, at: float, picture: np.ndarray) -> None:
        if self.newest and at - self.newest > LATE / self.hz:
            self.dropped += round((at - self.newest) * self.hz) - 1
        self.newest = at
        self.pictures.append((at, picture))

    def before(self, time: float) -> tuple[float, np.ndarray] | None:
        """The newest picture that was taken by then; the oldest there is if all came later."""
        found = [each for each in self.pictures if each[0] <= time]
        return found[-1] if found else next(iter(self.pictures), None)


@dataclass
class _Pending:
    """A row that waits for its pictures."""

    time: float
    states: np.ndarray  # (K, A)
    commands: np.ndarray  # (K, A)


class EpisodeRecorder:
    """Records one episode after the other. Call `take` many times a second, also between episodes.

    Attributes:
        recording: an episode is in hand.

    Args:
        shared: of the running robot.
        embodiment: the robot.
        folder: of the dataset.
        rates: {camera: pictures a second that it gives when nothing is wrong}.
        resume: go on with a dataset that is there.

    Raises:
        UserError: as `DemonstrationWriter`.
    """

    def __init__(
        self,
        shared: SharedState,
        embodiment: Embodiment,
        folder: Path,
        rates: Mapping[str, float],
        resume: bool = False,
    ) -> None:
        self._fps = rows_a_second(embodiment)
        self._per_row = embodiment.control_hz // self._fps
        self.writer = DemonstrationWriter(folder, filmed(embodiment, shared.spec), self._fps, resume)
        self.recording = False
        self._ticks, self._films = Follower(shared.ticks), Follower(shared.films)
        self._spec = shared.spec.filmed
        self._cameras = {name: _Camera(rates.get(name, FPS)) for name, *_ in self._spec.cameras}
        self._block: list[np.ndarray] = []  # ticks of a row that is not whole yet
        self._rows: deque[_Pending] = deque()
        self._now = 0.0  # [s], of the newest tick
        self._gaps = 0  # stretches that were left out of the episode
        self._lost = 0  # ticks that were overwritten before they were seen, up to the episode's beginning

    def begin(self) -> None:
        """Begins an episode with the next tick; one in hand is dropped."""
        self.take()
        self.discard()
        self.writer.begin()
        for camera in self._cameras.values():
            camera.dropped = 0
        self._gaps, self._lost, self.recording = 0, self._ticks.lost, True

    def discard(self) -> None:
        """Drops the episode in hand."""
        self.recording = False
        self._block.clear()
        self._rows.clear()
        self.writer.discard()

    def save(self, task: str, facts: Mapping[str, Any]) -> dict[str, int]:
        """Puts the episode in hand on the disk, up to the newest tick; what it was, in numbers.

        Raises:
            UserError: as `DemonstrationWriter.save`.
        """
        self.take()
        self.recording = False
        self._block.clear()
        self._pass_on(all_of_them=True)
        dropped = {name: camera.dropped for name, camera in self._cameras.items()}
        lost = self._ticks.lost - self._lost
        numbers = {"rows": self.writer.length, "gaps": self._gaps, "lost_ticks": lost}
        kept = {"dropped_frames": sum(dropped.values()), "gaps": self._gaps, "lost_ticks": lost}
        self.writer.save(task, {**facts, **kept})
        return numbers | {DROPPED + name: count for name, count in dropped.items()}

    def take(self) -> None:
        """Takes over what is new in the shared state."""
        for record in self._films.new():
            for (name, *_), at, there in zip(
                self._spec.cameras, record["times"], record["present"], strict=True
            ):
                camera = self._cameras[name]
                if there and at > camera.newest:
                    camera.take(float(at), record[name].copy())
        for record in self._ticks.new():
            self._now = float(record["time"])
            if self.recording:
                self._take_tick(record)
        self._pass_on(all_of_them=False)

    def close(self) -> None:
        """Gives the folder back; an episode in hand is dropped."""
        self.writer.close()

    def _take_tick(self, record: np.ndarray) -> None:
        driven = text_of(record["stage"]) == StopState.RUN and text_of(record["driver"]) == DriverName.PERSON
        next_one = not self._block or int(record["tick"]) == int(self._block[-1]["tick"]) + 1
        if not next_one or not driven or not np.isfinite(record["position"]).all():
            self._gaps += bool(self._block)
            self._block.clear()
        if not driven or not np.isfinite(record["position"]).all():
            return
        self._block.append(record)
        if len(self._block) == self._per_row:
            states, commands = (np.stack([r[name] for r in self._block]) for name in ("position", "command"))
            self._rows.append(_Pending(float(self._block[0]["time"]), states, commands))
            self._block.clear()

    def _pass_on(self, all_of_them: bool) -> None:
        """Gives the writer the rows whose pictures are known."""
        while self._rows:
            row = self._rows[0]
            waits = any(camera.newest <= row.time for camera in self._cameras.values())
            if waits and not all_of_them and self._now - row.time < WAIT_S:
                return
            self._rows.popleft()
            found = {name: camera.before(row.time) for name, camera in self._cameras.items()}
            if any(picture is None for picture in found.values()):
                continue  # a camera that has not begun yet: there is no row to be made
            seen = {name: picture for name, picture in found.items() if picture is not None}
            images = {name: picture for name, (_, picture) in seen.items()}
            captured = {name: at for name, (at, _) in seen.items()}
            self.writer.add(Row(row.time, images, captured, row.states, row.commands))


def rows_a_second(embodiment: Embodiment) -> int:
    """How many rows a recording has of each second."""
    return math.gcd(embodiment.control_hz, FPS)


def filmed(embodiment: Embodiment, spec: SharedStateSpec) -> Embodiment:
    """The robot with its cameras as large as their pictures are recorded."""
    sizes = {name: (height, width) for name, height, width in spec.filmed.cameras}
    cameras = (replace(c, height=sizes[c.name][0], width=sizes[c.name][1]) for c in embodiment.cameras)
    return replace(embodiment, cameras=tuple(cameras))
