"""Perceived facts: what the scene detector finds, followed from look to look, and what the joints tell.

Things are named at the first look and keep their names. What is hidden, behind the arm or in a closed drawer,
is taken to be where it was seen last, or where the hand let go of it; so is what is found nowhere after the
hand has closed around it and opened elsewhere. What only lasts a moment (a button is
down, a hand opens) is noticed from the joint positions at every camera frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.facts import Fact
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla.planner.goals.spoken import Spoken, spoken_of
from ideomotor.vla.planner.interface import PerceivedScene
from ideomotor.vla.planner.perception.camera import FrontCamera
from ideomotor.vla.planner.perception.detector import BUNDLED, RELATIONS, SIDE, SceneDetector
from ideomotor.vla.planner.perception.hand import TURN, Hand
from ideomotor.vla.planner.perception.tracks import HALF, Track, apart, as_spoken, follow, named

CONTAINERS = {"inside": ("inside", "bowl"), "on_plate": ("on", "plate"), "on_zone": ("on", "zone")}
OPENED, CLOSED = 0.057, 0.013  # from which opening on, and up to which [m]; a skill is done at 0.055, 0.012
TRAY = 0.090  # from a drawer's handle to the middle of its tray [m]
PRESSED_HEIGHT = 0.0265  # of the fingertips above a button that is down [m]
NEAR_BUTTON, NEAR_THING = 0.022, 0.020  # [m]
POINTING = (-0.006, 0.050)  # height of the fingertips over a thing's top [m]
PUSHED, ASIDE = 0.050, 0.030  # that a push moves a thing to the side, and at most ahead [m]
SURE, UNSURE = 0.35, 0.25  # presence from which a thing is believed at the first look, and later on
AROUND = 0.035  # of a thing's middle, where fingertips are that close around it [m]
MISSING = 2  # looks at a thing's old place before it is taken to have been carried away unseen
HIDDEN = 0.15  # of the picture beside the fingertips, where the arm may hide what is farther away
BELOW = {"bowl": 0.045, "plate": 0.050, "zone": 0.050, "drawer": 0.035}  # of a place's middle [m]


@dataclass
class _State:
    spoken: tuple[Spoken, ...] = ()  # of what the goal is
    tracks: list[Track] = field(default_factory=list)
    lasting: set[Fact] = field(default_factory=set)
    hand: Hand = field(default_factory=Hand)
    around: Track | None = None  # what the hand closed around


class SeenPerception:
    """Implements `interface.Perception` from the front camera and the joints.

    Args:
        detector: trained for this robot's camera.
    """

    def __init__(self, detector: SceneDetector):
        self._detector, self._camera = detector, detector.camera
        self._gripper = detector.camera.gripper
        self._state = _State()

    @classmethod
    def of(cls, embodiment: Embodiment, folder: Path = BUNDLED) -> SeenPerception:
        """With the bundled detector. UserError: the robot has no such camera, or there is no detector."""
        return cls(SceneDetector.from_pretrained(folder, FrontCamera(embodiment)))

    def reset(self, goal: str = "") -> None:
        """See `interface.Perception`."""
        self._state = _State(spoken_of(goal))

    def notice(self, state: np.ndarray) -> None:
        """What the joint positions (A,) tell between two looks."""
        tip = self._camera.fingertips(state)
        self._let_go(state, tip)
        self._follow_hand(state, tip)
        for track in self._state.tracks:
            away = _away(track, tip)
            if track.kind == "button" and away < NEAR_BUTTON and tip[2] < PRESSED_HEIGHT:
                self._state.lasting.add(("pressed", track.name))
            over = tip[2] - 2 * track.height
            if track.graspable and away < NEAR_THING and POINTING[0] < over < POINTING[1]:
                self._state.lasting.add(("pointed_at", track.name))

    def perceive(self, observation: Observation, plan: LatentPlan | None) -> PerceivedScene:
        """See `interface.Perception`.

        Raises:
            UserError: the picture of the front camera is missing, or of another size.
        """
        image = observation.images.get(self._camera.name)
        if image is None or image.shape[:2] != (SIDE, SIDE):
            size = "none" if image is None else f"{image.shape[1]} x {image.shape[0]}"
            raise UserError(
                f"camera {self._camera.name}: {size} pixels, expected a picture of {SIDE} x {SIDE}"
            )
        tracks = self._state.tracks
        found = self._detector.detect(image, observation.state, SURE if not tracks else UNSURE)
        if tracks:
            follow(tracks, found)
        else:
            self._state.tracks = tracks = named(as_spoken(found, self._state.spoken))
        for track in tracks:
            track.position = self._camera.on_plane(*track.pixel, track.height)
            if track.began == (0.0, 0.0):
                track.began = track.position
            if track.seen and track.graspable:
                held = _relation(track, tracks) == "held"
                track.grip = float(observation.state[self._gripper]) if held else np.nan
        self._carry(self._camera.fingertips(observation.state))
        self.notice(observation.state)
        facts = self._facts()
        return PerceivedScene(
            tuple(track.name for track in tracks),
            frozenset(facts | self._state.lasting),
            {track.name: track.position for track in tracks},
            {track.name: track.certainty for track in tracks},
            {track.name: track.size for track in tracks if track.graspable},
            {track.name: track.opening for track in tracks if track.kind == "drawer"},
        )

    def _let_go(self, state: np.ndarray, tip: np.ndarray) -> None:
        """What was held when the hand opens is where the fingertips (3,) [m] are, seen there or not."""
        for track in self._state.tracks:
            if state[self._gripper] > track.grip + TURN:  # never so where nobody knows
                self._lay(track, tip)

    def _follow_hand(self, state: np.ndarray, tip: np.ndarray) -> None:
        """Keeps in mind what the hand closes around, and where it opens again."""
        turn = self._state.hand.turn(float(state[self._gripper]))
        if turn == "closes":
            near = [one for one in self._state.tracks if one.graspable and _away(one, tip) < AROUND]
            low = tip[2] < 2 * HALF["large"] + AROUND
            self._state.around = min(near, key=lambda one: _away(one, tip), default=None) if low else None
        elif turn == "opens" and self._state.around is not None:
            self._state.around.dropped, self._state.around.missing = tip.copy(), 0
            self._state.around = None

    def _carry(self, tip: np.ndarray) -> None:
        """What the hand has closed around, and what is no longer where it was, lies where the hand opened."""
        beside, level = self._camera.project(tip)
        for track in self._state.tracks:
            if track.seen:
                track.dropped = None
            if track.dropped is None:
                continue
            in_view = abs(track.pixel[0] - beside) > HIDDEN or track.pixel[1] > level
            track.missing += in_view
            if track.missing >= MISSING:
                self._lay(track, track.dropped)

    def _lay(self, track: Track, tip: np.ndarray) -> None:
        """A thing lies below the fingertips (3,) [m]."""
        track.grip, track.dropped = np.nan, None
        relation = self._below(track, tip)
        track.relations = np.array([float(one == relation) for one in RELATIONS])
        height = float(tip[2]) if relation == "on_thing" else track.height
        track.pixel = self._camera.project(np.array([tip[0], tip[1], height]))
        track.position = (float(tip[0]), float(tip[1]))

    def _below(self, track: Track, tip: np.ndarray) -> str:
        """The relation of a thing that is let go at the fingertips."""
        here = (float(tip[0]), float(tip[1]))
        for one in self._state.tracks:
            behind = TRAY if one.kind == "drawer" else 0.0
            if (
                one.kind in BELOW
                and apart((one.position[0] + behind, one.position[1]), here) < BELOW[one.kind]
            ):
                return {"bowl": "inside", "drawer": "in_drawer"}.get(one.kind, f"on_{one.kind}")
        others = [one for one in self._state.tracks if one.graspable and one is not track]
        stands = tip[2] > 2 * HALF["small"] and any(apart(one.position, here) < NEAR_THING for one in others)
        return "on_thing" if stands else "free"

    # ---- facts

    def _facts(self) -> set[Fact]:
        tracks, found = self._state.tracks, set[Fact]()
        relations = {track.name: _relation(track, tracks) for track in tracks if track.graspable}
        held = [track for track in tracks if relations.get(track.name) == "held"]
        for track in tracks:
            relation = relations.get(track.name, "")
            if track.kind == "drawer" and track.opening > OPENED:
                found.add(("open", track.name))
            if track.kind == "drawer" and track.opening < CLOSED:
                found.add(("closed", track.name))
            if relation in CONTAINERS:
                found |= self._lies(track, *CONTAINERS[relation])
            if relation == "in_drawer":
                found |= self._stowed(track)
            if relation == "on_thing" and (base := self._base(track)) is not None:
                found.add(("on", track.name, base.name))
                below = relations.get(base.name, "")
                found |= self._lies(base, *CONTAINERS[below], of=track) if below in CONTAINERS else set()
            if track.graspable and relation == "free":
                self._note_push(track)
        if held:
            found.add(("held", max(held, key=lambda one: one.relations[RELATIONS.index("held")]).name))
        else:
            found.add(("hand_empty",))
        return found

    def _lies(self, track: Track, predicate: str, kind: str, of: Track | None = None) -> set[Fact]:
        """That a thing, or what is on it, lies in the nearest container of a kind."""
        places = [one for one in self._state.tracks if one.kind == kind]
        if not places:
            return set()
        nearest = min(places, key=lambda one: apart(one.position, track.position))
        return {(predicate, (of or track).name, nearest.name)}

    def _stowed(self, track: Track) -> set[Fact]:
        drawers = [one for one in self._state.tracks if one.kind == "drawer"]
        if not drawers:
            return set()
        nearest = min(
            drawers, key=lambda one: apart((one.position[0] + TRAY, one.position[1]), track.position)
        )
        return {("in_drawer", track.name, nearest.name)}

    def _base(self, track: Track) -> Track | None:
        """What a thing stands on: the one that would be seen right below it."""
        others = [one for one in self._state.tracks if one.graspable and one is not track]

        def miss(one: Track) -> float:
            best = 1.0
            for level in (one.height, one.height + 2 * HALF["small"], one.height + 2 * HALF["large"]):
                x, y = self._camera.on_plane(*one.pixel, level)
                above = self._camera.project(np.array([x, y, level + one.height + HALF[track.size]]))
                best = min(best, apart(above, track.pixel))
            return best

        nearest = min(others, key=miss, default=None)
        return nearest if nearest is not None and miss(nearest) < 0.06 else None

    def _note_push(self, track: Track) -> None:
        ahead, aside = track.position[0] - track.began[0], track.position[1] - track.began[1]
        if abs(ahead) < ASIDE and abs(aside) > PUSHED:
            self._state.lasting.add(("pushed", track.name, "left" if aside > 0 else "right"))


def _away(track: Track, tip: np.ndarray) -> float:
    """Of a thing from the fingertips, seen from above [m]."""
    return apart(track.position, (float(tip[0]), float(tip[1])))


def _relation(track: Track, tracks: list[Track]) -> str:
    """The likeliest relation of a thing among those that the scene allows."""
    kinds = {one.kind for one in tracks}
    allowed = track.relations.copy()
    for index, relation in enumerate(RELATIONS):
        needs = {"inside": "bowl", "on_plate": "plate", "on_zone": "zone", "in_drawer": "drawer"}.get(
            relation
        )
        if needs is not None and needs not in kinds:
            allowed[index] = 0.0
    return RELATIONS[int(allowed.argmax())]
