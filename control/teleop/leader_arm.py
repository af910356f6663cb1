"""A leader arm: servos that a person moves by hand, read as any arm of servos is, and never written to.

The arm that it leads has the same joints (control/teleop/mirror.py). While a policy drives, a leader that is
moved takes over; one that has been handed back is armed again when it has been left alone for a while.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.calibration import Calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.teleop.mirror import mirror
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction
from ideomotor.control.types import RobotState

TIMEOUT_S = 0.012  # for its servos' replies, 0.5 ms each where nobody set them up; nobody waits here
MOVED_RAD = 0.15  # from where it was left, of any joint but the handle: a hand has taken it
STILL_RAD = 0.03  # less than this within `STILL_S` is left alone
STILL_S = 1.5


class LeaderArm:
    """A `Teleoperator`.

    Attributes:
        arm: its servos.
    """

    def __init__(self, leader: Embodiment, port: str, calibration: Calibration, follower: Embodiment) -> None:
        """Args:
            leader: with a section `bus`.
            port: path of its serial device.
            calibration: of this very arm.
            follower: the robot that it leads.

        Raises:
            UserError: it cannot lead that robot.
        """
        check_leads(leader, follower)
        self._mirror = mirror(leader, follower)
        self.arm = ServoArm(leader, port, calibration, timeout=TIMEOUT_S)
        self._hand = HandWatch(np.array([name not in follower.grippers for name in follower.joint_names]))
        self._read_at = -np.inf  # [s]

    def connect(self) -> None:
        """Opens the port and checks every servo; nothing is written.

        Raises:
            UserError: the port or a servo is missing, or it is not the arm that was calibrated.
        """
        self.arm.watch()

    def read(self, state: FollowerState) -> TeleopAction:
        """Where the hand has the arm, as the follower's joints.

        Raises:
            OSError: a servo does not answer, or the adapter is gone.
        """
        return self.action(self.arm.read(), state)

    def action(self, found: RobotState, state: FollowerState) -> TeleopAction:
        """What a reading of the leader's own joints means.

        Raises:
            OSError: as `read`.
        """
        if found.time <= self._read_at or not np.isfinite(found.position).all():
            faults = self.arm.faults()
            grave = [fault for fault in faults if fault.kind.stops] or faults
            raise OSError(f"leader: {grave[0] if grave else 'no new pose'}")
        self._read_at = found.time
        position = self._mirror.follower(found.position)
        return TeleopAction(found.time, position, self._hand.engaged(found.time, position, state.driver))

    def disconnect(self) -> None:
        """Closes the port; the motors have been off all along."""
        self.arm.disconnect(torque_off=False)


class HandWatch:
    """Whether a hand has taken a leader that was left alone while a policy drives."""

    def __init__(self, counted: np.ndarray) -> None:
        """Args:
        counted: (A,) bool, joints that count.
        """
        self._counted = counted
        self._left_at: np.ndarray | None = None  # (A,) where it was left alone
        self._since = 0.0  # [s], when it came there
        self.armed = False

    def engaged(self, now: float, position: np.ndarray, driver: DriverName) -> bool:
        """To be called at each reading, (A,) at time `now` [s]: whether a person drives, or wants to."""
        if driver is DriverName.PERSON:
            self._left_at, self.armed = None, False
            return True
        moved = np.inf if self._left_at is None else np.abs(position - self._left_at)[self._counted].max()
        if self.armed and moved > MOVED_RAD:
            return True
        if not self.armed and moved > STILL_RAD:
            self._left_at, self._since = position.copy(), now
        self.armed |= now - self._since > STILL_S
        return False


def check_leads(leader: Embodiment, follower: Embodiment) -> None:
    """UserError unless an arm is one that may lead another: it says so itself, and has the same joints."""
    if not leader.leads:
        raise UserError(
            f"leader: {leader.name} is no leader arm, expected one whose file says which robot it leads, "
            f"e.g. so101_leader"
        )
    if leader.leads != follower.name:
        raise UserError(f"leader: {leader.name} leads {leader.leads}, expected a leader of {follower.name}")
    mirror(leader, follower)
