"""Renders synthetic scenes into a folder of shards, made once by worker processes.

A shard is made whole or not at all, so an interrupted run is taken up again. Shard 0 is never trained on: it
is what the interpreter is examined with, in phrasings that are never trained on either.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.worker_pool import in_processes
from ideomotor.sim.vqa.synthetic_scenes import CAMERAS, SyntheticScene, synthetic_scenes

VERSION = 3  # of what shards hold; 2: both cameras, questions beside instructions; 3: the joint states
ABANDONED_S = 3600.0  # age of what a process that is gone has left half rendered
Progress = Callable[[int, int], None]  # (shards done, shards in all)
_UNFINISHED = re.compile(r"shard-\d+\.(\d+)")  # the process that renders it


@dataclass(frozen=True)
class PoolSettings:
    """Which scenes."""

    scenes: int = 20000
    seed: int = 0
    level: str = "light"  # of randomisation: none, light, full or mixed
    shard: int = 500  # scenes made at a time


def render_shards(
    root: Path, settings: PoolSettings, workers: int = 1, progress: Progress | None = None
) -> list[Path]:
    """Returns the shards of a pool, the one to examine with first, after rendering those that are missing.

    Args:
        root, settings, workers, progress: as in `scene_pool.make_pool`.

    Raises:
        KeyboardInterrupt: at once; whole shards stay.
    """
    shards = shards_of(root, settings)
    folder = shards[0].parent
    missing = [number for number, shard in enumerate(shards) if not shard.is_dir()]
    if not missing:
        return shards
    folder.mkdir(parents=True, exist_ok=True)
    _clear(folder)
    render = functools.partial(render_shard, folder, settings, os.getpid())
    try:
        with closing(in_processes(render, missing, max(1, workers))) as rendered:
            for done, _ in enumerate(rendered, start=1):
                if progress:
                    progress(done, len(missing))
    finally:
        for unfinished in folder.glob(f"shard-*.{os.getpid()}"):
            shutil.rmtree(unfinished, ignore_errors=True)
    return shards


def shards_of(root: Path, settings: PoolSettings) -> list[Path]:
    """Folders of a pool's shards, the one that is never trained on first."""
    folder = root / f"v{VERSION}-{settings.level}-{settings.seed}-{settings.shard}"
    count = 1 + max(1, -(-settings.scenes // settings.shard))
    return [folder / f"shard-{number:05d}" for number in range(count)]


def render_shard(folder: Path, settings: PoolSettings, owner: int, number: int) -> None:
    """Renders one shard for the process `owner` under a temporary name, and renames it when it is whole."""
    split = "heldout" if number == 0 else "train"
    scenes = list(
        synthetic_scenes(settings.seed * 100_003 + number, settings.shard, settings.level, split=split)
    )
    shard = folder / f"shard-{number:05d}"
    whole = shard.with_name(f"{shard.name}.{owner}")
    try:
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        np.save(
            whole / "images.npy",
            np.stack([np.stack([scene.images[camera] for camera in CAMERAS]) for scene in scenes]),
        )
        np.save(whole / "states.npy", np.stack([scene.state for scene in scenes]))
        items = [_items(scene) for scene in scenes]
        (whole / "items.json").write_text(json.dumps(items), encoding="utf-8")
        whole.rename(shard)
    except OSError:
        if not shard.is_dir():  # another process was not faster: a real error
            raise
    finally:
        shutil.rmtree(whole, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Removes what processes that were killed have left half rendered."""
    for path in folder.iterdir():
        found = _UNFINISHED.fullmatch(path.name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_S:
                    shutil.rmtree(path, ignore_errors=True)


def _items(scene: SyntheticScene) -> list[dict[str, Any]]:
    """What of a scene is kept as JSON."""
    return [
        {
            "instruction": item.instruction,
            "text": item.text,
            "keypoints": {name: [float(u), float(v)] for name, (u, v) in item.keypoints.items()},
            "kind": item.kind,
        }
        for item in scene.items
    ]
