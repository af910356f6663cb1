"""Small datasets as other people's tools write them: LeRobot v2.0, v2.1 and v3.0, robomimic HDF5.

Written with pyarrow, av and h5py from the facts of the formats, and not with our writer.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
FPS = 10
SIZE = (48, 64)


@dataclass(frozen=True)
class Recording:
    """One episode, every value of which follows from the seed."""

    images: dict[str, np.ndarray]  # {camera: (T, H, W, 3) uint8}
    state: np.ndarray  # (T, 6) float32
    action: np.ndarray  # (T, 6) float32
    task: str

    @property
    def length(self) -> int:
        return len(self.state)


def recordings(
    lengths: Sequence[int] = (7, 9, 5), cameras: Sequence[str] = ("top", "side")
) -> list[Recording]:
    made = []
    for seed, length in enumerate(lengths):
        rng = np.random.default_rng(seed)
        values = 0.5 * np.sin(np.arange(length)[:, None] / 5 + rng.uniform(0, 6, (2, 1, len(JOINTS))))
        values[..., 5] += 0.5  # a gripper does not close further than shut
        images = {}
        for number, camera in enumerate(cameras):
            level = np.arange(length) * 12 + 40 * number + 10 * seed + 20
            images[camera] = np.broadcast_to(level[:, None, None, None], (length, *SIZE, 3)).astype(np.uint8)
            images[camera] = images[camera].copy()
            images[camera][:, : SIZE[0] // 2, :, number] += 30  # so that up, down and channels show
        task = ("pick up the cube", "open the drawer")[seed % 2]
        made.append(Recording(images, values[0].astype(np.float32), values[1].astype(np.float32), task))
    return made


def video(parts: Sequence[np.ndarray]) -> bytes:
    """An mp4 as ffmpeg makes it for others: B-frames, a long distance between key frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "8", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for images in parts:
            for image in images:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def png(image: np.ndarray) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": "frame.png"}


def features(
    cameras: Sequence[str], inline: bool, names: Any, width: int, state_width: int = 0
) -> dict[str, dict[str, Any]]:
    kind = "image" if inline else "video"
    picture = {"dtype": kind, "shape": [*SIZE, 3], "names": ["height", "width", "channel"]}
    found: dict[str, dict[str, Any]] = {f"observation.images.{camera}": dict(picture) for camera in cameras}
    for name, count in (("observation.state", state_width or width), ("action", width)):
        found[name] = {"dtype": "float32", "shape": [count], "names": names}
    found["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        found[name] = {"dtype": "int64", "shape": [1], "names": None}
    return found


def rows(
    recording: Recording, episode: int, start: int, task: int, inline: bool, drop: Sequence[str]
) -> pa.Table:
    frames = np.arange(recording.length)
    columns: dict[str, Any] = {}
    if inline:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        for camera, images in recording.images.items():
            columns[f"observation.images.{camera}"] = pa.array([png(image) for image in images], kind)
    for name, values in (("observation.state", recording.state), ("action", recording.action)):
        columns[name] = pa.array(values.tolist(), pa.list_(pa.float32(), values.shape[1]))
    columns["timestamp"] = pa.array(frames / FPS, pa.float32())
    columns["frame_index"] = frames
    columns["episode_index"] = np.full(recording.length, episode)
    columns["index"] = frames + start
    columns["task_index"] = np.full(recording.length, task)
    return pa.table({name: values for name, values in columns.items() if name not in drop})


def stats_of(table: pa.Table) -> dict[str, Any]:
    found = {}
    for name in table.column_names:
        if "images" in name:
            continue
        values = np.array(table[name].to_pylist(), float).reshape(len(table), -1)
        parts = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
        found[name] = {key: value.tolist() for key, value in parts.items()} | {"count": [len(values)]}
    return found


def write_v2(
    root: Path,
    made: Sequence[Recording],
    version: str = "v2.1",
    *,
    inline: bool = False,
    names: Any = tuple(JOINTS),
    drop: Sequence[str] = (),
    chunks_size: int = 2,
) -> Path:
    """v2.1 and v2.0: a parquet file and a video for each episode; `drop` names columns left out."""
    cameras = list(made[0].images)
    tasks = list(dict.fromkeys(recording.task for recording in made))
    found = {
        name: f
        for name, f in features(
            cameras, inline, names, made[0].action.shape[1], made[0].state.shape[1]
        ).items()
        if name not in drop
    }
    starts = np.cumsum([0, *(recording.length for recording in made)])
    tables = []
    for episode, recording in enumerate(made):
        chunk = episode // chunks_size
        table = rows(recording, episode, starts[episode], tasks.index(recording.task), inline, drop)
        tables.append(table)
        path = root / f"data/chunk-{chunk:03d}/episode_{episode:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=4)
        for camera, images in {} if inline else recording.images.items():
            path = root / f"videos/chunk-{chunk:03d}/observation.images.{camera}/episode_{episode:06d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(video([images]))
    meta = root / "meta"
    meta.mkdir()
    info = {
        "codebase_version": version,
        "robot_type": "so100",
        "total_episodes": len(made),
        "total_frames": int(starts[-1]),
        "total_tasks": len(tasks),
        "total_videos": len(cameras) * len(made),
        "total_chunks": -(-len(made) // chunks_size),
        "chunks_size": chunks_size,
        "fps": FPS,
        "splits": {"train": f"0:{len(made)}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": None
        if inline
        else "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": found,
    }
    (meta / "info.json").write_text(json.dumps(info))
    episodes = [{"episode_index": i, "tasks": [r.task], "length": r.length} for i, r in enumerate(made)]
    lines(meta / "episodes.jsonl", episodes)
    lines(meta / "tasks.jsonl", [{"task_index": i, "task": task} for i, task in enumerate(tasks)])
    if version == "v2.1":
        each = [{"episode_index": i, "stats": stats_of(table)} for i, table in enumerate(tables)]
        lines(meta / "episodes_stats.jsonl", each)
    else:
        whole = stats_of(pa.concat_tables(tables))
        for values in whole.values():
            del values["count"]
        (meta / "stats.json").write_text(json.dumps(whole))
    return root


def write_v3(
    root: Path,
    made: Sequence[Recording],
    *,
    inline: bool = False,
    per_file: int = 2,
    names: Any = tuple(JOINTS),
) -> Path:
    """v3.0: several episodes in a file and several files; without statistics of episodes."""
    cameras = list(made[0].images)
    tasks = list(dict.fromkeys(recording.task for recording in made))
    starts = np.cumsum([0, *(recording.length for recording in made)])
    tables = [rows(r, i, starts[i], tasks.index(r.task), inline, ()) for i, r in enumerate(made)]
    listed: list[dict[str, Any]] = []
    for file, first in enumerate(range(0, len(made), per_file)):
        group = made[first : first + per_file]
        path = root / f"data/chunk-000/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, tables[first].schema) as writer:
            for table in tables[first : first + per_file]:
                writer.write_table(table)
        for camera in [] if inline else cameras:
            path = root / f"videos/observation.images.{camera}/chunk-000/file-{file:03d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(video([recording.images[camera] for recording in group]))
        for i, recording in enumerate(group):
            episode, place = first + i, {"chunk_index": 0, "file_index": file}
            row: dict[str, Any] = {
                "episode_index": episode,
                "tasks": [recording.task],
                "length": recording.length,
            }
            row |= {"dataset_from_index": int(starts[episode]), "dataset_to_index": int(starts[episode + 1])}
            row |= {f"data/{key}": value for key, value in place.items()}
            for camera in [] if inline else cameras:
                key = f"videos/observation.images.{camera}"
                row |= {f"{key}/{name}": value for name, value in place.items()}
                row[f"{key}/from_timestamp"] = float(starts[episode] - starts[first]) / FPS
                row[f"{key}/to_timestamp"] = float(starts[episode + 1] - starts[first]) / FPS
            listed.append(row)
    meta = root / "meta"
    (meta / "episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(listed), meta / "episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.table({"task_index": range(len(tasks)), "task": tasks}), meta / "tasks.parquet")
    (meta / "stats.json").write_text(json.dumps(stats_of(pa.concat_tables(tables))))
    info = {
        "codebase_version": "v3.0",
        "robot_type": "so100",
        "total_episodes": len(made),
        "total_frames": int(starts[-1]),
        "total_tasks": len(tasks),
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(made)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None
        if inline
        else "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features(cameras, inline, names, made[0].action.shape[1], made[0].state.shape[1]),
    }
    (meta / "info.json").write_text(json.dumps(info))
    return root


def lines(path: Path, values: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


ENV_ARGS = {
    "env_name": "Lift",
    "type": 1,
    "env_kwargs": {"robots": ["Panda"], "control_freq": 20, "camera_names": ["agentview"]},
}


def write_robomimic(path: Path, lengths: Sequence[int] = (6, 8, 5), **attributes: Any) -> dict[str, Any]:
    """A robomimic file as dataset_states_to_obs.py makes it; returns its values, {demo: {name: array}}."""
    import h5py

    numbers = [0, 2, 10][: len(lengths)]  # demonstrations are left out by filters, and sort by number
    written = {}
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for name, value in ({"env_args": json.dumps(ENV_ARGS), "total": sum(lengths)} | attributes).items():
            data.attrs[name] = value
        for number, length in zip(numbers, lengths, strict=True):
            rng = np.random.default_rng(number)
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = length
            values = {
                "actions": rng.uniform(-1, 1, (length, 7)),
                "states": rng.uniform(-1, 1, (length, 32)),
                "rewards": np.linspace(0, 1, length),
                "dones": (np.arange(length) == length - 1).astype(int),
                "obs/robot0_eef_pos": rng.uniform(-1, 1, (length, 3)),
                "obs/robot0_eef_quat": rng.uniform(-1, 1, (length, 4)),
                "obs/robot0_gripper_qpos": rng.uniform(-1, 1, (length, 2)),
                "obs/robot0_joint_pos": rng.uniform(-1, 1, (length, 7)),
                "obs/object": rng.uniform(-1, 1, (length, 10)),
                "obs/agentview_depth": rng.uniform(0, 1, (length, 48, 64, 1)).astype(np.float32),
                "obs/agentview_image": np.full((length, 48, 64, 3), 100 + 5 * number, np.uint8),
                "next_obs/object": rng.uniform(-1, 1, (length, 10)),
            }
            for name, value in values.items():
                demo[name] = value
            written[f"demo_{number}"] = values
        file["mask/train"] = np.array([b"demo_0", b"demo_2"])
    return written
