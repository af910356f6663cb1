"""The emulated arm that other tests drive, checked with the maker's own SDK."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.types import Command

pytestmark = pytest.mark.realtime

sdk = pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
OK = 0


class Master:
    """Feetech's SDK as its examples use it, with its time-outs made long enough for a busy machine."""

    def __init__(self, path: str) -> None:
        self.port = sdk.PortHandler(path)
        assert self.port.setBaudRate(1_000_000)
        self.sdk = sdk.PacketHandler(0)
        slow_reply = self.port.setPacketTimeoutMillis
        self.port.setPacketTimeout = lambda length: slow_reply(200.0)


@pytest.fixture
def arm(emulated_arm: Callable[..., Any]) -> Any:
    return emulated_arm(angles=[1000, 2000, 2048, 3000, 4000, 100])


@pytest.fixture
def master(arm: Any) -> Iterator[Master]:
    master = Master(arm.port)
    yield master
    master.port.closePort()


def settled(arm: Any, number: int, goal: float) -> bool:
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        state = arm.state()[number]
        if abs(state["position"] - goal) <= 2:
            return True
        time.sleep(0.02)
    return False


def test_ping_read_and_write_by_the_makers_sdk(arm: Any, master: Master) -> None:
    assert [master.sdk.ping(master.port, i) for i in range(1, 7)] == [(777, OK, 0)] * 6
    assert master.sdk.ping(master.port, 7)[1] == sdk.COMM_RX_TIMEOUT
    assert master.sdk.read2ByteTxRx(master.port, 4, 56) == (3000, OK, 0)
    assert master.sdk.write2ByteTxRx(master.port, 4, 48, 400) == (OK, 0)
    assert arm.get(4, "torque_limit") == 400
    arm.set(2, errors=32)
    assert master.sdk.read2ByteTxRx(master.port, 2, 56) == (2000, OK, 32)
    arm.set(3, silent=True)
    assert master.sdk.read1ByteTxRx(master.port, 3, 5)[1] == sdk.COMM_RX_TIMEOUT


def test_sync_read_and_write_by_the_makers_sdk(arm: Any, master: Master) -> None:
    group = sdk.GroupSyncRead(master.port, master.sdk, 56, 6)
    assert all(group.addParam(i) for i in range(1, 7))
    assert group.txRxPacket() == OK
    assert [group.getData(i, 56, 2) for i in range(1, 7)] == [1000, 2000, 2048, 3000, 4000, 100]
    goals = sdk.GroupSyncWrite(master.port, master.sdk, 42, 2)
    for i in (1, 2):
        goals.addParam(i, [0xDC, 5])  # 1500
        assert master.sdk.write1ByteTxRx(master.port, i, 40, 1) == (OK, 0)
        assert arm.torque()[i]
    assert goals.txPacket() == OK
    assert settled(arm, 1, 1500) and settled(arm, 2, 1500)
    assert (1, 1500) in {(row[1], row[3]) for row in arm.history("goal_position")}


def test_reg_write_waits_for_action(arm: Any, master: Master) -> None:
    assert master.sdk.regWriteTxRx(master.port, 1, 48, 2, [0x2C, 1]) == (OK, 0)
    assert arm.get(1, "torque_limit") == 1000
    assert master.sdk.action(master.port, 0xFE) == OK
    ends = time.monotonic() + 10
    while arm.get(1, "torque_limit") != 300:
        assert time.monotonic() < ends


def test_what_is_written_while_locked_is_gone_after_power_on(arm: Any, master: Master) -> None:
    write = master.sdk.write2ByteTxRx
    assert write(master.port, 1, 31, 50) == (OK, 0)
    assert (arm.get(1, "offset"), arm.get(1, "position")) == (50, 950)
    arm.power_cycle()
    assert (arm.get(1, "offset"), arm.get(1, "position")) == (0, 1000)
    assert master.sdk.write1ByteTxRx(master.port, 1, 55, 0) == (OK, 0)
    assert write(master.port, 1, 31, 50 | 1 << 11) == (OK, 0)
    arm.power_cycle()
    assert (arm.get(1, "offset"), arm.get(1, "position"), arm.get(1, "lock")) == (-50, 1050, 1)


def test_registers_that_decide_how_it_moves(arm: Any) -> None:
    def drive(number: int, goal: int) -> None:
        arm.put(number, "goal_position", goal)
        arm.put(number, "torque_enable", 1)

    arm.put(1, "min_position", 1200)  # limits clamp the goal
    drive(1, 600)
    assert settled(arm, 1, 1200)
    arm.put(6, "offset", 200)  # 100 - 200 wraps
    assert arm.get(6, "position") == 3996
    arm.put(6, "phase", 12 | 16)
    assert arm.get(6, "position") == -100
    arm.put(2, "torque_limit", 200)  # not enough for what hangs on it
    arm.set(2, weight=0.3)
    drive(2, 3000)
    arm.put(3, "mode", 1)  # the goal is nothing, it turns
    arm.put(3, "goal_speed", -500)
    drive(3, 2048)
    arm.set(4, frozen=True)
    drive(4, 2000)
    time.sleep(0.2)
    state = arm.state()
    assert state[2]["angle"] == 2000 and arm.get(2, "load") == 200
    assert state[3]["angle"] < 2030
    assert state[4]["angle"] == 3000 and arm.get(4, "load") == -1000


def test_a_hand_moves_joints_up_to_their_stops(arm: Any) -> None:
    arm.set(5, stops=(3000, 4500))
    arm.state()
    arm.hand({5: [(0.1, 5000), (0.2, 2000), (0.3, 3500)]})
    ends = time.monotonic() + 10
    while abs(arm.state()[5]["angle"] - 3500) > 1 or arm.state()[5]["angle"] > 4000:
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_replies_are_as_late_as_they_are_told_to_be(arm: Any, master: Master) -> None:
    def took() -> float:
        began = time.monotonic()
        assert master.sdk.read2ByteTxRx(master.port, 1, 56)[1] == OK
        return time.monotonic() - began

    arm.set(latency_s=(0.05, 0.06))
    assert min(took() for _ in range(5)) >= 0.05
    arm.set(latency_s=(0, 0))
    arm.adapter(0.03)
    assert min(took() for _ in range(5)) >= 0.03


def test_the_driver_drives_it(emulated_arm: Callable[..., Any]) -> None:
    arm = emulated_arm()
    robot = ServoArm(ROBOT, arm.port, timeout=0.1, stale_after=0.5)
    robot.connect()
    assert all(arm.torque().values())
    target = ROBOT.home_position + 0.1
    for tick in range(60):
        robot.write(Command(tick, target))
        robot.read()
        time.sleep(1 / 120)
    np.testing.assert_allclose(robot.read().position, target, atol=0.01)
    arm.unplug()
    robot.read()
    assert any(fault.name == "unplugged" for fault in robot.faults())
    arm.plug_in()
    ends = time.monotonic() + 20
    while any(fault.name == "unplugged" for fault in robot.faults()):
        assert time.monotonic() < ends
        robot.read()
        time.sleep(0.02)
    robot.disconnect()
    assert not any(arm.torque().values())
