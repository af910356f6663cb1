"""One episode while it happens: rows are taken as they come and their pictures encoded at once.

A recording of a running robot may last longer than memory would hold its pictures, and nobody knows its
length before it ends. What comes out is a dataset of one episode, put on the disk by `DatasetWriter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.datasets.lerobot import layout, stats
from ideomotor.datasets.lerobot.live_film import LiveFilm, film_feature
from ideomotor.datasets.lerobot.prepare import PreparedEpisode
from ideomotor.datasets.lerobot.writer import DatasetWriter

PLAN_TEXT, PROGRESS = "policy.plan_text", "policy.progress"


class LiveEpisode:
    """A dataset folder that gets one episode.

    Args:
        root: the folder, empty or absent.
        embodiment: the robot that is recorded.
        fps: rows per second, a divisor of the embodiment's control_hz.
        task: the instruction.
        source: what is recorded, for people; kept in meta/ideomotor.json.

    Raises:
        UserError: the folder is not empty, or cannot be written.
    """

    def __init__(self, root: Path, embodiment: Embodiment, fps: int, task: str, source: str) -> None:
        self._embodiment, self._fps, self._task = embodiment, fps, task
        features = _features(embodiment, fps)
        self._writer = DatasetWriter(
            root,
            embodiment,
            fps=fps,
            template=layout.empty_info(embodiment.name, fps, features),
            identity=layout.identity_of(embodiment) | {"source": source},
        )
        self._films = {c.name: LiveFilm(c.height, c.width, fps) for c in embodiment.cameras}
        self._rows: list[tuple[np.ndarray, np.ndarray, str, str, float, int, bool]] = []

    @property
    def length(self) -> int:
        """Rows so far."""
        return len(self._rows)

    def add(
        self,
        images: Mapping[str, np.ndarray],
        state: np.ndarray,
        commands: np.ndarray,
        stop_state: str = "",
        plan_text: str = "",
        progress: float = 0.0,
        driver: int = 0,
        intervention: bool = False,
    ) -> None:
        """Takes the next row.

        Args:
            images: {camera: (H, W, 3) uint8 RGB} of every camera.
            state: (D,) [rad or m], measured at the row's time.
            commands: (K, A) [rad or m], those up to the next row; finite, as `state`.
            stop_state: of the safe-stop state machine, see `control/runtime/safe_stop.py`.
            plan_text, progress: what the policy said of them, which need not be true.
            driver: 0 the policy, 1 a person.
            intervention: a person, who took over from a policy.
        """
        for name, film in self._films.items():
            film.add(images[name])
        flat, measured = np.asarray(commands, np.float32).ravel(), np.asarray(state, np.float32)
        said = (stop_state, plan_text, float(progress))
        self._rows.append((measured, flat, *said, driver, intervention))

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Writes the episode, if there is a row, and gives the folder back.

        Args:
            facts: more columns of the episode table.

        Raises:
            UserError: the disk is full.
        """
        try:
            films = {name: film.finish() for name, film in self._films.items()}
            if self._rows:
                self._writer.add_episode(self._prepared(films, facts))
        finally:
            self._writer.close()

    def _prepared(
        self, films: Mapping[str, tuple[bytes, stats.FeatureStats]], facts: Mapping[str, Any]
    ) -> PreparedEpisode:
        states, commands, stop_states, texts, progress, drivers, interventions = zip(*self._rows, strict=True)
        frames = np.arange(self.length)
        joints = len(self._embodiment.joints)
        columns: dict[str, Any] = {
            layout.STATE: np.stack(states),
            layout.ACTION: np.stack(commands)[:, :joints],
            layout.HIGH_RATE: np.stack(commands),
            layout.STOP_STATE: list(stop_states),
            PLAN_TEXT: list(texts),
            PROGRESS: np.array(progress, np.float32),
            layout.DRIVER: np.array(drivers, np.int64),
            layout.INTERVENTION: np.array(interventions, bool),
            "next.done": frames == self.length - 1,
            "timestamp": (frames / self._fps).astype(np.float32),
            "frame_index": frames,
        }
        found = {layout.IMAGE_PREFIX + name: measured for name, (_, measured) in films.items()}
        found |= {name: stats.vector_stats(c) for name, c in columns.items() if isinstance(c, np.ndarray)}
        return PreparedEpisode(
            index=None,
            task=self._task,
            length=self.length,
            columns=columns,
            videos={layout.IMAGE_PREFIX + name: film for name, (film, _) in films.items()},
            stats=found,
            facts=dict(facts),
        )


def _features(embodiment: Embodiment, fps: int) -> dict[str, dict[str, Any]]:
    """Returns the features of info.json; what only a simulation knows is not among them."""
    names = (layout.STATE, layout.ACTION, layout.HIGH_RATE)
    features = {
        layout.IMAGE_PREFIX + camera.name: film_feature(camera.height, camera.width, fps)
        for camera in embodiment.cameras
    }
    features |= {name: layout.features_of(embodiment, fps)[name] for name in names}
    features |= {
        layout.STOP_STATE: layout.scalar_feature("string"),
        PLAN_TEXT: layout.scalar_feature("string"),
    }
    features |= {PROGRESS: layout.scalar_feature("float32"), "next.done": layout.scalar_feature("bool")}
    features |= {
        layout.DRIVER: layout.scalar_feature("int64"),
        layout.INTERVENTION: layout.scalar_feature("bool"),
    }
    return features | layout.made_up_features()
