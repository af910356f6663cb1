"""What the scene detector learns from, as arrays: drawn once (`arranged.py`) and kept in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ideomotor.train.scenes.arranged import ArrangedScene, arranged_scenes
from ideomotor.vla.planner.perception.camera import FrontCamera
from ideomotor.vla.planner.perception.detector import GROUPS, RELATIONS, hand_planes
from ideomotor.vla.planner.things import COLOURS

KINDS = tuple(kind for kinds in GROUPS.values() for kind in kinds)
VISIBLE, HIDDEN = 0.45, 0.1  # shares from which a thing is asked for, and below which it is not there


@dataclass(frozen=True)
class Scenes:
    """Everything of N scenes as arrays."""

    images: np.ndarray  # (N, 96, 96, 3) uint8
    planes: np.ndarray  # (N, EXTRAS, 24, 24) float32
    things: np.ndarray  # (T, 9): scene, kind, colour, small, u, v, relation, opening [m], visible share
    first: np.ndarray  # (N + 1,) where each scene's things begin


def scenes_of(camera: FrontCamera, seed: int, layouts: int, kept: Path | None) -> Scenes:
    """Drawn anew, or taken from the file where they are kept."""
    if kept is not None and kept.exists():
        with np.load(kept) as found:
            images, states, things = found["images"], found["states"], found["things"]
    else:
        drawn = list(arranged_scenes(seed, layouts))
        images, states = np.stack([one.image for one in drawn]), np.stack([one.state for one in drawn])
        things = np.array([row for i, one in enumerate(drawn) for row in _rows(i, one)], np.float32)
        if kept is not None:
            np.savez_compressed(kept, images=images, states=states, things=things)
    planes = np.stack([hand_planes(camera, state) for state in states])
    first = np.searchsorted(things[:, 0], np.arange(len(images) + 1))
    return Scenes(images, planes, things, first)


def _rows(index: int, scene: ArrangedScene) -> list[tuple[float, ...]]:
    return [
        (
            index, KINDS.index(one.kind), COLOURS.index(one.colour), one.size == "small", *one.pixel,
            RELATIONS.index(one.relation), one.opening, one.visible,
        )
        for one in scene.things
    ]  # fmt: skip
