"""Writes an edited copy of LeRobot datasets: `ideomotor data edit`.

Never in place, and never with a loss that was not asked for: what is written is a new dataset, valid after
each episode, and the same command goes on where it was interrupted. Pictures are not encoded again where
their packets can be copied; times, counters and statistics are computed from what is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.editing.pieces import Piece
from ideomotor.datasets.importing.convert import source_of
from ideomotor.datasets.importing.demonstrations import (
    Demonstration,
    EncodedVideo,
    Progress,
    Source,
    Written,
    write_demonstrations,
)
from ideomotor.datasets.lerobot import layout, stats, video_packets
from ideomotor.datasets.lerobot.reader import Dataset

FACTS = ("success", "seed", "task_name", "marked")  # columns of the episode table that go along
DONE = "next.done"
NEEDED = (layout.STATE, layout.ACTION)


@dataclass(frozen=True)
class Edit:
    """What becomes of names and pictures; which episodes, and what of them, say `Piece`s."""

    names: Mapping[str, str] = field(default_factory=dict)  # {feature: its new name}
    dropped: frozenset[str] = frozenset()  # features
    tasks: Mapping[str, str] = field(default_factory=dict)  # {instruction: another}
    reencode: bool = False


def feature_named(datasets: Sequence[Dataset], name: str, option: str) -> str:
    """The feature that a person means by its name, or by a camera's; UserError if a dataset lacks it."""
    for dataset in datasets:
        features = dataset.meta.features
        if name not in features and layout.IMAGE_PREFIX + name in features:
            name = layout.IMAGE_PREFIX + name
        if name not in features:
            short = [feature.removeprefix(layout.IMAGE_PREFIX) for feature in features]
            raise unknown_name(f"{option}: {dataset.root}: feature", name, short)
    if name in layout.made_up_features():
        raise UserError(f"{option}: {name} follows from the place of a row, it has to stay")
    return name


def edit_of(
    datasets: Sequence[Dataset],
    renamed: Sequence[str] = (),
    dropped: Sequence[str] = (),
    tasks: Sequence[str] = (),
    reencode: bool = False,
) -> Edit:
    """The edit that options mean.

    Args:
        renamed: OLD=NEW of features or cameras.
        dropped: features or cameras.
        tasks: OLD=NEW of instructions.

    Raises:
        UserError: a feature or instruction that is not there, or a new name that is.
    """
    gone = frozenset(feature_named(datasets, name, "drop") for name in dropped)
    for name in gone & {*NEEDED}:
        raise UserError(f"drop: {name}: there is no demonstration without it")
    names: dict[str, str] = {}
    for old, new in (_pair(item, "rename") for item in renamed):
        feature = feature_named(datasets, old, "rename")
        if feature.startswith(layout.IMAGE_PREFIX):
            new = layout.IMAGE_PREFIX + new.removeprefix(layout.IMAGE_PREFIX)
        names[feature] = new
    for dataset in datasets:
        kept = [names.get(name, name) for name in dataset.meta.features if name not in gone]
        for name in kept:
            if kept.count(name) > 1:
                raise UserError(f"rename: {dataset.root} would have two features {name!r}")
    known = {task for dataset in datasets for task in dataset.tasks}
    changes = dict(_pair(item, "rename-task") for item in tasks)
    for old in changes:
        if old not in known:
            raise unknown_name("rename-task: instruction", old, known)
    return Edit(names, gone, changes, reencode)


def check_alike(datasets: Sequence[Dataset], edit: Edit) -> None:
    """Raises UserError, naming all that differs, unless the datasets can become one."""
    first = datasets[0]
    for other in datasets[1:]:
        differing = [
            f"{what}: {a!r} and {b!r}"
            for what, a, b in (
                ("fps", first.fps, other.fps),
                ("robot", first.info.get("robot_type"), other.info.get("robot_type")),
                ("embodiment", _identity(first).get("fingerprint"), _identity(other).get("fingerprint")),
            )
            if a != b
        ]
        ones, others = _kept(first, edit), _kept(other, edit)
        for name in [*ones, *(name for name in others if name not in ones)]:
            a, b = ones.get(name), others.get(name)
            if a is None or b is None:
                differing.append(f"{name}: only in {(first if b is None else other).root}")
            else:
                differing += [f"{name}: {part}" for part in _unlike(a, b)]
        if differing:
            raise UserError(
                f"{first.root} and {other.root} differ: {'; '.join(differing)}; --rename and --drop can make "
                "features alike"
            )


def write(
    datasets: Sequence[Dataset],
    pieces: Sequence[Piece],
    edit: Edit,
    out: Path,
    progress: Progress | None = None,
) -> Written:
    """Writes the pieces as a new dataset, or goes on with it.

    Raises:
        UserError: datasets that differ, an episode that cannot be read, a folder with something else in it.
    """
    check_alike(datasets, edit)
    copied = not edit.reencode and _one_codec(datasets)
    sources = [source_of(dataset, "") for dataset in datasets]
    facts = [name for name in FACTS if all(name in d.meta.episodes.column_names for d in datasets)]

    def read(piece: Piece) -> Demonstration:
        dataset, whole = datasets[piece.dataset], sources[piece.dataset].read(piece.episode)
        frames = slice(piece.start, piece.stop)
        columns = {
            edit.names.get(name, name): values[frames]
            for name, values in whole.columns.items()
            if name not in edit.dropped
        }
        if DONE in columns:
            columns[DONE] = np.arange(piece.start, piece.stop) == piece.stop - 1
        images: dict[str, Iterable[np.ndarray] | EncodedVideo] = {}
        for camera, pictures in whole.images.items():
            key = dataset.meta.video_key(camera)
            if key not in edit.dropped:
                taken = _encoded(dataset, piece, camera) if copied else None
                name = edit.names.get(key, key).removeprefix(layout.IMAGE_PREFIX)
                assert not isinstance(pictures, EncodedVideo)
                images[name] = taken or islice(pictures, piece.start, piece.stop)
        tasks = [edit.tasks.get(task, task) for task in whole.task[frames]]
        if piece.instruction is not None:
            tasks = [piece.instruction] * len(tasks)
        facts_of = {name: dataset.meta.episodes[name][piece.episode].as_py() for name in facts}
        return Demonstration(columns, images, tasks, facts_of)

    names = {edit.names.get(name, name): parts for name, parts in sources[0].names.items()}
    source = Source(
        name=f"edited {_key(datasets, pieces, edit)}",
        fps=datasets[0].fps,
        episodes=pieces,
        read=read,
        names=names,
        robot=datasets[0].info.get("robot_type"),
        left_out=[item for one in sources for item in one.left_out if item["what"] not in edit.dropped],
        label=lambda piece: f"{datasets[piece.dataset].root}: episode {piece.episode}",
        identity={name: value for name, value in _identity(datasets[0]).items() if name != "source"},
    )
    return write_demonstrations(out, source, progress=progress)


def lines(datasets: Sequence[Dataset], pieces: Sequence[Piece], edit: Edit, out: Path) -> list[str]:
    """The plan in words, a line each."""
    whole = sum(len(dataset) for dataset in datasets)
    frames = sum(piece.stop - piece.start for piece in pieces)
    said = [f"{out}: {len(pieces)} of {whole} episodes, {frames} frames"]
    for dataset, first in zip(datasets, np.cumsum([0, *map(len, datasets)]).tolist(), strict=False):
        said.append(f"  from {dataset.root}: its episodes are {first} to {first + len(dataset) - 1} here")
    gone = sorted(set(range(whole)) - {piece.number for piece in pieces})
    if gone:
        said.append(f"  left out: {', '.join(map(str, gone[:20]))}{', …' if len(gone) > 20 else ''}")
    for piece in pieces:
        length = int(np.diff(datasets[piece.dataset].starts)[piece.episode])
        if piece.stop - piece.start < length:
            said.append(f"  episode {piece.number}: frames {piece.start} to {piece.stop - 1} of {length}")
        if piece.instruction is not None:
            said.append(f"  episode {piece.number}: {piece.instruction!r}")
    said += [f"  {old} is called {new}" for old, new in edit.names.items()]
    said += [f"  {name} is dropped" for name in sorted(edit.dropped)]
    said += [f"  {old!r} becomes {new!r}" for old, new in edit.tasks.items()]
    if edit.reencode or not _one_codec(datasets):
        said.append("  all pictures are encoded again (H.264)")
    return said


def _encoded(dataset: Dataset, piece: Piece, camera: str) -> EncodedVideo | None:
    """A piece's pictures by their packets; None where they have to be encoded again."""
    meta = dataset.meta
    if meta.is_inline(camera):
        return None
    path, first = meta.video_path(piece.episode, camera), meta.first_video_frame(piece.episode, camera)
    length = piece.stop - piece.start
    data = video_packets.cut(path, first + piece.start, length, dataset.fps)
    if data is None:
        return None
    with dataset.open_frames(camera, path, strict=True) as opened:
        step = (
            max(1, max(opened.height, opened.width) // 150) if max(opened.height, opened.width) >= 300 else 1
        )
        sample = [
            opened.frames([first + piece.start + frame])[0, ::step, ::step].copy()
            for frame in stats.sampled_frames(length).tolist()
        ]
        info = meta.features[meta.video_key(camera)].get("info") or {}
        return EncodedVideo(data, np.stack(sample), opened.height, opened.width, info)


def _one_codec(datasets: Sequence[Dataset]) -> bool:
    """Whether videos of all datasets say that they are encoded alike."""
    codecs = []
    for dataset in datasets:
        videos = {n: f.get("info") or {} for n, f in dataset.meta.features.items() if f["dtype"] == "video"}
        codecs.append({n: (i.get("video.codec"), i.get("video.pix_fmt")) for n, i in videos.items()})
    return all(codec == codecs[0] for codec in codecs)


def _kept(dataset: Dataset, edit: Edit) -> dict[str, dict[str, Any]]:
    features = dataset.meta.features
    return {edit.names.get(n, n): f for n, f in features.items() if n not in edit.dropped}


def _unlike(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What two features of a name differ in."""
    parts: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
        ("dtype", lambda feature: feature["dtype"]),
        ("shape", lambda feature: list(feature["shape"])),
        ("names", layout.component_names),
        ("unit", lambda feature: feature.get("unit")),
    ]
    return [f"{part} {get(a)!r} and {get(b)!r}" for part, get in parts if get(a) != get(b)]


def _identity(dataset: Dataset) -> dict[str, Any]:
    return dataset.meta.identity or {}


def _pair(text: str, option: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (equals and old.strip() and new.strip()):
        raise UserError(f"{option}: got {text!r}, expected OLD=NEW")
    return old.strip(), new.strip()


def _key(datasets: Sequence[Dataset], pieces: Sequence[Piece], edit: Edit) -> str:
    """A hash of the whole plan, so that another one is not taken for it when it is taken up again."""
    facts = [
        [[str(d.root.resolve()), d.info, d.tasks, d.starts.tolist()] for d in datasets],
        [asdict(piece) for piece in pieces],
        asdict(edit) | {"dropped": sorted(edit.dropped)},
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
