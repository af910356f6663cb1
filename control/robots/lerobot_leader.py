"""One of LeRobot's teleoperators as ours: `--leader lerobot:TYPE@DEV,KEY=VALUE…` (`lerobot_config.py`).

It has to give `JOINT.pos` for each of the follower's joints, as LeRobot's leader arms do; its calibration is
LeRobot's. The key `units` may say, for teleoperators without motors, what the joints are in.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.lerobot_config import (
    LerobotUnits,
    check_features,
    make_device,
    parse_device,
    units_of,
    values_of,
)
from ideomotor.control.teleop.leader_arm import HandWatch
from ideomotor.control.teleop.teleoperator import FollowerState, TeleopAction


class LerobotLeader:
    """`control.teleop.teleoperator.Teleoperator`."""

    def __init__(self, config_type: str, embodiment: Embodiment, device: str | None) -> None:
        """Raises UserError: LeRobot or the type is missing, or it does not give the follower's joints."""
        self._type = config_type
        port, fields = parse_device(device)
        unit = fields.pop("units", None)
        self._teleoperator: Any = make_device("teleoperator", config_type, port, fields)
        check_features(config_type, self._teleoperator, "action_features", embodiment)
        given = {} if unit is None else dict.fromkeys(embodiment.joint_names, unit)
        self._units = LerobotUnits(embodiment, units_of(self._teleoperator, embodiment, given))
        self._names, self._lower, self._upper = embodiment.joint_names, embodiment.lower, embodiment.upper
        self._hand = HandWatch(np.array([name not in embodiment.grippers for name in self._names]))

    def connect(self) -> None:
        """Connects it; UserError if that cannot be, or it is not calibrated."""
        try:
            self._teleoperator.connect(calibrate=False)
        except Exception as error:
            raise UserError(f"lerobot: {self._type}: {' '.join(str(error).split())}") from error
        if not self._teleoperator.is_calibrated:
            self.disconnect()
            raise UserError(
                f"lerobot: {self._type}: it is not calibrated; calibrate it with lerobot-calibrate "
                f"--teleop.type={self._type}"
            )

    def read(self, state: FollowerState) -> TeleopAction:
        """Where the hand has it; OSError if it cannot be read."""
        try:
            values = values_of(self._teleoperator.get_action(), self._names)
        except OSError:
            raise
        except Exception as error:  # its own kinds of "not connected", which are no OSErrors in every version
            raise OSError(f"lerobot: {self._type}: {error}") from error
        now = time.monotonic()
        position = np.clip(self._units.to_ours(values), self._lower, self._upper)
        return TeleopAction(now, position, self._hand.engaged(now, position, state.driver))

    def disconnect(self) -> None:
        try:
            if self._teleoperator.is_connected:
                self._teleoperator.disconnect()
        except Exception:
            pass  # it is gone already
