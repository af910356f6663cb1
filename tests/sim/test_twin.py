"""The twin as its masters see it: the unmodified vendor SDK, and an independent one (rustypot)."""

import math
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.feetech import registers as reg
from ideomotor.control.types import Command
from ideomotor.sim.sim_state_channel import SceneSpec
from ideomotor.sim.twin.faults import KEYS, FaultPlan, parse_fault
from ideomotor.sim.twin.plant import STEP_S, make_plant
from ideomotor.sim.twin.process import Twin
from ideomotor.sim.twin.sts_protocol import StsLine

ROBOT = load_embodiment("so101")
IDS = [1, 2, 3, 4, 5, 6]


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin("so101") as twin:
        yield twin


@pytest.fixture
def sdk(twin: Twin):
    """(SDK, its open port, its packet handler), as the vendor's examples make them."""
    sdk = pytest.importorskip("scservo_sdk")
    twin.inject("clear")
    port = sdk.PortHandler(twin.port)
    assert port.openPort() and port.setBaudRate(1_000_000)
    yield sdk, port, sdk.PacketHandler(0)
    port.closePort()


@pytest.mark.realtime
def test_the_vendor_sdk_pings_reads_and_writes(sdk) -> None:
    _, port, packets = sdk
    for servo in IDS:
        model, result, error = _tried(lambda servo=servo: packets.ping(port, servo))
        assert (model, result, error) == (777, 0, 0)
    assert packets.ping(port, 9)[1] != 0  # nobody is there
    _tried(lambda: packets.write2ByteTxRx(port, 3, reg.GOAL_POSITION.address, 2500))
    assert _tried(lambda: packets.read2ByteTxRx(port, 3, reg.GOAL_POSITION.address))[0] == 2500
    assert _tried(lambda: packets.read1ByteTxRx(port, 3, reg.VOLTAGE.address))[0] == 74
    # What is kept without power is protected by the lock.
    _tried(lambda: packets.write1ByteTxRx(port, 3, reg.P_GAIN.address, 16))
    assert _tried(lambda: packets.read1ByteTxRx(port, 3, reg.P_GAIN.address))[0] == 32


@pytest.mark.realtime
def test_the_vendor_sdk_moves_the_arm(sdk, twin: Twin) -> None:
    sdk, port, packets = sdk
    goals = ROBOT.home_position + 0.1
    write = sdk.GroupSyncWrite(port, packets, reg.GOAL_POSITION.address, 2)
    for servo, goal in zip(IDS, goals, strict=True):
        write.addParam(servo, list(reg.GOAL_POSITION.encode(round(2048 + goal * 4096 / math.tau))))
    assert write.txPacket() == 0
    for servo in IDS:
        _tried(lambda servo=servo: packets.write1ByteTxRx(port, servo, reg.TORQUE_ENABLE.address, 1))
    time.sleep(0.6)
    np.testing.assert_allclose(twin.where(), goals, atol=0.02)
    read = sdk.GroupSyncRead(port, packets, reg.POSITION.address, 2)
    for servo in IDS:
        read.addParam(servo)
    assert _tried(lambda: (None, read.txRxPacket(), 0))[1] == 0
    counts = np.array([read.getData(servo, reg.POSITION.address, 2) for servo in IDS])
    np.testing.assert_allclose((counts - 2048) * math.tau / 4096, goals, atol=0.02)


@pytest.mark.realtime
def test_an_independent_master_sees_the_same_arm(twin: Twin) -> None:
    rustypot = pytest.importorskip("rustypot")
    twin.inject("clear")
    master = rustypot.Sts3215PyController(twin.port, 1_000_000, 0.1)
    assert all(master.ping(servo) for servo in IDS)
    assert master.sync_read_model(IDS) == [777] * 6
    master.sync_write_goal_position(IDS, list(ROBOT.home_position - 0.05))
    master.sync_write_torque_enable(IDS, [True] * 6)
    time.sleep(0.6)
    seen = np.array(master.sync_read_present_position(IDS))
    np.testing.assert_allclose(seen, twin.where(), atol=0.01)
    np.testing.assert_allclose(seen, ROBOT.home_position - 0.05, atol=0.02)
    assert master.sync_read_present_temperature(IDS) == pytest.approx([33] * 6, abs=3)
    assert np.array(master.sync_read_present_voltage(IDS)).ravel() == pytest.approx([74] * 6, abs=1)


@pytest.mark.realtime
def test_the_stale_replies_of_the_vendor_sdk_can_be_reproduced(sdk, twin: Twin) -> None:
    """One late reply, and it returns the positions of the cycle before for ever after."""
    sdk, port, packets = sdk
    read = sdk.GroupSyncRead(port, packets, reg.GOAL_POSITION.address, 2)
    read.addParam(1)
    write = sdk.GroupSyncWrite(port, packets, reg.GOAL_POSITION.address, 2)
    write.addParam(1, [0, 8])
    time.sleep(0.05)
    stale = []  # of each cycle that was answered, from soon after the injection on
    for cycle in range(40):
        if cycle == 5:
            twin.inject("delay id=1 ms=120 count=1")
        write.changeParam(1, list(reg.GOAL_POSITION.encode(1000 + cycle)))
        write.txPacket()
        result = read.txRxPacket()
        time.sleep(0.005)
        if result == 0 and cycle > 15:
            stale.append(read.getData(1, reg.GOAL_POSITION.address, 2) != 1000 + cycle)
    assert len(stale) > 20
    assert all(stale[-15:])  # the ones before may be from before the late reply came


def test_an_arm_whose_motors_are_switched_off_sinks() -> None:
    plant = make_plant(ROBOT)
    off, on = np.zeros(6, dtype=bool), np.ones(6, dtype=bool)
    held = plant.step(ROBOT.home_position, on, ROBOT.max_effort, 200)
    assert np.abs(held.position - ROBOT.home_position).max() < 0.01
    fallen = plant.step(ROBOT.home_position, off, ROBOT.max_effort, 400)
    assert np.abs(fallen.position - ROBOT.home_position).max() > 0.2
    assert (fallen.effort == 0).all()


@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_any_bytes_are_survived_and_the_next_request_is_answered(data: bytes, cut: int) -> None:
    line = LINE
    line.faults.add("clear", 0.0)
    line.receive(data[:cut], 0.0)
    line.receive(data[cut:], 0.0)
    # Three spaces longer than the longest packet end whatever has begun; a request repeated gets through.
    line.receive(bytes(300), 0.0)
    line.output(0.0)
    line.receive(bytes([0xFF, 0xFF, 1, 4, 2, 3, 2, 0xF3]), 0.0)
    assert line.output(0.0)[:7] == bytes([0xFF, 0xFF, 1, 4, line.servos[1].get(reg.STATUS), 9, 3])


LINE = StsLine(ROBOT, 0.0)


def test_a_fault_is_there_from_its_line_on_and_not_from_the_arm_s_next_step() -> None:
    line, now, request = StsLine(ROBOT, 0.0), STEP_S / 4, bytes([0xFF, 0xFF, 3, 2, 1, 0xF9])  # a ping
    line.receive(request, now)
    assert line.output(now)
    line.faults.add("dead id=3", now)
    line.receive(request, now + STEP_S / 4)
    assert line.output(now + STEP_S / 4) == b""


@given(st.text(max_size=40))
def test_a_fault_is_understood_or_refused_in_one_line(text: str) -> None:
    try:
        parse_fault(text, 0.0)
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("kind", KEYS)
def test_every_fault_begins_and_ends(kind: str) -> None:
    plan = FaultPlan()
    plan.add(f"{kind} id=2 at=1 for=2 count=3  # later", 10.0)
    if kind == "clear":
        return
    there = [plan.now(kind, 2, now) is not None for now in (10.9, 11.0, 12.9, 13.0)]
    assert there == [False, True, True, False]
    assert plan.now(kind, 1, 11.5) is None
    assert [plan.now(kind, 2, 11.5, spend=True) is not None for _ in range(4)] == [True, True, True, False]
    assert plan.changes_after(11.5) == 13.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dead1", "fault: unknown name 'dead1'; did you mean 'dead'"),
        ("dead id=two", "fault dead: id: got 'two', expected a number"),
        ("drop id=7 count=1", "fault drop: id: no servo has the id 7, expected one of 1, 2, 3, 4, 5, 6$"),
        ("hot id=2.5", "fault hot: id: no servo has the id 2.5"),
        ("hot celcius=80", "did you mean 'celsius'"),
        ("hot celsius=nan", "celsius: got nan, expected 0 to 1e6"),
    ],
)
def test_a_wrong_fault_says_what_is_wrong(twin: Twin, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        twin.inject(line)


def test_a_servo_goes_the_way_of_its_numbers_and_not_across_their_seam() -> None:
    line = StsLine(ROBOT, 0.0, (0, 0, 0, 0, 1500, 0))  # the wrist's servo is mounted 132° off
    servo = line.servos[5]
    before = servo.get(reg.POSITION)
    assert before > 3500
    servo.write(reg.GOAL_POSITION.address, reg.GOAL_POSITION.encode(100))
    assert servo.target < ROBOT.home_position[4] - 5  # most of a turn down, not a little up
    servo.write(reg.LOCK.address, b"\0")
    servo.write(reg.OFFSET.address, reg.OFFSET.encode(1500))
    line.advance(1.5 * STEP_S)
    assert servo.get(reg.POSITION) == pytest.approx(before - 1500, abs=2)


def test_a_restart_forgets_what_is_not_kept_and_switches_the_motor_off() -> None:
    line = StsLine(ROBOT, 0.0)
    servo = line.servos[1]
    servo.write(reg.LOCK.address, b"\0")
    servo.write(reg.P_GAIN.address, b"\x10")
    servo.write(reg.GOAL_POSITION.address, reg.GOAL_POSITION.encode(2100))
    servo.write(reg.TORQUE_ENABLE.address, b"\1")
    servo.restart()
    assert servo.get(reg.P_GAIN) == 16 and servo.get(reg.LOCK) == 1
    assert servo.get(reg.GOAL_POSITION) == 0 and not servo.on


def _tried(call):
    """What the SDK's call returns, (value, result, error); tried again where the machine was too slow."""
    answer = call()
    for _ in range(4):
        if answer[-2] == 0:
            break
        time.sleep(0.1)
        answer = call()
    return answer


def test_the_servos_move_the_arm_in_a_task_s_world_and_its_expert_solves_it_through_them() -> None:
    """The same commands, once written to the world and once as goals of the servos in it."""
    spec = SceneSpec("reach", seed=3)
    straight, world = spec.world(), spec.world()
    line = StsLine(ROBOT, 0.0, plant=make_plant(ROBOT, world))
    for servo in line.servos.values():
        servo.put(reg.TORQUE_LIMIT, 1000)
        servo.put(reg.TORQUE_ENABLE, 1)
    targets = list(straight.expert())
    for tick, target in enumerate([*targets, *targets[-1:] * ROBOT.control_hz]):
        straight.step(Command(tick, target))
        for servo, joint in zip(line.servos.values(), target, strict=True):
            servo.put(reg.GOAL_POSITION, round(servo.servo.zero + servo.servo.counts_per_unit * joint))
        line.advance((tick + 1) / ROBOT.control_hz)
    assert straight.success and world.success and abs(world.tick - straight.tick) <= 1
    np.testing.assert_allclose(line.position, straight.state().position, atol=0.02)


def test_a_table_is_tidied_around_the_arm() -> None:
    world = SceneSpec("lift", seed=1).world()
    thing, targets, target = world.goal.target, world.expert(), world.state().position
    start = world.position(thing)
    for _ in range(2):
        while not world.success:
            target = next(targets, target)
            world.step(Command(world.tick, target))
        assert world.position(thing)[2] > start[2] + 0.03
        arm = world.state().position
        world.put_back()
        assert not world.success and world.progress() == 0
        np.testing.assert_allclose(world.position(thing), start, atol=1e-6)
        np.testing.assert_array_equal(world.state().position, arm)
        targets = world.expert()


def test_an_arm_in_a_world_is_held_until_its_motors_are_on() -> None:
    world = SceneSpec("reach", seed=3).world()
    line = StsLine(ROBOT, 0.0, plant=make_plant(ROBOT, world))
    start = line.position.copy()
    line.hand("still", 0.0)
    line.advance(0.2)
    np.testing.assert_allclose(line.position, start, atol=1e-9)
    for servo in line.servos.values():
        servo.put(reg.GOAL_POSITION, servo.get(reg.POSITION))
        servo.put(reg.TORQUE_ENABLE, 1)
    line.advance(0.4)
    np.testing.assert_allclose(line.position, start, atol=0.02)
    for servo in line.servos.values():
        servo.put(reg.TORQUE_ENABLE, 0)
    for now in np.arange(0.4, 1.4, 0.1):
        line.advance(now)
    assert np.abs(line.position - start).max() > 0.1  # nobody holds it any more


def test_a_world_that_is_moved_by_steps_is_the_one_that_is_moved_by_ticks() -> None:
    by_ticks, by_steps = SceneSpec("reach", seed=3).world(), SceneSpec("reach", seed=3).world()
    target = ROBOT.home_position + 0.2
    for tick in range(30):
        by_ticks.step(Command(tick, target))
    by_steps.data.ctrl[: len(target)] = target
    for steps in (1, 2, 3, 5, 7, 102):
        by_steps.advance(steps)
    assert by_steps.tick == by_ticks.tick == 30
    np.testing.assert_array_equal(by_steps.data.qpos, by_ticks.data.qpos)
