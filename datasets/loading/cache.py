"""Decodes a dataset once into files that all training processes share.

A cache is two folders named after the dataset's content: the columns that windows are made of, and the
images at one size. A dataset that has changed gets new ones. Where the images do not fit the budget they
are decoded from the videos each time they are asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.checking.check_videos import check_times
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.metadata import Metadata
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading import cache_folders
from ideomotor.datasets.loading.cached_columns import column_bytes, write_columns
from ideomotor.datasets.loading.columns import Maps, Texts, read_columns, texts_as_arrays
from ideomotor.datasets.loading.frames import (
    DecodedFrames,
    FrameFile,
    Frames,
    create_frame_file,
    is_cut,
    resized,
)

VERSION = 3  # of the cache's own layout
CHUNK = 64  # frames written at a time
TIMED = "timed."  # prefix of empty files beside the columns: the times of this camera's frames are right
Progress = Callable[[int, int], None]  # (frames done, frames in all), over all cameras


@dataclass(frozen=True)
class Cache:
    """A dataset of N rows and E episodes as arrays; texts are codes into `vocabulary`."""

    meta: Metadata  # without the episode table
    folder: Path  # of the columns
    starts: np.ndarray  # (E + 1,) int64, first row of each episode, and N
    columns: dict[str, np.ndarray]  # {feature: (N,) or (N, n)}, those of NEEDED and EXTRAS that there are
    vocabulary: dict[str, Texts]  # {feature: texts}; also "task"
    images: dict[str, Frames]  # {camera: N images}
    maps: Maps  # what `columns` lies in
    held: tuple[cache_folders.Held, ...]  # the folders, kept from being removed
    notes: tuple[str, ...] = ()  # why images are decoded each time, and which extras are not used


def open_cache(
    dataset: Dataset | Path | str,
    height: int,
    width: int,
    *,
    cameras: list[str] | None = None,
    cache_root: Path | None = None,
    budget: int | None = None,
    progress: Progress | None = None,
    check: Callable[[Metadata], None] = lambda meta: None,
) -> Cache:
    """Returns the dataset's cache with images of this size, after building it if needed.

    The dataset itself is read only for building: opening a cache takes the same time for any size.

    Args:
        cameras: which cameras; all by default.
        cache_root: where caches live; $IDEOMOTOR_CACHE or ~/.cache/ideomotor by default.
        budget: bytes that all caches together may take; $IDEOMOTOR_CACHE_GB, or the whole disk.
        check: called before anything is built; refuses a dataset by raising UserError.

    Raises:
        UserError: the dataset is damaged, or there is no room for its columns.
    """
    path = dataset.root if isinstance(dataset, Dataset) else Path(dataset)
    info = dataset.info if isinstance(dataset, Dataset) else layout.read_json(path / layout.INFO)
    root = cache_root or cache_folders.default_root()
    budget = cache_folders.default_budget() if budget is None else budget

    @cache
    def opened() -> Dataset:
        return dataset if isinstance(dataset, Dataset) else Dataset(path)

    def build_columns(folder: Path) -> None:
        check(opened().meta)
        _write_columns(opened(), folder)

    def build_images(folder: Path) -> None:
        _write_images(opened(), folder, names, size, progress)

    if not info.get("total_episodes"):
        raise UserError(f"{path}: no episodes in it")
    key, place = _content_key(path, info), str(path.resolve())
    name = f"{path.resolve().name}-{_short(place)}-columns"
    try:
        held = cache_folders.take(root, name, key, lambda: column_bytes(opened()), build_columns, budget)
        found = _load(held, path)
        check(found.meta)
        names = sorted(found.meta.cameras if cameras is None else cameras)
        for camera in names:  # before anything is decoded, and alike whether it fits
            if not (found.folder / (TIMED + camera)).exists():
                check_times(opened(), [camera])
                (found.folder / (TIMED + camera)).touch()
        size, rows = (height, width), int(found.starts[-1])
        shapes = [found.meta.features[found.meta.video_key(camera)]["shape"] for camera in names]
        cut = "-cut" if any(is_cut(shape, size) for shape in shapes) else ""
        name = f"{path.resolve().name}-{_short(place + str(names))}-{height}x{width}{cut}"
        needed = len(names) * rows * height * width * 3
        try:
            decoded = cache_folders.take(root, name, key, lambda: needed, build_images, budget)
        except cache_folders.NoRoom as error:
            images: dict[str, Frames] = {c: DecodedFrames(opened, rows, c, size) for c in names}
            note = f"{path}: images are decoded from the videos each time ({error}; see IDEOMOTOR_CACHE_GB)"
            return replace(found, images=images, notes=(*found.notes, note))
    except cache_folders.NoRoom as error:
        raise UserError(f"{root}: no room for the cache of {path} ({error}); set IDEOMOTOR_CACHE") from None
    except OSError as error:
        raise files.cannot_write(f"{root}: cache of {path}", error) from None
    try:
        images = {camera: FrameFile(decoded.folder / f"image.{camera}.npy") for camera in names}
    except (OSError, ValueError) as error:
        raise _damaged(decoded.folder, error) from None
    return replace(found, images=images, held=(held, decoded))


def _load(held: cache_folders.Held, root: Path) -> Cache:
    """A cache without images."""
    folder, maps = held.folder, Maps()
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        columns = read_columns(folder, index["columns"], maps)
        vocabulary = {
            name: Texts(*(maps.open(folder / f"{part}.{name}.npy") for part in ("letters", "ends")))
            for name in index["vocabulary"]
        }
        starts = np.load(folder / "starts.npy")
        nothing = pa.table({"dataset_to_index": pa.array([], pa.int64())})
        meta = Metadata(root, index["info"], index["identity"], [], nothing)
        left_out = [f"{root}: {name} is not used: {why}" for name, why in index["left_out"].items()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from None
    return Cache(meta, folder, starts, columns, vocabulary, {}, maps, (held,), tuple(left_out))


def _damaged(folder: Path, error: Exception) -> UserError:
    return UserError(f"{folder}: damaged cache ({error}); delete the folder to build it again")


def _write_columns(dataset: Dataset, folder: Path) -> None:
    """Writes columns, texts and index; extras that are not what they should be are left out."""
    names, texts, left_out = write_columns(dataset, folder)
    vocabulary = {"task": dataset.tasks} | texts
    for name, items in vocabulary.items():
        for part, array in zip(("letters", "ends"), texts_as_arrays(items), strict=True):
            np.save(folder / f"{part}.{name}.npy", array)
    np.save(folder / "starts.npy", dataset.starts)
    index = {
        "version": VERSION,
        "info": dataset.info,
        "identity": dataset.meta.identity,
        "columns": names,
        "vocabulary": sorted(vocabulary),
        "left_out": left_out,
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _write_images(
    dataset: Dataset, folder: Path, cameras: list[str], size: tuple[int, int], progress: Progress | None
) -> None:
    """Decodes all videos, each file once and from its start to its end, a few files at a time."""
    rows = int(dataset.starts[-1])
    jobs: dict[tuple[str, Path], list[int]] = {}
    for camera in cameras:
        for episode in range(len(dataset)):
            jobs.setdefault((camera, dataset.meta.video_path(episode, camera)), []).append(episode)
    outputs = {
        camera: create_frame_file(folder / f"image.{camera}.npy", (rows, *size, 3)) for camera in cameras
    }
    workers = min(4, os.cpu_count() or 1, len(jobs))
    stopped = False

    def run(job: tuple[tuple[str, Path], list[int]]) -> int:
        (camera, path), episodes = job
        descriptor, header = outputs[camera]
        frame_bytes = size[0] * size[1] * 3
        threads = max(1, (os.cpu_count() or 1) // workers)
        with dataset.open_frames(camera, path, threads) as video:
            for episode in episodes:
                row, end = (int(dataset.starts[episode + i]) for i in (0, 1))
                first = dataset.meta.first_video_frame(episode, camera)
                for chunk in _chunks(video.iterate(first, end - row)):
                    if stopped:
                        return 0
                    data = np.stack([resized(frame, size) for frame in chunk])
                    os.pwrite(descriptor, data.data, header + row * frame_bytes)
                    row += len(chunk)
        return sum(int(dataset.starts[e + 1] - dataset.starts[e]) for e in episodes)

    done = 0
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for count in pool.map(run, jobs.items()):
            done += count
            if progress is not None:
                progress(done, rows * len(cameras))
    finally:
        stopped = True
        pool.shutdown(cancel_futures=True)
        for descriptor, _ in outputs.values():
            os.close(descriptor)


def _chunks(frames: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
    chunk: list[np.ndarray] = []
    for frame in frames:
        chunk.append(frame)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _content_key(root: Path, info: dict[str, Any]) -> str:
    """Returns a hash of what a cache depends on: info.json, and the size and time of every file."""
    parts: list[Any] = [VERSION, info]
    if layout.DRIVER in info.get("features", {}):
        parts.append(layout.DRIVER)  # caches of before had no such column
    for top in ("meta", "data", "videos"):
        for folder, _, names in sorted(os.walk(root / top)):
            for name in sorted(names):
                if not name.endswith(files.TEMPORARY):
                    found = os.stat(os.path.join(folder, name))
                    parts.append([os.path.relpath(folder, root), name, found.st_size, found.st_mtime_ns])
    return _short(json.dumps(parts, sort_keys=True))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
