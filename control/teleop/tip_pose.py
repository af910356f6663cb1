"""Where the tip of an arm is and how its gripper is turned, in numbers that arms of other joints have too.

    forward, left, up [m] in the base frame; pitch, roll [rad]

Pitch is how far the line from the gripper's link to the tip points down, seen from the side; roll is how far
the gripper is turned about that line, from lying across the line from the base's axis to the tip. So an arm
that turns about its base keeps both, more or less, as a hand at its side does. Of one arm, differences of
these mean the same as another's; what roll is zero is the arm's own affair.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.safety.kinematics import Kinematics


class TipPose:
    """Of one robot."""

    def __init__(self, embodiment: Embodiment) -> None:
        """Raises UserError for a robot whose file does not say where its links are, or that has two tips."""
        geometry = embodiment.geometry
        if geometry is None or len(geometry.tips) > 1:
            raise UserError(
                f"leader: {embodiment.name}: expected the section geometry in its file, with one tip"
            )
        self._kinematics = Kinematics(embodiment, geometry)
        self._link = self._kinematics.names.index(geometry.tip_link)
        self._point = np.array([*geometry.tip_position, 1.0])
        along = self._point[:3] / max(float(np.linalg.norm(self._point[:3])), 1e-9)
        self._side = np.eye(3)[int(np.abs(along).argmin())]  # an axis of the link that turns with the roll

    def pose(self, position: np.ndarray) -> np.ndarray:
        """(5,): forward, left, up [m], pitch, roll [rad], for joints (A,)."""
        frame = self._kinematics.frames(position[None])[:, 0, self._link]  # (3, 4)
        tip = frame @ self._point
        along = tip - frame[:, 3]
        along = along / max(float(np.linalg.norm(along)), 1e-9)
        out = np.array([tip[0], tip[1], 0.0])  # from the base's axis
        distance = float(np.linalg.norm(out))
        out = out / distance if distance > 1e-6 else np.array([1.0, 0.0, 0.0])
        across = np.array([-out[1], out[0], 0.0])
        pitch = np.arctan2(-along[2], along @ out)
        level = across - (across @ along) * along  # across, as far as it is square to the line
        level = level / max(float(np.linalg.norm(level)), 1e-9)
        side = frame[:, :3] @ self._side
        roll = np.arctan2(side @ np.cross(along, level), side @ level)
        return np.array([*tip, pitch, roll])


def difference(pose: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(5,) from `other` to `pose`, angles the short way round."""
    away = pose - other
    away[3:] = (away[3:] + np.pi) % (2 * np.pi) - np.pi
    return away
