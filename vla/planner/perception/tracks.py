"""Things followed from look to look: which detection is which of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ideomotor.vla.planner.goals.spoken import Spoken
from ideomotor.vla.planner.perception.detector import Detection
from ideomotor.vla.planner.things import GRASPABLE

HALF = {"small": 0.0130, "large": 0.0175}  # half extent of what can be grasped [m]
HEIGHTS = {
    "bowl": 0.0,
    "plate": 0.004,
    "zone": 0.0,
    "button": 0.024,
    "drawer": 0.032,
}  # of what is pointed at
POSSIBLE = 0.01  # probability of another kind from which a goal's word for it is believed
FAR = 0.6  # of the picture: farther than this no thing moves between two looks
LOST = 0.3  # what a thing that was not seen at the last look seems to have moved at most


@dataclass
class Track:
    """A thing that is followed."""

    name: str
    kind: str
    colour: str
    size: str
    pixel: tuple[float, float]
    certainty: float
    relations: np.ndarray  # (len(RELATIONS),) probabilities at the newest look at which it was seen
    opening: float
    began: tuple[float, float]  # x, y [m] at the first look
    position: tuple[float, float] = (0.0, 0.0)  # x, y [m]
    seen: bool = True  # at the newest look
    grip: float = np.nan  # the gripper's position when it was seen to be held last [rad]
    dropped: np.ndarray | None = None  # (3,) [m] where a hand opened that had closed around it, held or not
    missing: int = 0  # looks since then that did not find it, though nothing hides its old place

    @property
    def graspable(self) -> bool:
        return self.kind in GRASPABLE

    @property
    def height(self) -> float:
        """Of its body's frame above the table, where it stands on it [m]."""
        return HALF[self.size] if self.graspable else HEIGHTS[self.kind]


def as_spoken(found: list[Detection], spoken: Iterable[Spoken]) -> list[Detection]:
    """What a goal names and was not found is the likeliest of the things of its colour, if it may be one."""
    found, spoken = list(found), list(spoken)
    for asked in spoken:
        alike = [one for one in found if one.colour == asked.colour and asked.kind in one.kinds]
        lacking = asked.number - sum(one.kind == asked.kind for one in alike)
        others = {one.kind for one in spoken if one.colour == asked.colour}
        likely = sorted(
            (one for one in alike if one.kind not in others and one.kinds[asked.kind] > POSSIBLE),
            key=lambda one: -one.kinds[asked.kind],
        )
        for one in likely[: max(lacking, 0)]:
            found[found.index(one)] = replace(one, kind=asked.kind)
    return found


def named(found: list[Detection]) -> list[Track]:
    """Tracks of what is found at the first look, by the shortest phrases that tell them apart."""
    unique: list[Detection] = []
    for one in found:  # the most certain first; what cannot be kept apart is one thing seen twice
        same = [
            other
            for other in unique
            if (other.kind, other.colour, other.size) == (one.kind, one.colour, one.size)
        ]
        if not same or not one.relations and apart(same[0].pixel, one.pixel) > 0.1:
            unique.append(one)
    tracks = []
    for one in unique:
        twins = [other for other in unique if (other.kind, other.colour) == (one.kind, one.colour)]
        name = f"{one.colour} {one.kind}" if len(twins) == 1 else f"{one.size} {one.colour} {one.kind}"
        tracks.append(
            Track(
                name, one.kind, one.colour, one.size, one.pixel, one.certainty, np.array(one.relations),
                one.opening, (0.0, 0.0),
            )
        )  # fmt: skip
    names = [track.name for track in tracks]
    return [track for index, track in enumerate(tracks) if track.name not in names[:index]]


def follow(tracks: list[Track], found: list[Detection]) -> None:
    """Gives every thing the detection that is it, the best pairs first."""
    pairs = sorted(
        (cost, index, number)
        for index, track in enumerate(tracks)
        for number, one in enumerate(found)
        if (cost := unlike(track, one)) < FAR
    )
    taken: set[int] = set()
    for track in tracks:
        track.seen = False
    for _, index, number in pairs:
        track, one = tracks[index], found[number]
        if track.seen or number in taken:
            continue
        taken.add(number)
        track.seen, track.pixel = True, one.pixel
        track.relations, track.opening = np.array(one.relations), one.opening


def unlike(track: Track, one: Detection) -> float:
    """How unlike a detection is to a thing; FAR or more: it is another one."""
    if one.colour != track.colour or bool(one.relations) != track.graspable:
        return FAR
    if not track.graspable and one.kind != track.kind:
        return FAR
    penalty = 0.12 * (one.kind != track.kind) + 0.06 * (one.size != track.size) * track.graspable
    away = apart(track.pixel, one.pixel)
    return (away if track.seen else min(away, LOST)) + penalty + 0.1 * (1 - one.presence)


def apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))
