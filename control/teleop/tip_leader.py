"""A leader arm of other joints than its follower: its tip leads the follower's, by how it moves.

Both files say where the links are (section `geometry`). When a person begins to drive, both arms are where
they are, and from there on the follower's tip moves as the leader's does, its way times `scale`: a clutch
that closes where the hand is. It opens and closes anew when the follower could not go along for a while (a
stop, the table, the end of its reach), when the leader was lost, and when somebody else drove: nothing jumps,
and the hand need not find the way back. The gripper follows the handle's share of its own range.

The follower's joints are found as when a tip is jogged (control/teleop/jog.py), towards the pose that is
wanted; what its joints cannot turn it leaves.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.calibration import Calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.teleop.jog import JogLimits, TipJog
from ideomotor.control.teleop.leader_arm import TIMEOUT_S, HandWatch
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction
from ideomotor.control.teleop.tip_pose import TipPose, difference
from ideomotor.control.types import RobotState

LIMITS = JogLimits(way=0.6, turn=3.0, grip=4.0, rise_s=0.03)
CLOSING = 0.5  # share of what is left to the wanted pose, that a reading goes
BEHIND, BEHIND_S = 0.1, 0.3  # [rad or m] that the arm may be behind its target, and for how long
GAP_S = 0.2  # without a reading, after which the clutch closes anew
SCALES = (0.1, 5.0)


class TipLeader:
    """A `Teleoperator`."""

    def __init__(
        self,
        leader: Embodiment,
        port: str,
        calibration: Calibration,
        follower: Embodiment,
        scale: float = 1.0,
    ) -> None:
        """Args:
            leader: with a section `bus`.
            port: path of its serial device.
            calibration: of this very arm.
            follower: the robot that it leads.
            scale: of the follower's way to the leader's.

        Raises:
            UserError: it cannot lead that robot.
        """
        check_tips(leader, follower)
        self.arm = ServoArm(leader, port, calibration, timeout=TIMEOUT_S)
        self._following = TipFollowing(leader, follower, scale)
        self._read_at = -np.inf  # [s]

    def connect(self) -> None:
        """Opens the port and checks every servo; nothing is written. `UserError` as `LeaderArm.connect`."""
        self.arm.watch()

    def read(self, state: FollowerState) -> TeleopAction:
        """What the follower's joints are to do for where the hand has the leader's tip.

        Raises:
            OSError: a servo does not answer, or the adapter is gone.
        """
        found = self.arm.read()
        if found.time <= self._read_at or not np.isfinite(found.position).all():
            faults = self.arm.faults()
            grave = [fault for fault in faults if fault.kind.stops] or faults
            raise OSError(f"leader: {grave[0] if grave else 'no new pose'}")
        self._read_at = found.time
        return self._following.action(found, state)

    def disconnect(self) -> None:
        """Closes the port; the motors have been off all along."""
        self.arm.disconnect(torque_off=False)


class TipFollowing:
    """From readings of a leader to actions of its follower."""

    def __init__(self, leader: Embodiment, follower: Embodiment, scale: float) -> None:
        self._leader, self._follower = TipPose(leader), TipPose(follower)
        self._jog = TipJog(follower, LIMITS)
        self._scale = np.array([scale] * 3 + [1.0] * 2)  # of a pose
        self._hand = HandWatch(np.array([name not in leader.grippers for name in leader.joint_names]))
        self._handle, self._grip = _gripper(leader), _gripper(follower)
        self._from: tuple[np.ndarray, np.ndarray] | None = None  # (5,) of both tips where the clutch closed
        self._at = -np.inf  # [s], of the last reading
        self._behind_since: float | None = None  # [s]

    def action(self, found: RobotState, state: FollowerState) -> TeleopAction:
        """The action for a reading of the leader's joints."""
        now, seconds = found.time, found.time - self._at
        self._at = now
        engaged = self._hand.engaged(now, found.position, state.driver)
        if not np.isfinite(state.command).all():
            self._from = None
            return TeleopAction(now, self._jog.stand(state.command), engaged=False)  # control has not begun
        if state.driver is DriverName.POLICY or seconds > GAP_S or self._fell_behind(now, state.command):
            self._from = None
        pose = self._leader.pose(found.position)
        if self._from is None:
            self._jog.stand(state.command)
            self._from = pose, self._follower.pose(self._jog.target)
            self._behind_since = None
            return TeleopAction(now, self._jog.target.copy(), engaged)
        moved = self._scale * difference(pose, self._from[0])
        left = difference(self._from[1] + moved, self._follower.pose(self._jog.target))
        rate = CLOSING * left / seconds
        position = self._jog.step(rate, self._grip_rate(found.position) / seconds, state, seconds)
        return TeleopAction(now, position, engaged)

    def _fell_behind(self, now: float, command: np.ndarray) -> bool:
        """Whether the arm has not gone along for a while."""
        behind = float(np.abs(self._jog.target - command).max()) > BEHIND
        if not behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
        return self._behind_since is not None and now - self._behind_since > BEHIND_S

    def _grip_rate(self, leader: np.ndarray) -> float:
        """By which share of its range the gripper is to open now."""
        if self._handle is None or self._grip is None:
            return 0.0
        wanted, have = self._handle.share(leader), self._grip.share(self._jog.target)
        return CLOSING * (min(max(wanted, 0.0), 1.0) - have)


class _Gripper:
    def __init__(self, column: int, lower: float, upper: float) -> None:
        self._column, self._lower, self._range = column, lower, upper - lower

    def share(self, position: np.ndarray) -> float:
        return float((position[self._column] - self._lower) / self._range)


def _gripper(robot: Embodiment) -> _Gripper | None:
    if not robot.grippers:
        return None
    column = robot.joint_names.index(robot.grippers[0])
    return _Gripper(column, float(robot.lower[column]), float(robot.upper[column]))


def check_tips(leader: Embodiment, follower: Embodiment) -> None:
    """UserError unless a leader arm's tip can lead another arm's."""
    if not leader.leads:
        raise UserError(f"leader: {leader.name} is no leader arm, expected one whose file says `leads`")
    TipPose(leader)
    TipPose(follower)
