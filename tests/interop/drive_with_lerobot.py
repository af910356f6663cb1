"""Runs in the environment with the real lerobot: its classes behind our adapters. One argument, JSON:

    {"follower": port, "leader": port, "folder": for calibrations, "ranges": {joint: [low, high]}}

Prints one JSON object. The arms are twins; besides, there are devices of our own behind LeRobot's interfaces.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from lerobot.cameras import Camera, CameraConfig  # pyright: ignore[reportMissingImports]
from lerobot.robots import Robot, RobotConfig  # pyright: ignore[reportMissingImports]
from lerobot.teleoperators import Teleoperator, TeleoperatorConfig  # pyright: ignore[reportMissingImports]

from ideomotor.control.driver_spec import DriverSpec
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.lerobot_camera import LerobotCamera
from ideomotor.control.robots.lerobot_leader import LerobotLeader
from ideomotor.control.robots.lerobot_robot import LerobotRobot
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState
from ideomotor.control.types import Command

OURS = load_embodiment("so101")


@RobotConfig.register_subclass("fake_arm")
@dataclass
class FakeArmConfig(RobotConfig):
    port: str
    lacks: str = ""


class FakeArm(Robot):
    """Goes where it is commanded at once; in degrees, its gripper from 0 to 100."""

    config_class, name = FakeArmConfig, "fake_arm"

    def __init__(self, config: FakeArmConfig) -> None:
        super().__init__(config)
        self.config, self.is_on = config, False
        self.at = {f"{joint}.pos": 50.0 for joint in OURS.joint_names if joint != config.lacks}

    observation_features = action_features = property(lambda self: dict.fromkeys(self.at, float))
    is_connected = property(lambda self: self.is_on)
    is_calibrated = property(lambda self: self.config.port != "uncalibrated")

    def connect(self, calibrate: bool = True) -> None:
        self.is_on = True

    def calibrate(self) -> None: ...
    def configure(self) -> None: ...

    def get_observation(self) -> dict[str, Any]:
        return dict(self.at)

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        self.at |= action
        return action

    def disconnect(self) -> None:
        self.is_on = False


@TeleoperatorConfig.register_subclass("fake_hand")
@dataclass
class FakeHandConfig(TeleoperatorConfig):
    degrees: float = 30.0


class FakeHand(Teleoperator):
    config_class, name = FakeHandConfig, "fake_hand"

    def __init__(self, config: FakeHandConfig) -> None:
        super().__init__(config)
        self.config, self.is_on = config, False

    action_features = property(lambda self: {f"{joint}.pos": float for joint in OURS.joint_names})
    feedback_features = property(lambda self: {})
    is_connected = property(lambda self: self.is_on)
    is_calibrated = property(lambda self: True)

    def connect(self, calibrate: bool = True) -> None:
        self.is_on = True

    def calibrate(self) -> None: ...
    def configure(self) -> None: ...

    def get_action(self) -> dict[str, Any]:
        return {f"{joint}.pos": self.config.degrees for joint in OURS.joint_names}

    def send_feedback(self, feedback: dict[str, Any]) -> None: ...

    def disconnect(self) -> None:
        self.is_on = False


@CameraConfig.register_subclass("fake_camera")
@dataclass
class FakeCameraConfig(CameraConfig):
    index_or_path: int | str = 0


class FakeCamera(Camera):
    def __init__(self, config: FakeCameraConfig) -> None:
        super().__init__(config)
        self.is_on = False

    is_connected = property(lambda self: self.is_on)

    @staticmethod
    def find_cameras() -> list[dict[str, Any]]:
        return []

    def connect(self, warmup: bool = True) -> None:
        self.is_on = True

    def read(self, *args: Any) -> Any:
        return np.full((self.height, self.width, 3), 7, dtype=np.uint8)

    def async_read(self, timeout_ms: float = 200) -> Any:
        return self.read()

    def read_latest(self, max_age_ms: int = 500) -> Any:
        return self.read()

    def disconnect(self) -> None:
        self.is_on = False


def follower_state(position: np.ndarray) -> FollowerState:
    return FollowerState(0.0, position, position, position, position, DriverName.PERSON)


def refused(make: Any) -> str:
    try:
        made = make()
        if hasattr(made, "connect"):
            made.connect()
    except UserError as error:
        return str(error)
    return "not refused"


def with_driver(**options: Any) -> Any:
    from dataclasses import replace

    return replace(OURS, bus=None, driver=DriverSpec("lerobot", options))


def fakes() -> dict[str, Any]:
    arm = LerobotRobot(with_driver(type="fake_arm"), "a port")
    arm.connect()
    before = arm.read().position
    arm.write(Command(0, OURS.home_position))
    sent, read = dict(arm._robot.at), arm.read().position
    arm.disconnect()
    hand = LerobotLeader("fake_hand", OURS, "degrees=-20,id=mine")
    hand.connect()
    action = hand.read(follower_state(OURS.home_position))
    spec = SimpleNamespace(name="front", capture=None)
    at, picture = LerobotCamera("fake_camera", "3,width=64,height=48,fps=30", spec).read()
    return {
        "before": before.tolist(),
        "sent": sent,
        "read": read.tolist(),
        "action": action.position.tolist(),
        "engaged": action.engaged,
        "off": not arm._robot.is_on,
        "picture": [*picture.shape, int(picture.max())],
        "refused": [
            refused(lambda: LerobotRobot(with_driver(type="fake_arm", config={"lacks": "gripper"}), "x")),
            refused(lambda: LerobotRobot(with_driver(type="fake_arn"), "x")),
            refused(lambda: LerobotRobot(with_driver(type="fake_arm"), "uncalibrated")),
            refused(lambda: LerobotRobot(with_driver(type="fake_arm", config={"nonsense": 1}), "x")),
            refused(lambda: LerobotRobot(with_driver(typ="fake_arm"), "x")),
            refused(lambda: LerobotLeader("keyboard", OURS, None)),
            refused(lambda: LerobotLeader("fake_hand", OURS, "/dev/x,degrees")),
        ],
    }


def calibrated(device: Any, ranges: dict[str, list[int]]) -> None:
    """As lerobot-calibrate leaves the motors and its file."""
    from lerobot.motors import MotorCalibration  # pyright: ignore[reportMissingImports]

    device.bus.connect()
    device.bus.disable_torque()
    device.calibration = {
        joint: MotorCalibration(device.bus.motors[joint].id, 0, 0, low, high)
        for joint, (low, high) in ranges.items()
    }
    device.bus.write_calibration(device.calibration)
    device._save_calibration()
    device.bus.disconnect()


def arms(given: dict[str, Any]) -> dict[str, Any]:
    folder = Path(given["folder"])
    robot = with_driver(type="so101_follower", config={"id": "left", "calibration_dir": str(folder / "f")})
    uncalibrated = refused(lambda: LerobotRobot(robot, given["follower"]))
    arm = LerobotRobot(robot, given["follower"])
    calibrated(arm._robot, given["ranges"])
    arm = LerobotRobot(robot, given["follower"])
    arm.connect()
    start = arm.read().position
    target = start + np.array([0.2, 0.1, -0.1, 0.1, 0.2, 0.2])
    for tick in range(120):
        arm.write(Command(tick, start + (target - start) * min(1.0, tick / 60)))
        time.sleep(1 / 120)
    end = arm.read().position
    arm.disconnect()
    where = f"{given['leader']},id=right,calibration_dir={folder / 'l'}"
    leader = LerobotLeader("so101_leader", OURS, where)
    calibrated(leader._teleoperator, given["ranges"])
    leader = LerobotLeader("so101_leader", OURS, where)
    leader.connect()
    led = leader.read(follower_state(OURS.home_position)).position
    leader.disconnect()
    return {
        "uncalibrated": uncalibrated,
        "start": start.tolist(),
        "target": target.tolist(),
        "end": end.tolist(),
        "led": led.tolist(),
    }


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(fakes() | (arms(given) if given else {})))
