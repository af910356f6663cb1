"""Run by the Python of an environment with the real `lerobot`: reads datasets through its own API.

    python read_with_lerobot.py DATASET OUT.npz [DATASET OUT.npz ...]

Each OUT.npz holds every column of every row and the decoded images as LeRobotDataset returns them, the
statistics on the disk and those that lerobot computes from the same rows; for test_interop.py.
"""

# pyright: reportMissingImports=false
import json
import sys

import numpy as np
from lerobot.datasets.compute_stats import aggregate_stats, compute_episode_stats, get_feature_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def read(root, out, with_stats=True):
    """Writes what lerobot makes of the dataset in the folder `root` to the file `out`."""
    dataset = LeRobotDataset("local/check", root=root, video_backend="pyav")
    arrays, texts = rows_of(dataset)
    facts = {
        "episodes": dataset.num_episodes,
        "fps": dataset.fps,
        "robot_type": dataset.meta.robot_type,
        "tasks": list(dataset.meta.tasks.index),
        "columns": dataset.meta.episodes.column_names,
        "ends": list(dataset.meta.episodes["dataset_to_index"]),
        "texts": texts,
    }
    if with_stats:
        arrays |= statistics_of(dataset, arrays)
    steps = {"action": [0.0, 1 / dataset.fps]}
    window = LeRobotDataset("local/check", root=root, delta_timestamps=steps, video_backend="pyav")
    arrays["window"] = np.stack([np.asarray(window[row]["action"]) for row in range(len(window))])
    np.savez(out, facts=json.dumps(facts), **arrays)


def rows_of(dataset):
    """({column: values of every row, images as uint8}, {column: texts of every row})"""
    arrays, texts = {}, {}
    for row in range(len(dataset)):
        for name, value in dataset[row].items():
            if isinstance(value, str):
                texts.setdefault(name, []).append(value)
            else:
                array = np.asarray(value)
                if name in dataset.meta.camera_keys:  # (3, H, W) in [0, 1]
                    array = np.round(array.transpose(1, 2, 0) * 255).astype(np.uint8)
                arrays.setdefault(name, []).append(array)
    return {name: np.stack(values) for name, values in arrays.items()}, texts


def statistics_of(dataset, arrays):
    recomputed = []
    for episode in dataset.meta.episodes:
        rows = slice(episode["dataset_from_index"], episode["dataset_to_index"])
        values = {
            name: array[rows] for name, array in arrays.items() if array.ndim <= 2 and array.dtype != bool
        }
        stats = compute_episode_stats(values, dataset.features)
        for name in dataset.meta.camera_keys:
            images = (
                arrays[name][rows].transpose(0, 3, 1, 2).astype(float)
            )  # 0.4.4 squares uint8 and overflows
            found = get_feature_stats(images, axis=(0, 2, 3), keepdims=True)
            stats[name] = {k: v if k == "count" else np.squeeze(v / 255.0, axis=0) for k, v in found.items()}
        recomputed.append(stats)
    return {
        f"{prefix}/{feature}/{name}": np.asarray(value)
        for prefix, stats in (("stats", dataset.meta.stats), ("recomputed", aggregate_stats(recomputed)))
        for feature, values in stats.items()
        for name, value in values.items()
    }


if __name__ == "__main__":
    for pair in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        read(*pair)
