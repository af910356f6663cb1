"""Filmstrips of failed episodes: a few small pictures of what the policy saw, taken while it looks anyway.

Nothing is rendered for them and nothing is run again, so an episode ends as it would without.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import cv2
import numpy as np

from ideomotor.control.types import Observation
from ideomotor.datasets.files import replace_files
from ideomotor.eval.drivers import Requests
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.phrasings import PLAIN

if TYPE_CHECKING:
    from ideomotor.eval.rows import EpisodeRow

FOLDER = "failures"  # of an evaluation's folder
PICTURES = 6  # of a strip, spread over the episode
EVERY_S = 0.5  # [s] simulated, between the pictures that are taken
HEIGHT = 96  # [pixels] of a picture
GAP = 2  # [pixels] between them
QUALITY = 75  # of JPEG
PER_GROUP = 4  # strips of one task and subtask
IN_ALL = 120  # of about 15 kB: a page of at most some 2.5 MB


class Film:
    """What an episode's first camera shows its policy at every half second, in small."""

    def __init__(self) -> None:
        self._camera = ""
        self._pictures: list[np.ndarray] = []

    def watch(self, requests: Requests) -> Requests:
        """The same episode, with a picture taken, if one is due, of what a plan is made from."""
        answer = None
        while True:
            try:
                request = requests.send(answer)
            except StopIteration as end:
                return end.value
            if request.plan is None:
                self.take(request.observation)
            answer = yield request

    def take(self, observation: Observation) -> None:
        """Takes a picture if one is due."""
        if observation.images and observation.time >= EVERY_S * len(self._pictures):
            self._camera = self._camera or next(iter(observation.images))
            if self._camera in observation.images:
                self._pictures.append(_small(observation.images[self._camera]))

    def strip(self) -> bytes:
        """The episode as one JPEG, pictures side by side from its beginning to its end; empty without any."""
        if not self._pictures:
            return b""
        chosen = np.linspace(0, len(self._pictures) - 1, min(PICTURES, len(self._pictures)))
        gap = np.full((HEIGHT, GAP, 3), 128, np.uint8)
        parts = [part for at in chosen.round().astype(int) for part in (self._pictures[at], gap)][:-1]
        pixels = cv2.cvtColor(np.hstack(parts), cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


class Strips:
    """Keeps the strips of the first failures of every task and subtask in an evaluation's folder."""

    def __init__(self, folder: Path):
        self._folder = folder / FOLDER
        self._counts: dict[tuple[str, str], int] = {}
        self._kept: list[EpisodeSpec] = []

    def keep(self, row: EpisodeRow) -> None:
        """Takes a finished episode, in the list's order; writes its strip if it is one to be shown."""
        spec = row.spec
        if row.success or spec.without or spec.axis or spec.phrasing == PLAIN or len(self._kept) == IN_ALL:
            return
        group = row.spec.task, subtask_kind(row.failed_at, row.progress)
        self._counts[group] = self._counts.get(group, 0) + 1
        if self._counts[group] > PER_GROUP:
            return
        self._kept.append(row.spec)
        if row.film:
            replace_files({self._path(row.spec): row.film})

    def load(self) -> Mapping[EpisodeSpec, bytes]:
        """The strips to be shown, those of an earlier run that was continued included."""
        paths = {spec: self._path(spec) for spec in self._kept}
        return {spec: path.read_bytes() for spec, path in paths.items() if path.exists()}

    def _path(self, spec: EpisodeSpec) -> Path:
        return self._folder / f"{spec.task}-{spec.seed}-{crc32(repr(spec).encode()):08x}.jpg"


def subtask_kind(failed_at: str, progress: float) -> str:
    """What an episode failed at without the things it was about: the subtask's verb, and how far it came."""
    return f"{failed_at.split()[0] if failed_at else 'unnamed'} …, {100 * progress:.0f} % done"


def _small(picture: np.ndarray) -> np.ndarray:
    """A copy (96, W, 3), of the same proportions."""
    height, width = picture.shape[:2]
    return cv2.resize(picture, (max(1, round(width * HEIGHT / height)), HEIGHT), interpolation=cv2.INTER_AREA)
