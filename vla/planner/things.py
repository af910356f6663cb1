"""What the planner knows of things from their names alone: "small red cube" is small, red, and a cube."""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.facts import SIDES

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SIZES = ("small", "large")
GRASPABLE = ("cube", "cylinder", "ball")
FIXED = ("bowl", "plate", "zone", "button", "drawer")  # kinds that stay where they are
KINDS = (*GRASPABLE, *FIXED)


@dataclass(frozen=True)
class Name:
    """A thing's name taken apart; what is not said is empty."""

    size: str
    colour: str
    kind: str


def taken_apart(name: str) -> Name:
    """Size, colour and kind of a thing; its kind is the last word."""
    words = name.split()
    size = words[0] if words and words[0] in SIZES else ""
    colour = next((word for word in words[:-1] if word in COLOURS), "")
    return Name(size, colour, words[-1] if words else "")


def kind_of(name: str) -> str:
    """Of a thing."""
    return taken_apart(name).kind


def is_graspable(name: str) -> bool:
    """Whether a thing can be taken into the hand; one of an unknown kind can."""
    return name not in SIDES and kind_of(name) not in FIXED
