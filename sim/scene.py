"""What stands on the table and how it appears.

A `Scene` is plain data, complete and immutable. Tasks lay scenes out (`layout.py`), `randomization.py` draws
their appearance, `scene_model.py` turns them into physics. Positions in m in the base frame (x ahead of the
arm, y to its left, z up, table top at z = 0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ideomotor.sim.generalization.held_out_objects import HELD_OUT_SHAPES
from ideomotor.sim.randomization import Appearance

COLOURS = {
    "red": (0.82, 0.08, 0.10),
    "green": (0.10, 0.58, 0.16),
    "blue": (0.10, 0.24, 0.85),
    "yellow": (0.96, 0.84, 0.10),
    "purple": (0.48, 0.14, 0.66),
    "orange": (0.96, 0.45, 0.06),
}
SIZES = {"small": 0.0130, "large": 0.0175}  # half extent of a graspable object [m]
GRASPABLE = ("cube", "cylinder", "ball")
DENSITY = 350.0  # of graspable objects [kg/m³], light wood or foam

BOWL_RADIUS, BOWL_HEIGHT = 0.045, 0.026  # [m]
PLATE_RADIUS, PLATE_HEIGHT = 0.045, 0.008  # [m]
ZONE_RADIUS = 0.045  # [m]
BUTTON_RADIUS, BUTTON_HEIGHT, BUTTON_TRAVEL = 0.018, 0.030, 0.010  # [m]
DRAWER_HALF = (0.040, 0.048, 0.022)  # [m], the cabinet of one drawer
DRAWER_TRAVEL = 0.075  # [m]
HANDLE_REACH = 0.050  # from the drawer's front to its handle bar [m]
TRAY_FLOOR, TRAY_SIDE = 0.006, 0.020  # tops of a hollow drawer's floor and of its sides [m]


@dataclass(frozen=True)
class Thing:
    """One object on the table."""

    name: str  # of its MuJoCo body
    kind: str  # cube, cylinder, ball, bowl, plate, zone, button, drawer or one of `HELD_OUT_SHAPES`
    colour: str
    position: tuple[float, float]  # x, y [m]
    size: str = "large"  # small or large; graspable objects only
    yaw: float = 0.0  # [rad]
    opening: float = 0.0  # of a drawer at the start [m]
    half: float = SIZES["large"]  # half extent [m], after randomisation
    hollow: bool = False  # of a drawer: what is put into its tray stays there
    base: float = 0.0  # above the table at the start, of what can be grasped: what it lies on [m]

    @property
    def radius(self) -> float:
        """Of the circle on the table that contains it [m]."""
        extents = {"bowl": BOWL_RADIUS, "plate": PLATE_RADIUS, "zone": ZONE_RADIUS, "button": BUTTON_RADIUS}
        if self.kind == "drawer":
            return DRAWER_HALF[0] + HANDLE_REACH  # what stands before it would be in the way
        if shape := HELD_OUT_SHAPES.get(self.kind):
            return self.half * shape.radius
        return extents.get(self.kind, self.half * (1.42 if self.kind == "cube" else 1.0))

    @property
    def height(self) -> float:
        """Of its top above the table at the start [m]."""
        tops = {
            "bowl": BOWL_HEIGHT,
            "plate": PLATE_HEIGHT,
            "zone": 0.0,
            "button": BUTTON_HEIGHT,
            "drawer": 2 * DRAWER_HALF[2],
        }
        return tops.get(self.kind, self.base + 2 * self.half)

    @property
    def graspable(self) -> bool:
        """Whether it is an object that fits between the fingers."""
        return self.kind in GRASPABLE or self.kind in HELD_OUT_SHAPES


@dataclass(frozen=True)
class Scene:
    """Things on the table and how everything looks."""

    things: tuple[Thing, ...]
    appearance: Appearance = Appearance()

    def thing(self, name: str) -> Thing:
        return next(thing for thing in self.things if thing.name == name)

    def describe(self, name: str) -> str:
        """The shortest phrase that names one thing only, e.g. "red cube" or "small red cube"."""
        thing = self.thing(name)
        phrase = f"{thing.colour} {thing.kind}"
        twins = [t for t in self.things if (t.colour, t.kind) == (thing.colour, thing.kind)]
        return phrase if len(twins) == 1 else f"{thing.size} {phrase}"


def with_appearance(scene: Scene, appearance: Appearance) -> Scene:
    """Returns the same layout in another appearance; sizes of graspable objects follow its factor."""
    things = tuple(
        replace(thing, half=SIZES[thing.size] * appearance.size) if thing.kind in GRASPABLE else thing
        for thing in scene.things
    )
    return Scene(things=things, appearance=appearance)
