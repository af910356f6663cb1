"""What an evaluation saw while its episodes were solved: how far commands jerked and joints lagged, how sure
the policy was, and what its pictures were like. A running arm that leaves it deserves a look
(launch/dashboard/alarms.py).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, Observation
from ideomotor.eval.drivers import Requests

FILE = "seen.json"  # in a checkpoint's folder
OVER_S = 1.0  # that confidence and jerk are averaged over [s]
FLOOR = 2.0  # of a feature's spread, of 255: no camera is steadier than that


@dataclass(frozen=True)
class PictureRange:
    """A camera's pictures: features (`features_of`) and their spread, and the largest distance from them."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    distance: float

    def distance_of(self, picture: np.ndarray) -> float:
        """Root mean square of the features' differences, each in units of its spread."""
        return float(np.sqrt(np.mean(((features_of(picture) - self.mean) / self.std) ** 2)))


@dataclass(frozen=True)
class SeenRange:
    """What solved episodes were like at their worst."""

    episodes: int
    following_rad: float  # largest difference of a joint, but a gripper, from its last command
    jerk: float  # largest root mean square over a second, of the joint that jerks most [rad/s^3]
    confidence: float | None  # lowest mean over a second; None: it was not reported
    pictures: Mapping[str, PictureRange] = field(default_factory=dict)  # {camera: …}

    def save(self, folder: Path) -> None:
        """Writes it into a checkpoint's folder."""
        temporary = folder / f"{FILE}.partial"
        temporary.write_text(json.dumps(dataclasses.asdict(self)) + "\n", encoding="utf-8")
        temporary.replace(folder / FILE)


def load_seen_range(folder: Path) -> SeenRange | None:
    """That of a checkpoint's folder; None: it was not measured. UserError for a file that is none."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        pictures = {
            camera: PictureRange(tuple(one["mean"]), tuple(one["std"]), float(one["distance"]))
            for camera, one in values.pop("pictures").items()
        }
        return SeenRange(**values, pictures=pictures)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: not as `eval --calibrate` writes it ({error!r})") from None


class Watch:
    """Looks at one episode: at what its policy is given and what it answers.

    Args:
        embodiment: of the robot.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self._hz = float(embodiment.control_hz)
        self._arm = np.array([name not in embodiment.grippers for name in embodiment.joint_names])
        self._following = 0.0
        self._jerks: list[tuple[float, float]] = []  # (time [s], mean square [rad^2/s^6])
        self._confidences: list[tuple[float, float]] = []  # (time [s], confidence)
        self._pictures: dict[str, list[np.ndarray]] = {}

    def over(self, requests: Requests) -> Requests:
        """The same episode, looked at."""
        answer = None
        while True:
            try:
                request = requests.send(answer)
            except StopIteration as end:
                return end.value
            self._look(request.observation, pictures=request.plan is None)
            answer = yield request
            if isinstance(answer, ActionChunk):
                self._confidences.append((request.observation.time, answer.confidence))

    def _look(self, seen: Observation, pictures: bool) -> None:
        if seen.past_commands is not None and seen.tick:
            away = np.abs(seen.state - seen.past_commands[-1])[self._arm]
            self._following = max(self._following, float(away.max(initial=0.0)))
            self._jerks.append((seen.time, rms_jerk(seen.past_commands[:, self._arm], self._hz) ** 2))
        for camera, picture in seen.images.items() if pictures else ():
            self._pictures.setdefault(camera, []).append(features_of(picture))

    def to_json(self) -> dict[str, Any]:
        """All of it, small enough for a row of the results."""
        return {
            "following_rad": self._following,
            "jerk": max(means(self._jerks), default=0.0) ** 0.5,
            "confidence": min(means(self._confidences), default=None),
            "pictures": {name: _rounded(np.array(found)) for name, found in self._pictures.items()},
        }


def seen_range(
    rows: Iterable[Mapping[str, Any]], chances: tuple[Sequence[float], Sequence[float]]
) -> SeenRange:
    """Of several episodes.

    Args:
        rows: `Watch.to_json` of each.
        chances: (agreements, chances) that confidences are translated by; both empty: they are as they are.

    Raises:
        UserError: there are none.
    """
    rows = list(rows)
    if not rows:
        raise UserError("calibrate: no episode was solved, so nothing is known of how solved ones look")
    sure = [row["confidence"] for row in rows if row["confidence"] is not None]
    lowest = min(sure) if sure else None
    if lowest is not None and len(chances[0]):
        lowest = float(np.interp(lowest, chances[0], chances[1]))
    cameras = dict.fromkeys(name for row in rows for name in row["pictures"])
    return SeenRange(
        len(rows),
        max(row["following_rad"] for row in rows),
        max(row["jerk"] for row in rows),
        lowest,
        {name: _picture_range([row["pictures"][name] for row in rows if name in row["pictures"]])
         for name in cameras},
    )  # fmt: skip


def features_of(picture: np.ndarray) -> np.ndarray:
    """(24,): mean and standard deviation of each colour in each quarter of a picture (H, W, 3) uint8."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    halves = (slice(0, height), slice(height, None)), (slice(0, width), slice(width, None))
    quarters = [picture[rows, columns].reshape(-1, 3) for rows in halves[0] for columns in halves[1]]
    return np.concatenate([[q.mean(0), q.std(0)] for q in quarters]).ravel().astype(np.float64)


def rms_jerk(commands: np.ndarray, hz: float) -> float:
    """Root mean square of the joint that jerks most in commands (T, A), one a tick [rad/s^3]; 0 for T < 4."""
    if len(commands) < 4:
        return 0.0
    return float(np.sqrt((np.diff(commands, 3, axis=0) ** 2).mean(0).max(initial=0.0))) * hz**3


def means(values: Sequence[tuple[float, float]]) -> list[float]:
    """Means over `OVER_S` of (time [s], value) but NaNs; the mean of all where less time has passed."""
    known = [(time, value) for time, value in values if np.isfinite(value)]
    if not known:
        return []
    times, numbers = np.array(known).T
    ends = times[times - times[0] >= OVER_S]
    whole = [float(numbers[(times > end - OVER_S) & (times <= end)].mean()) for end in ends]
    return whole or [float(numbers.mean())]


def _picture_range(episodes: Sequence[Sequence[Sequence[float]]]) -> PictureRange:
    features = np.concatenate([np.array(one, dtype=np.float64) for one in episodes])
    mean, std = features.mean(0), np.maximum(features.std(0), FLOOR)
    distances = np.sqrt((((features - mean) / std) ** 2).mean(1))
    return PictureRange(tuple(mean.round(2)), tuple(std.round(2)), float(distances.max()))


def _rounded(features: np.ndarray) -> list[list[float]]:
    return features[:: max(1, len(features) // 8)].round(1).tolist()
