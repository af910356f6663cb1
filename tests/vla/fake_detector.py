"""A detector that finds what a test says, and looks through it."""

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import Observation
from ideomotor.vla.planner.perception.camera import FrontCamera
from ideomotor.vla.planner.perception.detector import RELATIONS, Detection

ROBOT = load_embodiment("so101")
CAMERA = FrontCamera(ROBOT)
HOME = ROBOT.home_position.astype(np.float32)


class FakeDetector:
    """A detector that finds what it is given."""

    camera = CAMERA

    def __init__(self):
        self.things = []

    def detect(self, image, state, least):
        return list(self.things)

    def put(self, name, x, y, relation="free", height=0.013, opening=0.0, certainty=0.9):
        """Adds a thing at x, y, its body `height` above the table."""
        *size, colour, kind = name.split()
        graspable = kind in ("cube", "cylinder", "ball")
        fake = tuple(0.9 if one == relation else 0.1 / 6 for one in RELATIONS) if graspable else ()
        self.things.append(
            Detection(kind, colour, (size or ["small"])[0] if graspable else "large",
                      CAMERA.project(np.array([x, y, height])), 0.9, fake, opening, certainty)
        )  # fmt: skip


def look(perception, state=HOME, shape=(96, 96, 3)):
    return perception.perceive(Observation(0.0, 0, {"front": np.zeros(shape, np.uint8)}, state, ""), None)


def lowered(state):
    """The same arm with its fingertips just above the table."""
    for lift in np.linspace(-1.3, 1.5, 200):
        low = state.copy()
        low[1] = lift
        if CAMERA.fingertips(low)[2] < 0.024:
            return low
    raise AssertionError("it never comes down")
