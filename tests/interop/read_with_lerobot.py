"""Run by the Python of an environment with the real `lerobot`: reads a dataset through its own API.

    python read_with_lerobot.py DATASET OUT.npz

OUT.npz holds every column of every row and the decoded images as LeRobotDataset returns them, the
statistics on the disk and those that lerobot computes from the same rows; for test_interop.py.
"""

# pyright: reportMissingImports=false
import json
import sys

import numpy as np
from lerobot.datasets.compute_stats import aggregate_stats, compute_episode_stats, get_feature_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset

root, out = sys.argv[1:]
dataset = LeRobotDataset("local/check", root=root)
arrays, texts = {}, {}
for row in range(len(dataset)):
    for name, value in dataset[row].items():
        if isinstance(value, str):
            texts.setdefault(name, []).append(value)
        else:
            array = np.asarray(value)
            if array.ndim == 3:  # an image, (3, H, W) in [0, 1]
                array = np.round(array.transpose(1, 2, 0) * 255).astype(np.uint8)
            arrays.setdefault(name, []).append(array)
arrays = {name: np.stack(values) for name, values in arrays.items()}

recomputed = []
for episode in dataset.meta.episodes:
    rows = slice(episode["dataset_from_index"], episode["dataset_to_index"])
    values = {name: array[rows] for name, array in arrays.items() if array.ndim <= 2 and array.dtype != bool}
    stats = compute_episode_stats(values, dataset.features)
    for name in dataset.meta.camera_keys:
        images = arrays[name][rows].transpose(0, 3, 1, 2).astype(float)  # 0.4.4 squares uint8 and overflows
        found = get_feature_stats(images, axis=(0, 2, 3), keepdims=True)
        stats[name] = {k: v if k == "count" else np.squeeze(v / 255.0, axis=0) for k, v in found.items()}
    recomputed.append(stats)
for prefix, stats in (("stats", dataset.meta.stats), ("recomputed", aggregate_stats(recomputed))):
    for feature, values in stats.items():
        arrays |= {f"{prefix}/{feature}/{name}": np.asarray(value) for name, value in values.items()}

window = LeRobotDataset("local/check", root=root, delta_timestamps={"action": [0.0, 1 / dataset.fps]})
arrays["window"] = np.stack([np.asarray(window[row]["action"]) for row in range(len(window))])
facts = {
    "episodes": dataset.num_episodes,
    "fps": dataset.fps,
    "robot_type": dataset.meta.robot_type,
    "tasks": list(dataset.meta.tasks.index),
    "columns": dataset.meta.episodes.column_names,
    "texts": texts,
}
np.savez(out, facts=json.dumps(facts), **arrays)
