"""Decodes a dataset once into memory-mapped arrays that all training processes share.

A cache is a folder of .npy files named after the dataset's content and the image size, so a dataset
that has changed gets a new one. It is built under a temporary name by one process while others wait,
and renamed when whole: an interrupted build leaves nothing that would be used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.files import is_full
from ideomotor.datasets.reader import Dataset

VERSION = 1  # of the cache's own layout
CHUNK = 64  # frames written at a time
Progress = Callable[[int, int], None]  # (frames done, frames in all), over all cameras


@dataclass(frozen=True)
class Cache:
    """A dataset of N rows and E episodes as arrays; texts are codes into `vocabulary`."""

    folder: Path
    starts: np.ndarray  # (E + 1,) int64, first row of each episode, and N
    columns: dict[str, np.ndarray]  # {feature: (N,) or (N, n)}; texts as (N,) int32
    vocabulary: dict[str, np.ndarray]  # {feature: object array of texts}; also "task"
    images: dict[str, np.ndarray]  # {camera: (N, H, W, 3) uint8 RGB}


def open_cache(
    dataset: Dataset,
    height: int,
    width: int,
    *,
    cameras: list[str] | None = None,
    cache_root: Path | None = None,
    progress: Progress | None = None,
) -> Cache:
    """Returns the dataset's cache with images of this size, after building it if needed.

    Args:
        cameras: which cameras; all by default.
        cache_root: where caches live; $IDEOMOTOR_CACHE or ~/.cache/ideomotor by default.

    Raises:
        UserError: the dataset is damaged, or there is no room for its cache.
    """
    if len(dataset) == 0:
        raise UserError(f"{dataset.root}: no episodes in it")
    cameras = sorted(dataset.cameras if cameras is None else cameras)
    root = cache_root or default_cache_root()
    name = f"{dataset.root.resolve().name}-{_short(str(dataset.root.resolve()))}-{height}x{width}"
    folder = root / f"{name}-{_content_key(dataset, cameras)}"
    if not folder.is_dir():
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _exclusive(root / f"{name}.lock"):
                if not folder.is_dir():
                    for stale in root.glob(f"{name}-*"):
                        shutil.rmtree(stale, ignore_errors=True)
                    _build(dataset, folder, cameras, (height, width), progress)
        except OSError as error:
            reason = "the disk is full" if is_full(error) else error.strerror or error
            raise UserError(f"{root}: cannot write the cache of {dataset.root}: {reason}") from None
    return _load(folder, cameras)


def default_cache_root() -> Path:
    """Returns where caches live."""
    if chosen := os.environ.get("IDEOMOTOR_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ideomotor" / "datasets"


def _load(folder: Path, cameras: list[str]) -> Cache:
    try:
        index = json.loads((folder / "index.json").read_text())
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in index["columns"]}
        images = {camera: np.load(folder / f"image.{camera}.npy", mmap_mode="r") for camera in cameras}
        starts = np.load(folder / "starts.npy")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: damaged cache ({error}); delete the folder to build it again") from None
    vocabulary = {name: np.array(texts, dtype=object) for name, texts in index["vocabulary"].items()}
    plain = {name: array.view(np.ndarray) for name, array in arrays.items()}  # a memmap indexes slower
    return Cache(folder, starts, plain, vocabulary, {name: a.view(np.ndarray) for name, a in images.items()})


def _build(
    dataset: Dataset, folder: Path, cameras: list[str], size: tuple[int, int], progress: Progress | None
) -> None:
    rows = int(dataset.starts[-1])
    needed = len(cameras) * rows * size[0] * size[1] * 3
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        gb = f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB free"
        raise UserError(
            f"{folder.parent}: no room for the cache of {dataset.root} ({gb}); set IDEOMOTOR_CACHE"
        )
    temporary = folder.with_name(folder.name + ".tmp")
    temporary.mkdir()
    try:
        np.save(temporary / "starts.npy", dataset.starts)
        index = _write_columns(dataset, temporary)
        (temporary / "index.json").write_text(json.dumps(index))
        _write_images(dataset, temporary, cameras, size, progress)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_columns(dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Writes all columns as arrays and returns the cache's index."""
    columns: dict[str, list[np.ndarray]] = {}
    for episode in range(len(dataset)):
        for name, values in dataset.columns(episode).items():
            columns.setdefault(name, []).append(values)
    vocabulary: dict[str, list[str]] = {"task": dataset.tasks}
    for name, parts in columns.items():
        values = np.concatenate(parts)
        if values.dtype == object:
            codes: dict[str, int] = {}
            values = np.array([codes.setdefault(str(text), len(codes)) for text in values], np.int32)
            vocabulary[name] = list(codes)
        np.save(folder / f"{name}.npy", values)
    return {"version": VERSION, "columns": sorted(columns), "vocabulary": vocabulary}


def _write_images(
    dataset: Dataset, folder: Path, cameras: list[str], size: tuple[int, int], progress: Progress | None
) -> None:
    """Decodes all videos, each file once and from its start to its end, a few files at a time."""
    rows = int(dataset.starts[-1])
    jobs: dict[tuple[str, Path], list[int]] = {}
    for camera in cameras:
        for episode in range(len(dataset)):
            jobs.setdefault((camera, dataset.meta.video_path(episode, camera)), []).append(episode)
    files = {camera: _create(folder / f"image.{camera}.npy", (rows, *size, 3)) for camera in cameras}
    stopped = False

    def run(job: tuple[tuple[str, Path], list[int]]) -> int:
        (camera, path), episodes = job
        descriptor, header = files[camera]
        frame_bytes = size[0] * size[1] * 3
        with dataset.open_frames(camera, path) as video:
            for episode in episodes:
                row, end = (int(dataset.starts[episode + i]) for i in (0, 1))
                first = dataset.meta.first_video_frame(episode, camera)
                for chunk in _chunks(video.iterate(first, end - row)):
                    if stopped:
                        return 0
                    data = np.stack([_resized(frame, size) for frame in chunk])
                    os.pwrite(descriptor, data.tobytes(), header + row * frame_bytes)
                    row += len(chunk)
        return sum(int(dataset.starts[e + 1] - dataset.starts[e]) for e in episodes)

    done = 0
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
    try:
        for count in pool.map(run, jobs.items()):
            done += count
            if progress is not None:
                progress(done, rows * len(cameras))
    finally:
        stopped = True
        pool.shutdown(cancel_futures=True)
        for descriptor, _ in files.values():
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


def _resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if frame.shape[:2] == size:
        return frame
    return cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def _create(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    """Creates a .npy file of uint8 zeros; returns its descriptor and the length of its header.

    It is filled by writes, not through a map: a full disk is then an error and not a SIGBUS.
    """
    with open(path, "wb") as file:
        fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, fields)
        header = file.tell()
        file.truncate(header + int(np.prod(shape)))
    return os.open(path, os.O_WRONLY), header


def _content_key(dataset: Dataset, cameras: list[str]) -> str:
    """Returns a hash of what the cache depends on: metadata, and the size and time of every file."""
    parts: list[Any] = [VERSION, dataset.info, cameras]
    paths = {dataset.meta.data_path(episode) for episode in range(len(dataset))}
    for camera in cameras:
        paths |= {dataset.meta.video_path(episode, camera) for episode in range(len(dataset))}
    for path in sorted(paths):
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        found = path.stat()
        parts.append([path.relative_to(dataset.root).as_posix(), found.st_size, found.st_mtime_ns])
    return _short(json.dumps(parts, sort_keys=True))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Waits until no other process builds the same cache."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
