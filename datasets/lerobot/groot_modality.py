"""GR00T's `meta/modality.json`: names for slices of the state and action, for cameras and instructions.

`state` and `action` name half-open ranges of `observation.state` and `action` (or of `original_key`);
they are shown as features of their own, `state.NAME` and `action.NAME`, and give the components names
where info.json has none. `video` renames cameras; `annotation` says which column numbers the
instruction.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.views import Component, Vector, View

MODALITY = "meta/modality.json"
GROUPS = {"state": layout.STATE, "action": layout.ACTION}
Features = dict[str, dict[str, Any]]


def apply_modality(root: Path, features: Features) -> tuple[Features, View]:
    """Returns the features shown, and the view that shows them; unchanged without the file.

    Raises:
        UserError: the file is damaged, or names what the dataset does not have.
    """
    path = root / MODALITY
    if not path.exists():
        return features, View()
    modality = layout.read_json(path)
    shown = dict(features)
    vectors: dict[str, Vector] = {}
    for group, whole in GROUPS.items():
        slices = {
            name: _slice(path, group, name, entry, whole, features)
            for name, entry in _section(path, modality, group).items()
        }
        named = [(_label(name, i, len(vector)), item) for name, vector in slices.items()
                 for i, item in enumerate(vector)]  # fmt: skip
        if whole not in features and named:
            vectors[whole] = tuple(item for _, item in named)
            shown[whole] = layout.vector_feature([label for label, _ in named])
        elif named and not layout.component_names(features[whole]):
            labels = {item.index: label for label, item in named if item.column == whole}
            width = layout.width_of(features[whole])
            names = [labels.get(i, f"{whole}.{i}") for i in range(width)]
            shown[whole] = features[whole] | {"names": names}
        for name, vector in slices.items():
            vectors[f"{group}.{name}"] = vector
            shown[f"{group}.{name}"] = {"dtype": "float32", "shape": [len(vector)], "names": None}
    cameras = _cameras(path, modality, features)
    for new, source in cameras.items():
        shown.pop(source, None)
        shown[new] = features[source]
    return shown, View(cameras, vectors, _task_column(path, modality, features))


def _section(path: Path, modality: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    section = modality.get(name) or {}
    if not isinstance(section, dict) or not all(isinstance(entry, dict) for entry in section.values()):
        raise UserError(f"{path}: {name}: got {section!r}, expected an object of objects")
    return section


def _slice(
    path: Path, group: str, name: str, entry: dict[str, Any], whole: str, features: Features
) -> Vector:
    column = entry.get("original_key") or whole
    if column not in features:
        raise unknown_name(f"{path}: {group}.{name}: original_key", str(column), features)
    start, end, width = entry.get("start"), entry.get("end"), layout.width_of(features[column])
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= width:
        raise UserError(
            f"{path}: {group}.{name}: start {start!r} and end {end!r}, expected a part of 0 to {width}"
        )
    return tuple(Component(column, i) for i in range(start, end))


def _cameras(path: Path, modality: dict[str, Any], features: Features) -> dict[str, str]:
    cameras = {}
    pictures = [name for name, feature in features.items() if feature["dtype"] in layout.PICTURES]
    for name, entry in _section(path, modality, "video").items():
        source = entry.get("original_key") or layout.IMAGE_PREFIX + name
        if source not in pictures:
            raise unknown_name(f"{path}: video.{name}: original_key", str(source), pictures)
        if source != layout.IMAGE_PREFIX + name:
            cameras[layout.IMAGE_PREFIX + name] = source
    return cameras


def _task_column(path: Path, modality: dict[str, Any], features: Features) -> str:
    """Returns the column that numbers the instruction: an annotation that describes the task."""
    for name, entry in _section(path, modality, "annotation").items():
        if "description" in name or "instruction" in name:
            column = entry.get("original_key") or f"annotation.{name}"
            if column not in features:
                raise unknown_name(f"{path}: annotation.{name}: original_key", str(column), features)
            return column
    return "task_index"


def _label(name: str, number: int, width: int) -> str:
    return name if width == 1 else f"{name}.{number}"
