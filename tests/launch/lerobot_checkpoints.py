"""Folders that look like checkpoints of LeRobot's, without weights that mean anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CAMERAS = {"observation.images.front": (96, 96), "observation.images.wrist": (96, 96)}


def write_config(folder: Path, kind: str = "act", **changes: Any) -> Path:
    """A folder with config.json and an empty weights file."""
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "type": kind,
        "input_features": {
            **{name: {"type": "VISUAL", "shape": [3, *size]} for name, size in CAMERAS.items()},
            "observation.state": {"type": "STATE", "shape": [6]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [6]}},
        "n_obs_steps": 1,
        "chunk_size": 24,
        "n_action_steps": 24,
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def write_facts(folder: Path, fps: float, names: dict[str, list[str]]) -> None:
    (folder / "ideomotor.json").write_text(json.dumps({"fps": fps, "names": names, "dataset": "somewhere"}))
