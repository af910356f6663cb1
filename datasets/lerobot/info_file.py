"""What info.json says, checked: its fields, its features, and where its format strings lead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout

FILE_INDICES = ("chunk_index", "file_index")


def check_info(path: Path, info: dict[str, Any]) -> None:
    """Raises UserError, naming the field, when an info.json cannot be used."""
    version = info.get("codebase_version")
    if not isinstance(version, str) or not version.startswith(("v3.", "v2.")):
        expected = f"{layout.CODEBASE_VERSION!r}, 'v2.1' or 'v2.0'"
        raise UserError(f"{path}: codebase_version: got {version!r}, expected {expected}")
    kinds: dict[str, Any] = {"total_episodes": int, "total_frames": int, "features": dict, "data_path": str}
    for name, kind in kinds.items():
        if not isinstance(info.get(name), kind):
            raise UserError(f"{path}: {name}: got {info.get(name)!r}, expected {kind.__name__}")
    for name in ("total_episodes", "total_frames"):
        if isinstance(info[name], bool) or info[name] < 0:
            raise UserError(f"{path}: {name}: got {info[name]!r}, expected a number of 0 or more")
    fps = info.get("fps")
    if not isinstance(fps, (int, float)) or not 0 < fps < 10_000:
        raise UserError(f"{path}: fps: got {fps!r}, expected a number of frames per second")
    for name, feature in info["features"].items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        if not isinstance(shape, list) or not isinstance(feature.get("dtype"), str):
            raise UserError(f"{path}: features.{name}: expected dtype and shape")
        if not all(isinstance(size, int) and 0 < size < 2**31 for size in shape):
            raise UserError(f"{path}: features.{name}: shape: got {shape}, expected numbers above 0")
        if feature["dtype"] in layout.PICTURES and len(shape) != 3:
            raise UserError(f"{path}: features.{name}: shape {shape}, expected height, width and channels")
    example = dict.fromkeys(FILE_INDICES, 0) | {"video_key": "camera"}
    formatted(info, "data_path", example)
    if any(feature["dtype"] == "video" for feature in info["features"].values()):
        formatted(info, "video_path", example)


def height_first(feature: dict[str, Any]) -> dict[str, Any]:
    """Returns a feature of pictures with the shape (height, width, channels); some say channels first."""
    shape = feature["shape"]
    if feature["dtype"] in layout.PICTURES and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        return feature | {"shape": [*shape[1:], shape[0]], "names": ["height", "width", "channels"]}
    return feature


def is_camera(feature: dict[str, Any]) -> bool:
    """Whether a feature holds colour pictures; depth maps are left out, which are marked in three ways."""
    parts = [part for part in (feature.get("info"), feature.get("video_info")) if isinstance(part, dict)]
    depth = any(part.get("is_depth_map") or part.get("video.is_depth_map") for part in parts)
    return feature["dtype"] in layout.PICTURES and not depth


def formatted(info: dict[str, Any], name: str, values: dict[str, Any]) -> str:
    """Returns the path that a format string of info.json gives, relative to the dataset."""
    old_names = {"episode_chunk": values["chunk_index"], "episode_index": values["file_index"]}
    try:
        text = info[name].format(**values, **old_names)
    except (KeyError, ValueError, AttributeError, IndexError, TypeError):
        raise UserError(f"info.json: {name}: cannot use {info.get(name)!r}") from None
    if Path(text).is_absolute() or ".." in Path(text).parts:
        raise UserError(f"info.json: {name}: {text!r} leads out of the dataset")
    return text
