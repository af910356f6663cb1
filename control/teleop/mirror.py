"""From the joints of a leader to those of its follower: joint to joint by name, grippers by share of range.

Both arms have been calibrated, so that the same angle is the same pose. A gripper's handle turns otherwise
than the gripper: from its stop at the one end to that at the other is from closed to open for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError


@dataclass(frozen=True)
class Mirror:
    """follower = follower_zero + scale * (leader - leader_zero); all (A,), in the follower's order."""

    order: np.ndarray  # of the leader's joints
    scale: np.ndarray
    leader_zero: np.ndarray  # [rad or m]
    follower_zero: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def follower(self, leader: np.ndarray) -> np.ndarray:
        """The follower's joints (A,) for the leader's (L,), within its ranges."""
        return np.clip(self.unclipped(leader), self.lower, self.upper)

    def unclipped(self, leader: np.ndarray) -> np.ndarray:
        """The same, wherever the leader is."""
        return self.follower_zero + self.scale * (leader[self.order] - self.leader_zero)

    def leader(self, follower: np.ndarray) -> np.ndarray:
        """The leader's joints (L,) for the follower's (A,)."""
        position = np.empty(len(self.order))
        position[self.order] = self.leader_zero + (follower - self.follower_zero) / self.scale
        return position


def mirror(leader: Embodiment, follower: Embodiment) -> Mirror:
    """How one arm leads another.

    Raises:
        UserError: their joints are not the same.
    """
    ours = {joint.name: i for i, joint in enumerate(leader.joints)}
    wanted = ", ".join(follower.joint_names)
    if set(ours) != set(follower.joint_names):
        raise UserError(
            f"leader: {leader.name} has the joints {', '.join(leader.joint_names)}, "
            f"expected {follower.name}'s: {wanted}"
        )
    order = np.array([ours[name] for name in follower.joint_names])
    for joint in follower.joints:
        if (unit := leader.joints[ours[joint.name]].unit) != joint.unit:
            raise UserError(f"leader: {leader.name}: {joint.name} is in {unit}, expected {joint.unit}")
    grips = np.array([name in follower.grippers for name in follower.joint_names])
    lower, upper = leader.lower[order], leader.upper[order]
    share = (follower.upper - follower.lower) / (upper - lower)
    return Mirror(
        order=order,
        scale=np.where(grips, share, 1.0),
        leader_zero=np.where(grips, lower, 0.0),
        follower_zero=np.where(grips, follower.lower, 0.0),
        lower=follower.lower,
        upper=follower.upper,
    )
