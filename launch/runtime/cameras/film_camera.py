"""A twin of a webcam: a film behind the interface of `cv2.VideoCapture`, with what webcams do.

    film:take.mp4                              plays for ever, at the film's rate
    film:take.mp4?jitter=0.005&drop=0.1        pictures up to 5 ms late, and one of ten not there at all
    film:take.mp4?pulled=/tmp/pulled           its cable is out while that file exists
    film:take.mp4?hz=25&seed=3

It blocks until the next picture is due, as a device does; a picture's time is when it came. Real cameras are
opened by launch/runtime/cameras/captures.py in the same way; nothing else tells them apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from ideomotor.control.errors import UserError, unknown_name

PREFIX = "film:"


@dataclass(frozen=True)
class FilmSource:
    """Which film, and how it comes."""

    path: str
    hz: float = 0.0  # 0: the film's
    jitter: float = 0.0  # [s] that a picture is late, at most
    drop: float = 0.0  # probability that a picture does not come
    pulled: str = ""  # the cable is out while this file exists
    seed: int = 0


def parse_film(source: str) -> FilmSource:
    """Returns what `film:PATH?NAME=VALUE&…` says.

    Raises:
        UserError: an unknown name, or a value that cannot be.
    """
    path, _, query = source.removeprefix(PREFIX).partition("?")
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        kinds = {"hz": float, "jitter": float, "drop": float, "pulled": str, "seed": int}
        if name not in kinds:
            raise unknown_name(f"camera: {source}: option", name, kinds)
        try:
            fields[name] = kinds[name](value)
        except ValueError:
            raise UserError(f"camera: {source}: {name}: got {value!r}, expected a number") from None
    film = FilmSource(path, **fields)
    if not (0 <= film.drop < 1 and 0 <= film.jitter <= 1 and 0 <= film.hz <= 1000):
        raise UserError(f"camera: {source}: expected drop below 1, jitter up to 1 s, hz up to 1000")
    return film


class FilmCamera:
    """The film, opened.

    Args:
        film: which.
        now, sleep: the clock, another one in tests.
    """

    def __init__(
        self,
        film: FilmSource,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import cv2

        self._film, self._now, self._sleep = film, now, sleep
        self._capture: Any = cv2.VideoCapture(film.path)
        self._rewind = cv2.CAP_PROP_POS_FRAMES
        self._chance = np.random.default_rng(film.seed)
        self._period_s = 1.0 / (film.hz or self._capture.get(cv2.CAP_PROP_FPS) or 30.0)
        self._due = now()

    def isOpened(self) -> bool:  # noqa: N802, cv2's name
        return bool(self._capture.isOpened()) and not self._is_pulled()

    def read(self) -> tuple[bool, np.ndarray | None]:
        """The next picture (H, W, 3) BGR when it comes; (False, None) without the cable."""
        while not self._is_pulled():
            ok, picture = self._capture.read()
            if not ok:
                self._capture.set(self._rewind, 0)
                ok, picture = self._capture.read()
                if not ok:
                    return False, None
            self._due += self._period_s
            if self._chance.random() < self._film.drop:
                continue
            at = self._due + self._chance.uniform(0, self._film.jitter)
            self._sleep(max(at - self._now(), 0.0))
            self._due = max(self._due, self._now() - self._period_s)  # a machine that stalls loses pictures
            return (False, None) if self._is_pulled() else (True, picture)
        return False, None

    def get(self, prop: int) -> float:
        return float(self._capture.get(prop))

    def set(self, prop: int, value: float) -> bool:
        return False  # it has one mode

    def release(self) -> None:
        self._capture.release()

    def _is_pulled(self) -> bool:
        return bool(self._film.pulled) and Path(self._film.pulled).exists()
