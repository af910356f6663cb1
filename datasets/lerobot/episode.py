"""One demonstration in memory, as a recorder hands it to `DatasetWriter`.

A row is one camera frame. Everything that is checked about an episode is checked here, before any of
it reaches the disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout


@dataclass(frozen=True)
class Episode:
    """T camera frames with the commands between them; K = control_hz / fps commands a frame."""

    images: Mapping[str, np.ndarray]  # {camera: (T, H, W, 3) uint8 RGB}
    state: np.ndarray  # (T, D) [rad or m], measured at the frame
    action: np.ndarray  # (T, A) [rad or m], the command of the frame's tick
    action_high_rate: np.ndarray  # (T, K * A) [rad or m], the K commands up to the next frame, C order
    subtask: Sequence[str]  # T texts: what is being done
    referred: np.ndarray  # (T, 6) [m], target xyz and place xyz, zeros where there is none
    keypoints: np.ndarray  # (T, 6), (u, v, visible) of target and of place in the first camera, in [0, 1]
    progress: np.ndarray  # (T, 1) in [0, 1]
    task: str  # the instruction
    success: bool
    seed: int
    task_name: str = ""  # e.g. "place"
    text: Sequence[str] | None = None  # T readable plans; the subtask where there is none
    expert: np.ndarray | None = None  # (T, L * A), an expert's commands from each frame on
    index: int | None = None  # place in the dataset; None: after the last one

    @property
    def length(self) -> int:
        return len(self.state)


def check_episode(episode: Episode, embodiment: Embodiment, fps: float) -> None:
    """Raises UserError naming the field when an episode does not fit the embodiment or is not finite."""
    where = f"episode {episode.index}" if episode.index is not None else "episode"
    frames, joints = episode.length, len(embodiment.joints)
    ticks = int(embodiment.control_hz // fps)
    if frames == 0:
        raise UserError(f"{where}: 0 frames, expected at least 1")
    if not episode.task.strip():
        raise UserError(f"{where}: task: empty, expected an instruction")
    widths = {
        "state": len(embodiment.state_names),
        "action": joints,
        "action_high_rate": ticks * joints,
        "referred": 6,
        "keypoints": 6,
        "progress": 1,
    }
    if episode.expert is not None:
        widths["expert"] = layout.expert_ticks(embodiment) * joints
    for name, width in widths.items():
        values = np.asarray(getattr(episode, name))
        if values.shape != (frames, width):
            raise UserError(f"{where}: {name}: shape {values.shape}, expected {(frames, width)}")
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise UserError(f"{where}: {name}: not finite at frame {row}")
    for name, texts in (("subtask", episode.subtask), ("text", episode.text)):
        if texts is not None and len(texts) != frames:
            raise UserError(f"{where}: {name}: {len(texts)} texts, expected {frames}")
    names = [camera.name for camera in embodiment.cameras]
    if sorted(episode.images) != sorted(names):
        raise UserError(f"{where}: images: cameras {sorted(episode.images)}, expected {sorted(names)}")
    for camera in embodiment.cameras:
        images = episode.images[camera.name]
        shape = (frames, camera.height, camera.width, 3)
        if images.shape != shape or images.dtype != np.uint8:
            got = f"{images.dtype} {images.shape}"
            raise UserError(f"{where}: images.{camera.name}: {got}, expected uint8 {shape}")
