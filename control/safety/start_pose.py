"""Whether a run may begin where the arm is. What is refused here is refused before anything moves.

A pose that only just breaks a rule (an encoder's error, an arm that lies folded on itself or on its table)
is let through: the safety filter then allows motion that leads out of it, and no other.

How much is just? The simulated SO-101 was dropped from 60 free postures with its motors off and left for
2.5 s. Where nothing but its joints' stops holds its links apart, as in the twin, it came to rest up to 19.1
mm closer than its margins allow (5 % of the drops by 17.1 mm or more; forearm or gripper on the shoulder);
where its boxes hold them apart, up to 8.3 mm; the table, up to 5.2 mm. On top comes a calibration that is 5
degrees off, what bring-up allows a joint beyond its range: 10 mm for the forearm, 0.12 m long. Together 30
mm (`CLOSER`).
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.safety.clearance import REASONS, Clearance

OUTSIDE = {"rad": np.radians(5.0), "m": 0.005}  # beyond a joint's range, by its unit
CLOSER = 0.03  # [m] than the margins
FIRST_STEP_S = 0.25  # the first target must be within this at full speed
REMEDY = "support the arm, switch its power off, put it where it is free, and start again"


def check_start(embodiment: Embodiment, position: np.ndarray) -> None:
    """Refuses a pose (A,) [rad or m] out of the joints' ranges, in the table, or in collision with itself.

    Raises:
        UserError: names the joint or the links, the values and what was expected.
    """
    for joint, value in zip(embodiment.joints, position, strict=True):
        allowed = OUTSIDE[joint.unit]
        if not joint.lower - allowed <= value <= joint.upper + allowed:
            raise UserError(
                f"start: {joint.name}: got {value:.3f} {joint.unit}, "
                f"expected {joint.lower:.3f} to {joint.upper:.3f}; {REMEDY}"
            )
    if embodiment.geometry is None:
        return
    clearance = Clearance(embodiment, embodiment.geometry)
    beyond = np.where(clearance.reasons == REASONS.index("workspace"), np.inf, clearance(position[None])[0])
    worst = int(beyond.argmin())
    if beyond[worst] < -CLOSER:
        where = ", ".join(
            f"{name} {value:.2f}" for name, value in zip(embodiment.joint_names, position, strict=True)
        )
        raise UserError(
            f"start: {clearance.names[worst]}: {-1000 * beyond[worst]:.0f} mm closer than allowed, "
            f"expected at most {1000 * CLOSER:.0f} mm, at {where}; {REMEDY}"
        )


def too_far(embodiment: Embodiment, position: np.ndarray, target: np.ndarray, speed: float = 1.0) -> str:
    """Says which joint's first target (A,) is too far from its measured position (A,); empty if none is.

    Args:
        speed: share of their highest speeds that the embodiment's joints are held to. What is far does not
            depend on it.
    """
    full = embodiment.max_velocity / speed
    away = np.abs(target - position) / full  # [s]
    worst = int(np.nanargmax(away)) if np.isfinite(away).any() else 0
    if not away[worst] > FIRST_STEP_S:
        return ""
    joint = embodiment.joints[worst]
    return (
        f"start: {joint.name}: the first target is {target[worst]:.3f} {joint.unit}, expected one within "
        f"{FIRST_STEP_S * full[worst]:.3f} {joint.unit} of where it is ({position[worst]:.3f})"
    )
