"""Small random episodes, and datasets of them, for the tests of this folder."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.datasets.lerobot.demonstration_writer import DemonstrationWriter, Row
from ideomotor.datasets.lerobot.episode import Episode
from ideomotor.datasets.lerobot.writer import DatasetWriter


def sample_episode(
    seed: int, frames: int = 12, embodiment: Embodiment | None = None, **changes: Any
) -> Episode:
    """Returns an episode of smooth images and joints; every value follows from the seed."""
    embodiment = embodiment or load_embodiment("so101")
    rng = np.random.default_rng(seed)
    joints, ticks = len(embodiment.joints), embodiment.control_hz // 30
    middle, half = (embodiment.upper + embodiment.lower) / 2, (embodiment.upper - embodiment.lower) / 2
    time = np.arange(frames * ticks)[:, None] / embodiment.control_hz
    commands = (middle + 0.8 * half * np.sin(time + rng.uniform(0, 6, joints))).astype(np.float32)
    images = {}
    for camera in embodiment.cameras:
        yy, xx = np.mgrid[: camera.height, : camera.width] / 16
        phase = rng.uniform(0, 6) + np.arange(frames)[:, None, None, None] / 5
        waves = np.sin(xx[..., None] + yy[..., None] + phase) * np.array([1.0, 0.9, 0.8])
        images[camera.name] = (127 + 100 * waves).astype(np.uint8)
    values = {
        "images": images,
        "state": commands[::ticks] + 0.01,
        "action": commands[::ticks],
        "action_high_rate": commands.reshape(frames, ticks * joints),
        "subtask": ["reach"] * (frames // 2) + ["grasp"] * (frames - frames // 2),
        "text": [f"cube at {seed}, frame {frame}" for frame in range(frames)],
        "referred": rng.uniform(-0.3, 0.3, (frames, 6)).astype(np.float32),
        "keypoints": rng.uniform(0, 1, (frames, 6)).astype(np.float32),
        "progress": np.linspace(0, 1, frames, dtype=np.float32)[:, None],
        "task": ["put the red cube into the bowl", "push the ball to the left"][seed % 2],
        "success": True,
        "seed": 1000 + seed,
        "task_name": ["place", "push"][seed % 2],
        "index": seed,
    }
    return Episode(**(values | changes))


def digest(root: Path) -> dict[str, str]:
    """Returns the hash of every file, by its path in the folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="session")
def so101() -> Embodiment:
    return load_embodiment("so101")


@pytest.fixture(scope="session")
def make_episode() -> Callable[..., Episode]:
    return sample_episode


@pytest.fixture(scope="session")
def hashes() -> Callable[[Path], dict[str, str]]:
    return digest


@pytest.fixture(scope="session")
def foreign() -> ModuleType:
    """foreign.py, which writes datasets as other people's tools do."""
    spec = importlib.util.spec_from_file_location("foreign", Path(__file__).with_name("foreign.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["foreign"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory, so101: Embodiment) -> Path:
    """Five episodes of 10 to 14 frames; not to be changed."""
    root = tmp_path_factory.mktemp("recorded") / "five"
    with DatasetWriter(root, so101) as writer:
        for seed in range(5):
            writer.add_episode(sample_episode(seed, 10 + seed))
    return root


@pytest.fixture(scope="session")
def by_person(so101: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's two episodes from cameras of two sizes, one of which did not renew every picture."""
    root = tmp_path_factory.mktemp("person") / "mine"
    sizes = {"front": (480, 640), "wrist": (120, 160)}
    cameras = (replace(c, height=sizes[c.name][0], width=sizes[c.name][1]) for c in so101.cameras)
    robot = replace(so101, cameras=tuple(cameras))
    walk = so101.home_position + np.linspace(0, 0.2, 48)[:, None]
    with DemonstrationWriter(root, robot, 30) as writer:
        for length in (12, 7):
            writer.begin()
            for i in range(length):
                images = {name: np.full((*size, 3), 20 + 5 * i, np.uint8) for name, size in sizes.items()}
                captured = {"front": i / 30, "wrist": i // 2 * 2 / 30}
                ticks = walk[4 * i : 4 * i + 4]
                writer.add(Row(0.002 + i / 30, images, captured, ticks + 0.01, ticks))
            writer.save("lift it", {"success": True, "dropped_frames": length // 2})
    return root
