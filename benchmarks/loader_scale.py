"""The loader from a thousand to ten million frames: opening, a random window, memory; the last line is JSON.

    .venv/bin/python -m benchmarks.loader_scale [--frames 1000 10000 ... 10000000] [--folder DIR]

The datasets are laid out as our writer does (25 episodes of 300 frames a file), with real columns. Videos
are links to one file and are not decoded: the image cache is a file of holes, as long as it would be (two
cameras of 96 px, now and at the plan's time: 110 kB a window). Each figure is of a process of its own, a
"worker" that opens the loader on a built cache and draws shuffled batches of 32; its memory is the peak of
the resident set, mapped files included. "build" is the process that reads the dataset and writes the cache
of its columns. Ten million frames take 5 GB of disk and a minute or two.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.file_group import parquet_bytes
from ideomotor.datasets.lerobot.stats import to_lists, vector_stats
from ideomotor.datasets.loading import cache
from ideomotor.datasets.loading.frames import create_frame_file
from ideomotor.datasets.loading.loader import WindowLoader

EPISODE, PER_FILE = 300, 25  # frames, episodes in a file
HORIZON, BATCH, BATCHES = 100, 32, 250
TASKS = [f"put object {number} into the bowl" for number in range(50)]


def main() -> None:
    parser = argparse.ArgumentParser(description="measures the loader on datasets of growing size")
    parser.add_argument("--frames", type=int, nargs="+", default=[10**n for n in range(3, 8)])
    parser.add_argument(
        "--folder", type=Path, help="where the datasets are made (5 GB for ten million frames)"
    )
    arguments = parser.parse_args()
    rows = []
    print(f"{'frames':>10} {'open':>8} {'window':>8} {'p99':>8} {'memory':>8}   {'build':>7} {'memory':>8}")
    for frames in arguments.frames:
        with tempfile.TemporaryDirectory(prefix="ideomotor-scale-", dir=arguments.folder) as folder:
            write_dataset(Path(folder) / "data", frames)
            built = in_a_process(build, Path(folder))
            found = in_a_process(draw, Path(folder))
        print(
            f"{frames:10d} {found['open_s']:6.2f} s {found['window_ms']:5.3f} ms {found['p99_ms']:5.3f} ms"
            f" {found['peak_mb']:5.0f} MB {built['seconds']:7.1f} s {built['peak_mb']:5.0f} MB"
        )
        for name, value, unit in (
            ("open", found["open_s"], "s"),
            ("random window with a chunk of 100", found["window_ms"], "CPU ms"),
            ("the same, p99 over batches", found["p99_ms"], "CPU ms"),
            ("peak memory of a worker", found["peak_mb"], "MB"),
            ("peak memory of a build", built["peak_mb"], "MB"),
        ):
            rows.append({"name": f"{frames} frames: {name}", "value": round(value, 4), "unit": unit}
                        | dict.fromkeys(("peer", "peer_value", "ratio")))  # fmt: skip
    print(json.dumps({"rows": rows}))


def build(folder: Path) -> dict[str, float]:
    """Builds the cache, with holes for images."""
    cache._write_images = _holes
    shutil.disk_usage = lambda _: SimpleNamespace(free=2**60)  # holes take no room
    start = time.perf_counter()
    loader(folder)
    return {"seconds": time.perf_counter() - start, "peak_mb": peak_mb()}


def draw(folder: Path) -> dict[str, float]:
    """Opens the loader and draws batches."""
    start = time.perf_counter()
    opened = loader(folder)
    open_s = time.perf_counter() - start
    took = []
    for step in range(BATCHES):
        begun = time.process_time()
        batch = opened.batch(step)
        took.append((time.process_time() - begun) / BATCH)
        assert batch.actions.shape == (BATCH, HORIZON, 6)
    window_ms, p99_ms = 1000 * np.percentile(took[5:], [50, 99])
    return {"open_s": open_s, "window_ms": window_ms, "p99_ms": p99_ms, "peak_mb": peak_mb()}


def loader(folder: Path) -> WindowLoader:
    embodiment = load_embodiment("so101")
    return WindowLoader([folder / "data"], embodiment, HORIZON, BATCH, cache_root=folder / "cache")


def write_dataset(root: Path, frames: int) -> None:
    """Writes so many frames; the last episode may be shorter. Files differ in their counters only."""
    embodiment = load_embodiment("so101")
    info = layout.new_info(embodiment, 30)
    schema = layout.data_schema(info["features"])
    rng = np.random.default_rng(0)
    size = min(frames, EPISODE * PER_FILE)
    values = {field.name: _column(field, size, rng) for field in schema}
    episodes = -(-frames // EPISODE)
    keys = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
    (root / "meta").mkdir(parents=True)
    for key in keys:
        (root / "videos" / key).mkdir(parents=True)
        (root / "videos" / key / "one.mp4").write_bytes(b"no video")
    for number, first in enumerate(range(0, episodes, PER_FILE)):
        place = {"chunk_index": number // 1000, "file_index": number % 1000}
        lengths = [min(EPISODE, frames - e * EPISODE) for e in range(first, min(first + PER_FILE, episodes))]
        offsets = np.cumsum([0, *lengths])
        counters = {
            "episode_index": np.repeat(np.arange(first, first + len(lengths)), lengths),
            "index": first * EPISODE + np.arange(offsets[-1]),
        }
        columns = {name: array.slice(0, offsets[-1]) for name, array in values.items()}
        columns |= {name: pa.array(numbers) for name, numbers in counters.items()}
        table = pa.table([columns[name] for name in schema.names], schema=schema)
        groups = [table.slice(a, n) for a, n in zip(offsets, lengths, strict=False)]
        _put(root / layout.DATA.format(**place), parquet_bytes(groups))
        listed = [_episode(first + i, length, place, keys) for i, length in enumerate(lengths)]
        _put(root / layout.EPISODES.format(**place), parquet_bytes([pa.Table.from_pylist(listed)]))
        for key in keys:
            path = root / layout.VIDEO.format(video_key=key, **place)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(root / "videos" / key / "one.mp4", path)
    _put(root / layout.TASKS, parquet_bytes([layout.tasks_table(TASKS)]))
    identity = layout.identity_of(embodiment)
    info |= {"total_episodes": episodes, "total_frames": frames, "total_tasks": len(TASKS)}
    _put(root / layout.IDENTITY, layout.to_json(identity))
    _put(root / layout.INFO, layout.to_json(info))


def _column(field: pa.Field, rows: int, rng: np.random.Generator) -> pa.Array:
    if pa.types.is_fixed_size_list(field.type):
        flat = np.cumsum(rng.normal(0, 1e-3, (rows, field.type.list_size)), axis=0).astype(np.float32)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), type=field.type)
    if field.type == pa.string():
        return pa.array([f"{field.name}: step {row // 50 % 40} of 40" for row in range(rows)])
    if field.name == "task_index":
        return pa.array(np.arange(rows) // EPISODE % len(TASKS), field.type)
    return pa.array(np.arange(rows) % EPISODE).cast(field.type)


def _episode(index: int, length: int, place: dict[str, int], keys: list[str]) -> dict[str, Any]:
    """A row of the episode table, with statistics as every dataset has them."""
    start = index * EPISODE
    row: dict[str, Any] = {"episode_index": index, "tasks": [TASKS[index % len(TASKS)]], "length": length}
    row |= {"dataset_from_index": start, "dataset_to_index": start + length}
    for prefix in ("data", "meta/episodes", *(f"videos/{key}" for key in keys)):
        row |= {f"{prefix}/{name}": value for name, value in place.items()}
    for key in keys:
        row |= {
            f"videos/{key}/from_timestamp": index % PER_FILE * 10.0,
            f"videos/{key}/to_timestamp": 0.0,
        }
    return row | _STATS


def _holes(dataset: Any, folder: Path, cameras: list[str], size: tuple[int, int], progress: Any) -> None:
    for camera in cameras:
        rows = int(dataset.starts[-1])
        descriptor, _ = create_frame_file(folder / f"image.{camera}.npy", (rows, *size, 3))
        os.close(descriptor)


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


_STATS = {
    f"stats/{feature}/{name}": value
    for feature in ("observation.state", "action", "action.high_rate", "progress", "timestamp")
    for name, value in to_lists({"x": vector_stats(np.arange(20.0))})["x"].items()
}


def peak_mb() -> float:
    """The peak of this process's resident set, mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def in_a_process(work: Callable[[Path], dict[str, float]], folder: Path) -> dict[str, float]:
    """Returns what a function gives in a new process."""
    context = multiprocessing.get_context("spawn")
    answers: SimpleQueue[dict[str, float]] = context.SimpleQueue()
    process = context.Process(target=_answer, args=(work, folder, answers))
    process.start()
    process.join()
    if process.exitcode:
        shutil.rmtree(folder, ignore_errors=True)
        raise SystemExit(f"{work.__name__}: exit code {process.exitcode}")
    return answers.get()


def _answer(
    work: Callable[[Path], dict[str, float]], folder: Path, answers: SimpleQueue[dict[str, float]]
) -> None:
    answers.put(work(folder))


if __name__ == "__main__":
    main()
