"""What a dataset offers to be mapped: its cameras, its vectors, and each component of them, by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.info_file import is_camera
from ideomotor.datasets.lerobot.metadata import Metadata
from ideomotor.datasets.lerobot.views import Vector

UNITS = ("deg", "percent")
GROUPS = (layout.STATE, layout.ACTION)
LISTED = 40  # candidates in a message
_NOT_OFFERED = ("timestamp", layout.HIGH_RATE)


@dataclass(frozen=True)
class Pair:
    """One element of a mapping, as the user wrote it: SOURCE=TARGET[:UNIT]."""

    source: str
    target: str
    unit: str  # one of UNITS, or "": as the embodiment's

    def __str__(self) -> str:
        return f"{self.source}={self.target}" + (f":{self.unit}" if self.unit else "")

    def fail(self, reason: str) -> UserError:
        return UserError(f"map {str(self)!r}: {reason}")


@dataclass(frozen=True)
class Source:
    """A camera, a vector or one component of a vector."""

    kind: str  # "camera", "vector" or "component"
    feature: str
    name: str  # in full; of a component, FEATURE.NAME
    labels: tuple[str, ...] = ()  # of a vector: names of its components, numbers where it has none
    items: Vector = ()  # what it is made of

    @property
    def group(self) -> str:
        """Whether it goes into the state or into the action."""
        return layout.ACTION if self.feature.startswith(layout.ACTION) else layout.STATE


def parse_pair(text: str) -> Pair:
    """Returns a pair; UserError when it is not SOURCE=TARGET[:UNIT]."""
    source, _, target = (part.strip() for part in text.partition("="))
    target, colon, unit = target.partition(":")
    if not source or not target:
        raise UserError(f"map: got {text!r}, expected SOURCE=TARGET such as observation.images.top=front")
    if colon and unit not in UNITS:
        raise unknown_name(f"map {text!r}: unit", unit, UNITS)
    return Pair(source, target, unit)


def sources_of(meta: Metadata) -> list[Source]:
    """Returns all that a dataset offers: cameras first, then state and action, then other vectors."""
    found = [Source("camera", name, name) for name, feature in meta.features.items() if is_camera(feature)]
    vectors = [
        name
        for name, feature in meta.features.items()
        if feature["dtype"].startswith("float") and len(feature["shape"]) == 1 and name not in _NOT_OFFERED
    ]
    for name in sorted(vectors, key=lambda name: name not in GROUPS):
        width = layout.width_of(meta.features[name])
        items = meta.view.components(name, width)
        labels = layout.component_names(meta.features[name]) or [str(i) for i in range(width)]
        found.append(Source("vector", name, name, tuple(labels), items))
        found += [
            Source("component", name, f"{name}.{label}", (label,), (item,))
            for label, item in zip(labels, items, strict=True)
        ]
    return found


def matching(sources: Sequence[Source], text: str) -> list[Source]:
    """Returns all that a text may mean.

    A full name means what it says. A camera's name alone is a camera; the name of a component alone is
    taken from state and action alike.
    """
    full = {
        (s.kind, s.items): s for s in reversed(sources) if s.name == text
    }  # a slice has its column's values
    if full:
        return list(full.values())
    return [
        source
        for source in sources
        if (source.kind == "camera" and source.name == layout.IMAGE_PREFIX + text)
        or (source.kind == "component" and source.feature in GROUPS and source.labels[0] == text)
    ]


def one_meaning(found: Sequence[Source], pair: Pair) -> list[Source]:
    """Returns the matches of a pair; UserError when they are different things."""
    if len({source.kind for source in found}) > 1 or len({source.name for source in found}) < len(found):
        names = ", ".join(source.name for source in found)
        raise pair.fail(f"{pair.source!r} is ambiguous (candidates: {names})")
    return list(found)


def not_in_the_data(pair: Pair, sources: Sequence[Source]) -> UserError:
    """The error for a source that is in no dataset, with candidates and a near match."""
    names = list(dict.fromkeys(source.name for source in sources))
    near = difflib.get_close_matches(pair.source, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return pair.fail(f"{pair.source!r} is not in the data{hint} (candidates: {listed(names)})")


def listed(names: Sequence[str]) -> str:
    """Returns names with commas, the first of them if they are many."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "none") + more
