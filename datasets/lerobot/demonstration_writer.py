"""Demonstrations of a person while they happen: one dataset, an episode at a time, safe when it is saved.

A row is a camera frame and what happened until the next one. It says what really was: when it was measured,
when each picture in it was taken (one that a camera did not renew is there again, with its own time), every
command and every state of the controller's rate. `timestamp` counts rows, as other programs expect it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout, stats
from ideomotor.datasets.lerobot.live_film import LiveFilm, film_feature
from ideomotor.datasets.lerobot.metadata import check_embodiment, read_metadata
from ideomotor.datasets.lerobot.prepare import PreparedEpisode
from ideomotor.datasets.lerobot.writer import DatasetWriter

STATE_HIGH_RATE = "observation.state.high_rate"
MEASURED, CAPTURED = "measured_time", "capture_time"  # [s] since the episode's first row
DRIVER, INTERVENTION = "driver", "intervention"  # 1: a person; and never one who took over from a policy
SOURCE = "ideomotor record, by a person"


@dataclass(frozen=True)
class Row:
    """A row as it happened. Times are seconds of one clock; joints are in the embodiment's order."""

    time: float  # of its first tick
    images: Mapping[str, np.ndarray]  # {camera: (H, W, 3) uint8 RGB} of every camera
    captured: Mapping[str, float]  # {camera: when its picture was taken}
    states: np.ndarray  # (K, A) [rad or m], measured at each of its ticks
    commands: np.ndarray  # (K, A) [rad or m], sent at each


class DemonstrationWriter:
    """A dataset folder that gets a person's episodes; a context manager.

    Args:
        root: the folder; empty or absent unless `resume`.
        embodiment: the robot, with its cameras as large as their pictures.
        fps: rows a second, a divisor of control_hz.
        resume: go on after the last episode of a folder that was begun so.

    Raises:
        UserError: as `DatasetWriter`.
    """

    def __init__(self, root: Path, embodiment: Embodiment, fps: int, resume: bool = False) -> None:
        self._embodiment, self._fps = embodiment, fps
        if resume:
            _check_folder(root, embodiment)
        self._writer = DatasetWriter(
            root,
            embodiment,
            fps=fps,
            resume=resume,
            template=layout.empty_info(embodiment.name, fps, features_of(embodiment, fps)),
            identity=layout.identity_of(embodiment) | {"source": SOURCE},
        )
        self._films: dict[str, LiveFilm] = {}
        self._rows: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]] = []

    @property
    def episodes(self) -> int:
        """Episodes on the disk."""
        return self._writer.episodes

    @property
    def frames(self) -> int:
        """Rows on the disk."""
        return self._writer.frames

    @property
    def tasks(self) -> list[str]:
        """Instructions on the disk."""
        return self._writer.tasks

    @property
    def length(self) -> int:
        """Rows of the episode in hand."""
        return len(self._rows)

    @property
    def waiting(self) -> int:
        """Pictures of the slowest camera that are not encoded yet."""
        return max((film.waiting for film in self._films.values()), default=0)

    def begin(self) -> None:
        """Begins an episode; one in hand is dropped."""
        self.discard()
        self._films = {
            camera.name: LiveFilm(camera.height, camera.width, self._fps)
            for camera in self._embodiment.cameras
        }

    def add(self, row: Row) -> None:
        """Takes the next row of the episode in hand. Its pictures must not change any more."""
        for name, film in self._films.items():
            film.add(row.images[name])
        captured = np.array([row.captured[camera.name] for camera in self._embodiment.cameras], np.float64)
        states, commands = np.asarray(row.states, np.float32), np.asarray(row.commands, np.float32)
        self._rows.append((row.time, captured, states, commands))

    def discard(self) -> None:
        """Drops the episode in hand, if there is one."""
        for film in self._films.values():
            film.drop()
        self._films, self._rows = {}, []

    def save(self, task: str, facts: Mapping[str, Any]) -> None:
        """Puts the episode in hand on the disk; once this returns, nothing that happens loses it.

        Args:
            task: the instruction.
            facts: more columns of the episode table, always the same ones.

        Raises:
            UserError: the disk is full, or the episode has no rows. It is dropped then.
        """
        try:
            films = {layout.IMAGE_PREFIX + name: film.finish() for name, film in self._films.items()}
            if self._rows:
                self._writer.add_episode(self._prepared(task, films, facts))
        finally:
            self._films, self._rows = {}, []

    def close(self) -> None:
        """Gives the folder back; an episode in hand is dropped."""
        self.discard()
        self._writer.close()

    def __enter__(self) -> DemonstrationWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepared(
        self, task: str, films: Mapping[str, tuple[bytes, stats.FeatureStats]], facts: Mapping[str, Any]
    ) -> PreparedEpisode:
        times, captured, states, commands = (np.array(part) for part in zip(*self._rows, strict=True))
        rows = len(times)
        frames = np.arange(rows)
        columns: dict[str, Any] = {
            layout.STATE: states[:, 0],
            layout.ACTION: commands[:, 0],
            layout.HIGH_RATE: commands.reshape(rows, -1),
            STATE_HIGH_RATE: states.reshape(rows, -1),
            MEASURED: (times - times[0]).astype(np.float32),
            DRIVER: np.ones(rows, np.int64),
            INTERVENTION: np.zeros(rows, bool),
            "next.done": frames == rows - 1,
            "timestamp": (frames / self._fps).astype(np.float32),
            "frame_index": frames,
        }
        if self._embodiment.cameras:
            since = (captured - times[0]).astype(np.float32)
            columns[CAPTURED] = since if since.shape[1] > 1 else since[:, 0]  # a scalar, as of every width 1
        found = {name: measured for name, (_, measured) in films.items()}
        found |= {name: stats.vector_stats(c) for name, c in columns.items()}
        return PreparedEpisode(
            index=None,
            task=task,
            length=rows,
            columns=columns,
            videos={name: film for name, (film, _) in films.items()},
            stats=found,
            facts=dict(facts),
        )


def _check_folder(root: Path, embodiment: Embodiment) -> None:
    """Raises UserError, in people's words, if a dataset there is not one to go on with."""
    if not (root / layout.INFO).exists():
        return
    meta = read_metadata(root)
    check_embodiment(meta, embodiment)
    if meta.identity is None or meta.identity.get("source") != SOURCE:
        raise UserError(f"{root}: was not recorded so, expected a dataset of `ideomotor record --robot`")
    sizes = {name: tuple(meta.features[meta.video_key(name)]["shape"][:2]) for name in meta.cameras}
    now = {c.name: (c.height // 2 * 2, c.width // 2 * 2) for c in embodiment.cameras}
    if sizes != now:
        was, are = (
            ", ".join(f"{name} {width}x{height}" for name, (height, width) in sorted(each.items())) or "none"
            for each in (sizes, now)
        )
        raise UserError(f"{root}: cameras: recorded with {was}, now {are}")


def features_of(embodiment: Embodiment, fps: int) -> dict[str, dict[str, Any]]:
    """Returns the features of info.json."""
    own = layout.features_of(embodiment, fps)
    ticks, names = range(embodiment.control_hz // fps), embodiment.state_names
    features = {
        layout.IMAGE_PREFIX + camera.name: film_feature(camera.height, camera.width, fps)
        for camera in embodiment.cameras
    }
    features |= {name: own[name] for name in (layout.STATE, layout.ACTION, layout.HIGH_RATE)}
    features[STATE_HIGH_RATE] = layout.vector_feature([f"t{tick}.{name}" for tick in ticks for name in names])
    features[MEASURED] = layout.scalar_feature("float32")
    if embodiment.cameras:
        features[CAPTURED] = layout.vector_feature([camera.name for camera in embodiment.cameras])
    features |= {DRIVER: layout.scalar_feature("int64"), INTERVENTION: layout.scalar_feature("bool")}
    return features | {"next.done": layout.scalar_feature("bool")} | layout.made_up_features()
