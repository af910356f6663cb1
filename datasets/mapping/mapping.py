"""Shows a dataset under the names of an embodiment, by an explicit mapping.

One pair is `SOURCE=TARGET[:UNIT]`. The source is of the data: a camera (`observation.images.top`, or
`top`), a vector (`observation.qpos`), a component of one (`observation.qpos.3`, by name if it has names),
or a component's name alone, which is then taken from state and action alike. The target is of the
embodiment: a camera, a joint, `observation.state` or `action` as a whole, or `action.JOINT`. What has the
embodiment's name already needs no pair; nothing else is guessed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.metadata import Metadata, check_embodiment, read_metadata
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.views import Component, Vector, View
from ideomotor.datasets.mapping.sources import (
    GROUPS,
    Pair,
    Source,
    listed,
    matching,
    not_in_the_data,
    one_meaning,
    parse_pair,
    sources_of,
)


def open_mapped(
    roots: Sequence[Path | str], embodiment: Embodiment, mapping: Sequence[str] = ()
) -> list[Dataset]:
    """Opens datasets with the cameras and joints of an embodiment.

    A pair is used in each dataset that has its source, and must be used in one at least; what was
    recorded with this embodiment is left as it is.

    Raises:
        UserError: a pair that fits nothing, or more than one thing; a camera or joint that has no source;
            values that are not in the embodiment's units. It lists the candidates.
    """
    pairs = [parse_pair(text) for text in mapping]
    metas = [read_metadata(root) for root in roots]
    offers = [[] if _is_own(meta, embodiment) else sources_of(meta) for meta in metas]
    for pair in pairs:
        if not any(matching(offer, pair.source) for offer in offers):
            raise not_in_the_data(pair, [source for offer in offers for source in offer])
    datasets = []
    for meta, offer in zip(metas, offers, strict=True):
        used = [pair for pair in pairs if matching(offer, pair.source)]
        if not _is_recorded(meta):
            used += _usual_pairs(embodiment, offer, used)
        if not used and _is_recorded(meta):
            check_embodiment(meta, embodiment)
            datasets.append(Dataset(meta))
            continue
        dataset = Dataset(mapped(meta, embodiment, used))
        _check_units(dataset, embodiment)
        datasets.append(dataset)
    return datasets


def mapped(meta: Metadata, embodiment: Embodiment, pairs: Sequence[Pair]) -> Metadata:
    """Returns a dataset's metadata with the names of the embodiment; see `open_mapped`."""
    sources = sources_of(meta)
    chosen = _resolve(sources, embodiment, pairs)
    cameras = {layout.IMAGE_PREFIX + name: source.name for name, source in chosen.cameras.items()}
    _check_cameras(meta, embodiment, cameras)
    vectors = {group: _vector(meta, sources, group, embodiment, chosen) for group in GROUPS}
    features = {name: f for name, f in meta.features.items() if name not in cameras.values()}
    features |= {key: meta.features[source] for key, source in cameras.items()}
    features |= {group: layout.vector_feature(list(_names(embodiment, group))) for group in GROUPS}
    features.setdefault(
        "task_index", {"dtype": "int64", "shape": [1], "names": None}
    )  # made up where missing
    high_rate = _high_rate(meta, vectors[layout.ACTION])
    features.pop(layout.HIGH_RATE, None)
    if high_rate:
        vectors[layout.HIGH_RATE] = high_rate
        ticks = range(len(high_rate) // len(embodiment.joints))
        names = [f"t{tick}.{joint}" for tick in ticks for joint in embodiment.joint_names]
        features[layout.HIGH_RATE] = layout.vector_feature(names)
    kept = {key: disk for key, disk in meta.view.cameras.items() if key not in cameras.values()}
    renamed = {key: meta.view.cameras.get(source, source) for key, source in cameras.items()}
    view = View(kept | renamed, {**meta.view.vectors, **vectors}, meta.view.task)
    info = meta.info | {"features": features, "mapping": [str(pair) for pair in pairs]}
    if embodiment.environment and embodiment.environment.recordings and not _is_recorded(meta):
        info["rate"] = embodiment.environment.recordings.rate
    return dataclasses.replace(meta, info=info, identity=None, view=view)


def _usual_pairs(embodiment: Embodiment, offer: list[Source], given: Sequence[Pair]) -> list[Pair]:
    """The pairs with which the embodiment's file reads others' recordings, for what no pair speaks of."""
    recordings = embodiment.environment.recordings if embodiment.environment else None
    pairs = [parse_pair(text) for text in recordings.map] if recordings else []
    taken = {pair.target.removeprefix(layout.IMAGE_PREFIX) for pair in given}
    used = {source.name for pair in given for source in matching(offer, pair.source)}
    usual: list[Pair] = []
    for pair in pairs:
        found = {source.name for source in matching(offer, pair.source)}
        if found and not found & used and pair.target not in taken:
            taken.add(pair.target)
            usual.append(pair)
    return usual


@dataclass
class _Chosen:
    """What the pairs say, by target."""

    cameras: dict[str, Source] = field(default_factory=dict)
    wholes: dict[str, tuple[Source, Pair]] = field(default_factory=dict)  # {state or action: ...}
    joints: dict[tuple[str, str], Component] = field(default_factory=dict)  # {(state or action, joint): ...}


def _resolve(sources: list[Source], embodiment: Embodiment, pairs: Sequence[Pair]) -> _Chosen:
    chosen = _Chosen()
    given: dict[object, Pair] = {}  # by which pair a target is given

    def once(target: object, pair: Pair) -> None:
        if target in given:
            raise pair.fail(f"{pair.target} is already given by {str(given[target])!r}")
        given[target] = pair

    for pair in pairs:
        for source in one_meaning(matching(sources, pair.source), pair):
            if source.kind == "camera":
                name = _camera_of(pair, embodiment)
                once(name, pair)
                if source in chosen.cameras.values():
                    raise pair.fail(f"{source.name} is already given to another camera")
                chosen.cameras[name] = source
            elif source.kind == "vector" and pair.target in GROUPS:
                once(pair.target, pair)
                chosen.wholes[pair.target] = (source, pair)
            elif len(source.items) != 1:
                expected = f"expected the target {' or '.join(GROUPS)}, or one of them ({source.name}.NAME)"
                raise pair.fail(f"{source.name} has {len(source.items)} components, {expected}")
            else:
                target = _joint_of(pair, source.group, embodiment)
                once(target, pair)
                chosen.joints[target] = _in_units(source.items[0], pair, target[1], embodiment)
    return chosen


def _camera_of(pair: Pair, embodiment: Embodiment) -> str:
    name = pair.target.removeprefix(layout.IMAGE_PREFIX)
    names = [camera.name for camera in embodiment.cameras]
    if name not in names:
        raise unknown_name(f"map {str(pair)!r}: camera of {embodiment.name}", name, names)
    if pair.unit:
        raise pair.fail(f"a camera has no unit, got {pair.unit!r}")
    return name


def _joint_of(pair: Pair, group: str, embodiment: Embodiment) -> tuple[str, str]:
    """Returns (state or action, joint); the group is that of the source unless the target names one."""
    name = pair.target
    for whole in GROUPS:
        if name.startswith(f"{whole}."):
            group, name = whole, name.removeprefix(f"{whole}.")
    names = _names(embodiment, group)
    if name not in names:
        raise unknown_name(f"map {str(pair)!r}: joint of {embodiment.name}", name, names)
    return group, name


def _names(embodiment: Embodiment, group: str) -> tuple[str, ...]:
    """Components of the state or of the action."""
    return embodiment.state_names if group == layout.STATE else embodiment.joint_names


def _in_units(item: Component, pair: Pair, joint_name: str, embodiment: Embodiment) -> Component:
    """Returns a component converted from the pair's unit into the joint's.

    Percent is LeRobot's: -100 to 100 for the travel of a joint, 0 to 100 for that of a gripper.
    """
    if joint_name not in embodiment.joint_names:
        if pair.unit:
            raise pair.fail(f"{joint_name} is not a joint, {pair.unit!r} says nothing about it")
        return item
    joint = embodiment.joints[embodiment.joint_names.index(joint_name)]
    travel = joint.upper - joint.lower
    scale, offset = 1.0, 0.0
    if pair.unit == "deg":
        if joint.unit != "rad":
            raise pair.fail(f"{joint.name} is in {joint.unit}, not in degrees")
        scale = math.pi / 180
    elif pair.unit == "percent" and joint.name in embodiment.grippers:
        scale, offset = travel / 100, joint.lower
    elif pair.unit == "percent":
        scale, offset = travel / 200, (joint.upper + joint.lower) / 2
    return Component(item.column, item.index, item.scale * scale, item.offset * scale + offset)


def _vector(
    meta: Metadata, sources: list[Source], group: str, embodiment: Embodiment, chosen: _Chosen
) -> Vector:
    """Returns what the state or the action is made of: pairs of joints, then of the whole, then names."""
    own = [source for source in sources if source.kind == "vector" and source.name == group]
    whole, pair = chosen.wholes.get(group, (own[0] if own else Source("vector", group, group), None))
    items = {
        label.removesuffix(".pos"): item for label, item in zip(whole.labels, whole.items, strict=True)
    }  # fmt: skip
    joints = _names(embodiment, group)
    missing = [name for name in joints if name not in items and (group, name) not in chosen.joints]
    if missing and pair is not None:
        if len(whole.items) != len(joints):
            raise pair.fail(
                f"{whole.name} has {len(whole.items)} components, expected the {len(joints)}"
                f" joints of {embodiment.name} in order; map {whole.name}.NAME=JOINT instead"
            )
        items = dict(zip(joints, whole.items, strict=True))
    elif missing:
        names = [s.name for s in sources if s.kind == "component" and s.group == group]
        example = f"; e.g. --map {names[0]}={missing[0]}" if names else ""
        raise UserError(
            f"{meta.root}: {group}: no joint {missing[0]!r} (candidates: {listed(names)}){example}"
        )
    parts = []
    for name in joints:
        if (group, name) in chosen.joints:
            parts.append(chosen.joints[group, name])
        else:
            parts.append(items[name] if pair is None else _in_units(items[name], pair, name, embodiment))
    return tuple(parts)


def _high_rate(meta: Metadata, action: Vector) -> Vector:
    """Returns the view of a recorded `action.high_rate`, whose rows are several actions; () if none."""
    if layout.HIGH_RATE not in meta.features or {item.column for item in action} != {layout.ACTION}:
        return ()
    recorded = layout.width_of(meta.features[layout.HIGH_RATE])
    width = layout.width_of(meta.features[layout.ACTION])
    if recorded % width:
        return ()
    return tuple(
        dataclasses.replace(item, column=layout.HIGH_RATE, index=tick * width + item.index)
        for tick in range(recorded // width)
        for item in action
    )


def _check_cameras(meta: Metadata, embodiment: Embodiment, cameras: dict[str, str]) -> None:
    """Raises UserError when a camera of the embodiment has no source."""
    free = [meta.video_key(name) for name in meta.cameras if meta.video_key(name) not in cameras.values()]
    for camera in embodiment.cameras:
        key = layout.IMAGE_PREFIX + camera.name
        if key not in cameras and key not in free:
            example = f"; e.g. --map {free[0]}={camera.name}" if free else ""
            raise UserError(f"{meta.root}: no camera {camera.name!r} (candidates: {listed(free)}){example}")


def _check_units(dataset: Dataset, embodiment: Embodiment) -> None:
    """Raises UserError when values are far outside of a joint's range: degrees, say, for radians."""
    if not len(dataset):
        return
    columns = dataset.columns(0, GROUPS)
    travel = embodiment.upper - embodiment.lower
    for group in GROUPS if embodiment.targets else (layout.ACTION,):
        low, high = columns[group].min(axis=0), columns[group].max(axis=0)
        far = (low < embodiment.lower - travel) | (high > embodiment.upper + travel)
        for i in np.flatnonzero(far):
            joint = embodiment.joints[i]
            raise UserError(
                f"{dataset.root}: {group}: {joint.name} goes from {low[i]:.4g} to {high[i]:.4g}, limits"
                f" {joint.lower:.4g} to {joint.upper:.4g} {joint.unit}; if it is in degrees or in percent"
                f" of its travel, say so: --map {group}={group}:deg (or :percent)"
            )


def _is_recorded(meta: Metadata) -> bool:
    """Whether a dataset says which embodiment it was recorded with."""
    return meta.identity is not None and "fingerprint" in meta.identity


def _is_own(meta: Metadata, embodiment: Embodiment) -> bool:
    return meta.identity is not None and meta.identity.get("fingerprint") == embodiment.fingerprint
