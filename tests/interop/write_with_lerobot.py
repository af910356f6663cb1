"""Run by the Python of an environment with the real `lerobot`: writes datasets through its own API.

    python write_with_lerobot.py OURS FOLDER

Below FOLDER: `video` (AV1, several episodes a file and several files a chunk), `image` (pictures within the
parquet files), `merged` (two datasets put together by lerobot) and `continued` (a copy of our dataset OURS
with two episodes more). Beside them NAME.source.npz, what lerobot was given, and NAME.npz, what it reads.
"""

# pyright: reportMissingImports=false
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from lerobot.datasets.aggregate import aggregate_datasets
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from read_with_lerobot import read

JOINTS = [f"joint_{number}.pos" for number in range(3)]
LENGTHS = [9, 5, 12, 7, 10, 6, 11]
FPS = 10


def main(ours, folder):
    ours, folder = Path(ours), Path(folder)
    write(folder / "video", LENGTHS, use_videos=True)
    write(folder / "second", LENGTHS[:2], use_videos=True, seed=100)
    write(folder / "image", LENGTHS[:3], use_videos=False)
    parts = [folder / "video", folder / "second"]
    aggregate_datasets([part.name for part in parts], "merged", parts, folder / "merged")
    shutil.copytree(ours, folder / "continued")
    resume(folder / "continued")
    for name in ("video", "image", "merged", "continued"):
        read(folder / name, folder / f"{name}.npz", with_stats=False)


def write(root, lengths, use_videos, seed=0):
    """A dataset of moving patterns; small limits make many files of it."""
    kind = "video" if use_videos else "image"
    axes = ["height", "width", "channels"]
    features = {
        "observation.images.front": {"dtype": kind, "shape": (64, 96, 3), "names": axes},
        "observation.images.side": {"dtype": kind, "shape": (96, 64, 3), "names": axes},
        "observation.state": {"dtype": "float32", "shape": (3,), "names": JOINTS},
        "action": {"dtype": "float32", "shape": (3,), "names": JOINTS},
        "reward": {"dtype": "float32", "shape": (1,), "names": None},
        "grasped": {"dtype": "bool", "shape": (1,), "names": None},
        "note": {"dtype": "string", "shape": (1,), "names": None},
    }
    if not use_videos:  # which lerobot itself cannot merge
        features["observation.matrix"] = {"dtype": "float32", "shape": (2, 3), "names": None}
    dataset = LeRobotDataset.create(root.name, FPS, features, root, "threejoints", use_videos=use_videos)
    dataset.meta.update_chunk_settings(
        chunks_size=2, data_files_size_in_mb=0.009, video_files_size_in_mb=0.004
    )
    source, texts = {}, {"note": [], "task": []}
    for episode, length in enumerate(lengths):
        for frame in range(length):
            values = frame_of(features, seed + episode, frame)
            for name, value in values.items():
                texts[name].append(value) if name in texts else source.setdefault(name, []).append(value)
            dataset.add_frame(dict(values))
        dataset.save_episode()
    dataset.finalize()
    arrays = {name: np.stack(values) for name, values in source.items()}
    ends = np.cumsum(lengths).tolist()
    facts = {"episodes": len(lengths), "texts": texts, "ends": ends}
    np.savez(root.parent / f"{root.name}.source.npz", facts=json.dumps(facts), **arrays)


def frame_of(features, seed, frame):
    rng = np.random.default_rng([seed, frame])
    values = {
        "observation.state": rng.normal(size=3).astype(np.float32),
        "action": rng.normal(size=3).astype(np.float32),
        "reward": rng.normal(size=1).astype(np.float32),
        "grasped": np.array([frame % 3 == 0]),
        "note": f"episode {seed}, frame {frame}",
        "task": f"task {seed % 3}" if frame < 6 else "put everything away",  # several tasks in one episode
    }
    for name, feature in features.items():
        if feature["dtype"] in ("video", "image"):
            values[name] = picture(feature["shape"], seed, frame)
        elif name == "observation.matrix":
            values[name] = rng.normal(size=(2, 3)).astype(np.float32)
    return values


def picture(shape, seed, frame):
    """A smooth pattern, whose brightness tells the frame and whose colours tell the episode."""
    height, width, _ = shape
    yy, xx = np.mgrid[:height, :width] / 16
    waves = np.sin(xx[..., None] + yy[..., None] * (1 + seed % 5) + np.array([0.0, 1.0, 2.0]) * seed)
    return (40 + 12 * frame + 25 * waves).clip(0, 255).astype(np.uint8)


def resume(root):
    """Adds two episodes of other lengths, of values that tell the row."""
    dataset = LeRobotDataset("continued", root=root, video_backend="pyav", vcodec="h264")
    for length in (6, 8):
        start = dataset.meta.total_frames
        for frame in range(length):
            values = {"task": "go on with lerobot"}
            for name, feature in dataset.features.items():
                if feature["dtype"] == "video":
                    values[name] = picture(feature["shape"], start, frame)
                elif feature["dtype"] == "string":
                    values[name] = f"row {start + frame}"
                elif name not in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
                    values[name] = np.full(feature["shape"], start + frame, feature["dtype"])
            dataset.add_frame(values)
        dataset.save_episode()
    dataset.finalize()


if __name__ == "__main__":
    main(*sys.argv[1:])
