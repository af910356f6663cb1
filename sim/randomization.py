"""Appearance and physics that vary from episode to episode, at three levels.

`none` is the nominal laboratory, `light` what changes from day to day (lamps, a nudged camera, wood
instead of plastic), `full` what changes from laboratory to laboratory. Drawn from an explicit generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

LEVELS = ("none", "light", "full")
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Appearance:
    """One draw of everything that is randomised besides the layout."""

    light_direction: tuple[float, float, float] = (-0.25, 0.15, -0.95)
    light_intensity: float = 0.65
    ambient: float = 0.42
    table_colours: tuple[Colour, Colour] = ((0.62, 0.56, 0.50), (0.50, 0.45, 0.40))
    table_texture: str = "plain"  # plain, checker, gradient or stripes
    floor_colours: tuple[Colour, Colour] = ((0.35, 0.37, 0.40), (0.25, 0.26, 0.28))
    floor_texture: str = "plain"
    cameras: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = field(
        default_factory=dict
    )  # {camera: (offset [m], rotation vector in its own frame [rad])}
    tints: tuple[Colour, ...] = ()  # added to the colours of the things, in their order
    size: float = 1.0  # factors on nominal values
    mass: float = 1.0
    friction: float = 1.0  # of objects
    contact: float = 1.0  # on the friction of all that touches: objects, table and fingers
    gain: float = 1.0  # of the servos
    home_offset: tuple[float, ...] = ()  # added to the home pose at the start [rad]
    distractors: int = 0

    def tint(self, rgb: Colour, index: int) -> Colour:
        """Returns the colour of thing number `index` after colour randomisation."""
        if not self.tints:
            return rgb
        tinted = np.clip(np.add(rgb, self.tints[index % len(self.tints)]), 0.0, 1.0)
        return (float(tinted[0]), float(tinted[1]), float(tinted[2]))


def draw_appearance(generator: np.random.Generator, level: str) -> Appearance:
    """Returns a random appearance at `level` ("none", "light" or "full").

    Every level consumes the same random numbers, so a seed's layout does not depend on the level.
    """
    unit = generator.uniform(-1.0, 1.0, size=64)
    picks = generator.integers(0, 12, size=8)
    if level == "none":
        return Appearance()
    full = level == "full"
    tilt = 0.7 if full else 0.2
    direction = np.array([-0.25 + tilt * unit[0], 0.15 + tilt * unit[1], -0.95])
    direction /= np.linalg.norm(direction)
    spread = 0.30 if full else 0.06
    table, floor = np.array(Appearance.table_colours), np.array(Appearance.floor_colours)
    grey_or_hue = unit[2:5] * spread * (0.5 if full else 0.3) + unit[5] * spread
    textures = ("plain", "checker", "gradient") if full else ("plain", "plain", "gradient")
    centimetres, degrees = (0.02, 3.0) if full else (0.006, 0.8)
    return Appearance(
        light_direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        light_intensity=0.65 * (1 + (0.4 if full else 0.15) * unit[6]),
        ambient=0.42 * (1 + (0.35 if full else 0.12) * unit[7]),
        table_colours=_colours(table + grey_or_hue),
        table_texture=textures[picks[0] % 3],
        floor_colours=_colours(floor + unit[8:11] * spread),
        floor_texture=textures[picks[1] % 3],
        cameras={
            "front": (tuple(centimetres * unit[12:15]), tuple(np.radians(degrees) * unit[15:18])),
            "wrist": (tuple(0.2 * centimetres * unit[18:21]), tuple(0.5 * np.radians(degrees) * unit[21:24])),
        },
        tints=tuple(_colour((0.10 if full else 0.04) * unit[24 + 3 * i : 27 + 3 * i]) for i in range(8)),
        size=1 + (0.15 if full else 0.08) * unit[48],
        mass=float(np.exp((0.7 if full else 0.2) * unit[49])),
        friction=1 + (0.35 if full else 0.15) * unit[50],
        gain=1 + (0.15 if full else 0.05) * unit[51],
        home_offset=tuple((0.10 if full else 0.06) * unit[52:58]),
        distractors=int(picks[2] % (3 if full else 2)),
    )


def _colour(rgb: np.ndarray) -> Colour:
    return (float(rgb[0]), float(rgb[1]), float(rgb[2]))


def _colours(pair: np.ndarray) -> tuple[Colour, Colour]:
    clipped = np.clip(pair, 0.05, 0.95)
    return _colour(clipped[0]), _colour(clipped[1])
