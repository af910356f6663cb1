"""The twin of Dynamixel servos as its masters see it: the manual's packets, Robotis' SDK, and rustypot."""

import math
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.robots.dynamixel import registers as reg
from ideomotor.sim.twin.dxl_protocol import PING, READ, REBOOT, REBOOT_S, DxlLine, packed
from ideomotor.sim.twin.plant import STEP_S
from ideomotor.sim.twin.process import Twin

KOCH, VIPER = load_embodiment("koch"), load_embodiment("vx300s")
IDS = [1, 2, 3, 4, 5, 6]


def asked(line: DxlLine, packet: str | bytes, now: float = 0.0) -> bytes:
    """What the line answers to a packet, given as bytes or as the manual prints them."""
    line.receive(bytes.fromhex(packet) if isinstance(packet, str) else packet, now)
    return line.output(now + STEP_S)


def whole(line: DxlLine, servo: int, register, value: int, now: float = 0.0) -> int:
    """Writes a register; returns the error byte of the answer."""
    body = bytes([3]) + register.address.to_bytes(2, "little") + register.encode(value)
    return asked(line, packed(servo, body), now)[8]


# Packets of e-manual.robotis.com, "Protocol 2.0", with the values of its examples.
MANUAL = [
    ("ping", {0: (1030, 2), 6: (38, 1)}, "FFFFFD00 01 0300 01 194E", "FFFFFD00 01 0700 55 00 06 04 26 655D"),
    ("read", {132: (166, 4)}, "FFFFFD00 01 0700 02 84000400 1D15", "FFFFFD00 01 0800 55 00 A6000000 8CC0"),
    ("write", {}, "FFFFFD00 01 0900 03 7400 00020000 CA89", "FFFFFD00 01 0400 55 00 A10C"),
    ("reboot", {}, "FFFFFD00 01 0300 08 2F4E", "FFFFFD00 01 0400 55 00 A10C"),
    ("clear", {}, "FFFFFD00 01 0800 10 01 44584C22 B1DC", "FFFFFD00 01 0400 55 00 A10C"),
    (
        "sync read",
        {132: (166, 4), (2, 132): (2079, 4)},
        "FFFFFD00 FE 0900 82 84000400 0102 CEFA",
        "FFFFFD00 01 0800 55 00 A6000000 8CC0 FFFFFD00 02 0800 55 00 1F080000 BABE",
    ),
    (
        "bulk read",
        {144: (119, 2), (2, 146): (36, 1)},
        "FFFFFD00 FE 0D00 92 0190000200 0292000100 1A05",
        "FFFFFD00 01 0600 55 00 7700 C369 FFFFFD00 02 0500 55 00 24 8BA9",
    ),
    (
        "fast sync read",
        {132: (2000, 4), (2, 132): (9, 4)},
        packed(0xFE, bytes.fromhex("8A 84000400 0102")).hex(),
        "FFFFFD00 FE 1100 55 00 01 D0070000 0C83 00 02 09000000 1140",
    ),
]


@pytest.mark.parametrize(
    ("values", "request_", "answer"), [row[1:] for row in MANUAL], ids=[r[0] for r in MANUAL]
)
def test_the_packets_of_the_manual_are_answered_as_it_says(
    values: dict, request_: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = DxlLine(KOCH, 0.0)
    monkeypatch.setattr(line, "advance", lambda now: None)  # else the servos would measure the arm
    for place, (value, size) in values.items():
        servo, address = place if isinstance(place, tuple) else (1, place)
        line.servos[servo].table[address : address + size] = value.to_bytes(size, "little")
    assert asked(line, request_) == bytes.fromhex(answer)
    if "7400" in request_:
        assert line.servos[1].get(reg.GOAL_POSITION) == 512


def test_the_manuals_sync_write_sets_both_goals() -> None:
    line = DxlLine(KOCH, 0.0)
    assert asked(line, "FFFFFD00 FE 1100 83 74000400 01 96000000 02 AA000000 8287") == b""
    assert [line.servos[i].get(reg.GOAL_POSITION) for i in (1, 2, 3)] == [150, 170, 0]


@example([0xFF, 0xFF, 0xFF, 0xFF, 0xFD, 0xFD])
@given(st.lists(st.sampled_from([0xFF, 0xFD, 0x00, 0x17]), min_size=4, max_size=40))
def test_stuffed_bytes_come_out_as_they_went_in(data: list[int]) -> None:
    """Bytes where the servo has indirect data, which may be anything."""
    line = LINE
    line.servos[1].table[150 : 150 + len(data)] = bytes(data)
    read = bytes([READ, 150, 0, len(data), 0])
    answer = asked(line, packed(1, read))
    assert b"\xff\xff\xfd" not in answer[7:-2].replace(b"\xff\xff\xfd\xfd", b".")
    assert answer[9:-2].replace(b"\xff\xff\xfd\xfd", b"\xff\xff\xfd") == bytes(data)
    sdk = pytest.importorskip("dynamixel_sdk")
    crc = sdk.PacketHandler(2.0).updateCRC(0, list(answer), len(answer) - 2)
    assert crc == int.from_bytes(answer[-2:], "little")


LINE = DxlLine(KOCH, 0.0)


@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_any_bytes_are_survived_and_the_next_request_is_answered(data: bytes, cut: int) -> None:
    line = DxlLine(KOCH, 0.0) if data.count(b"\xff") > 3 else LINE
    line.receive(data[:cut], 0.0)
    line.receive(data[cut:], 0.0)
    line.receive(bytes(1100), 0.0)  # longer than the longest packet: ends whatever has begun
    line.output(0.0)
    assert asked(line, packed(3, bytes([PING])))[:8] == b"\xff\xff\xfd\x00\x03\x07\x00\x55"


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin("koch") as twin:
        yield twin


@pytest.fixture
def sdk(twin: Twin):
    """(SDK, its open port, its packet handler), as the vendor's examples make them."""
    sdk = pytest.importorskip("dynamixel_sdk")
    twin.inject("clear")
    port = sdk.PortHandler(twin.port)
    assert port.openPort() and port.setBaudRate(1_000_000)
    yield sdk, port, sdk.PacketHandler(2.0)
    port.closePort()


@pytest.mark.realtime
def test_the_vendor_sdk_pings_reads_and_writes(sdk) -> None:
    sdk, port, packets = sdk
    for servo in IDS:
        model, result, error = _tried(lambda servo=servo: packets.ping(port, servo))
        assert (model, result, error) == (1060 if servo < 3 else 1200, 0, 0)
    assert packets.ping(port, 9)[1] != 0  # nobody is there
    _tried(lambda: (None, *packets.write4ByteTxRx(port, 3, reg.GOAL_POSITION.address, 2500)))
    assert _tried(lambda: packets.read4ByteTxRx(port, 3, reg.GOAL_POSITION.address))[0] == 2500
    assert _tried(lambda: packets.read2ByteTxRx(port, 3, reg.VOLTAGE.address))[0] == 50
    # What must not be written is refused with the manual's error numbers.
    for address, value, error in ((reg.MODEL.address, 1, reg.NO_ACCESS), (reg.GOAL_PWM.address, 3, 5)):
        assert packets.write1ByteTxRx(port, 3, address, value)[1] == error


@pytest.mark.realtime
def test_the_vendor_sdk_moves_the_arm_and_reads_it_in_every_way(sdk, twin: Twin) -> None:
    sdk, port, packets = sdk
    goals = KOCH.home_position + 0.1
    counts = [round(2048 + goal * 4096 / math.tau) for goal in goals]
    write = sdk.GroupSyncWrite(port, packets, reg.GOAL_POSITION.address, 4)
    for servo, goal in zip(IDS, counts, strict=True):
        write.addParam(servo, list(reg.GOAL_POSITION.encode(goal)))
    assert write.txPacket() == 0
    for servo in IDS:
        _tried(lambda s=servo: (None, *packets.write1ByteTxRx(port, s, reg.TORQUE_ENABLE.address, 1)))
    time.sleep(0.6)
    np.testing.assert_allclose(twin.where(), goals, atol=0.02)
    sync = sdk.GroupSyncRead(port, packets, reg.POSITION.address, 4)
    bulk = sdk.GroupBulkRead(port, packets)
    for servo in IDS:
        sync.addParam(servo)
        bulk.addParam(servo, reg.POSITION.address, 4)
    for group, ask in ((sync, sync.txRxPacket), (sync, sync.fastSyncRead), (bulk, bulk.txRxPacket)):
        assert _tried(lambda ask=ask: (None, ask(), 0))[1] == 0
        seen = [group.getData(servo, reg.POSITION.address, 4) for servo in IDS]
        assert seen == pytest.approx(counts, abs=12)


@pytest.mark.realtime
def test_an_independent_master_sees_the_same_arm(twin: Twin) -> None:
    """rustypot gives an XL430's positions as counts and an XL330's in radians."""
    rustypot = pytest.importorskip("rustypot")
    twin.inject("clear")
    goals = KOCH.home_position - 0.05
    counts = [round(2048 + goal * 4096 / math.tau) for goal in goals]
    for make, ids, model, volts, values in (
        (rustypot.Xl430PyController, IDS[:2], 1060, 120, counts[:2]),
        (rustypot.Xl330PyController, IDS[2:], 1200, 50, list(goals[2:])),
    ):
        master = make(twin.port, 1_000_000, 0.1)
        assert all(master.ping(servo) for servo in ids)
        assert master.sync_read_model_number(ids) == [model] * len(ids)
        master.sync_write_goal_position(ids, values)
        master.sync_write_torque_enable(ids, [True] * len(ids))
        time.sleep(0.6)
        np.testing.assert_allclose(twin.where()[ids[0] - 1 : ids[-1]], goals[ids[0] - 1 : ids[-1]], atol=0.02)
        tolerance = 12 if model == 1060 else 0.02
        np.testing.assert_allclose(master.sync_read_present_position(ids), values, atol=tolerance)
        assert master.sync_read_present_temperature(ids) == pytest.approx([30] * len(ids), abs=3)
        assert np.ravel(master.sync_read_present_input_voltage(ids)) == pytest.approx(
            [volts] * len(ids), abs=1
        )
        assert master.reboot(ids[0])
        del master  # its port


def test_counts_begin_within_one_turn_after_a_restart_and_go_on_over_turns() -> None:
    line = DxlLine(KOCH, 0.0, (0, 0, 0, 0, 1500, 0))  # the wrist's servo is mounted 132° off
    servo = line.servos[5]
    assert whole(line, 5, reg.MODE, reg.MANY_TURNS) == 0
    start = servo.get(reg.POSITION)
    assert start == 3548
    whole(line, 5, reg.TORQUE_ENABLE, 1)
    assert whole(line, 5, reg.GOAL_POSITION, start + 700) == 0  # across the seam of one turn
    for step in range(1, 200):
        line.advance(step / 100)
    assert servo.get(reg.POSITION) == pytest.approx(start + 700, abs=3)
    assert asked(line, packed(5, bytes([REBOOT])), 2.0) != b""
    assert asked(line, packed(5, bytes([PING])), 2.0 + REBOOT_S / 2) == b""
    line.advance(2.0 + 2 * REBOOT_S)
    assert servo.get(reg.POSITION) == pytest.approx(start + 700 - 4096, abs=3)
    assert not servo.on and servo.get(reg.GOAL_POSITION) == 0


def test_an_offset_of_more_than_a_quarter_turn_works_over_many_turns_only() -> None:
    line = DxlLine(KOCH, 0.0)
    servo = line.servos[1]
    assert whole(line, 1, reg.OFFSET, 1500) == 0
    line.advance(0.01)
    assert servo.get(reg.POSITION) == 2048
    whole(line, 1, reg.MODE, reg.MANY_TURNS, 0.01)
    line.advance(0.02)
    assert servo.get(reg.POSITION) == 3548


def test_what_is_kept_is_locked_while_the_motor_is_on_and_a_failed_servo_stays_off() -> None:
    line = DxlLine(KOCH, 0.0)
    whole(line, 1, reg.TORQUE_ENABLE, 1)
    assert whole(line, 1, reg.OFFSET, 5) == reg.NO_ACCESS
    line.faults.add("shutdown id=1 bits=32", 0.0)
    line.advance(0.01)
    assert not line.servos[1].on
    assert whole(line, 1, reg.OFFSET, 5, 0.01) == reg.ALERT
    assert whole(line, 1, reg.TORQUE_ENABLE, 1, 0.01) == reg.ALERT | reg.FAILED
    asked(line, packed(1, bytes([REBOOT])), 0.02)
    assert whole(line, 1, reg.TORQUE_ENABLE, 1, 1.0) == 0


def test_a_motor_that_hears_nothing_stops_and_says_so() -> None:
    line = DxlLine(KOCH, 0.0)
    whole(line, 1, reg.TORQUE_ENABLE, 1)
    whole(line, 1, reg.WATCHDOG, 10)  # 0.2 s
    whole(line, 1, reg.GOAL_POSITION, 3000)
    asked(line, packed(2, bytes([PING])), 0.15)  # any instruction counts
    line.advance(0.3)
    assert line.servos[1].get(reg.WATCHDOG) == 10
    line.advance(0.4)
    assert line.servos[1].get(reg.WATCHDOG) == reg.WATCHDOG_STOPPED
    assert line.servos[1].get(reg.GOAL_POSITION) < 3000  # where it was
    assert whole(line, 1, reg.GOAL_POSITION, 3000, 0.4) == reg.BAD_RANGE
    assert whole(line, 1, reg.WATCHDOG, 0, 0.4) == 0
    assert whole(line, 1, reg.GOAL_POSITION, 3000, 0.4) == 0


def test_a_shadow_obeys_its_leaders_id_in_silence_and_keeps_what_is_its_own() -> None:
    line = DxlLine(VIPER, 0.0)
    leader, shadow = line.servos[2], line.servos[3]
    answer = asked(line, packed(2, bytes([3, 64, 0, 1])))
    assert leader.on and shadow.on
    assert answer.count(b"\xff\xff\xfd\x00") == 1 and answer[4] == 2
    whole(line, 2, reg.TORQUE_ENABLE, 0)
    assert whole(line, 2, reg.RETURN_DELAY, 0) == 0
    assert shadow.get(reg.RETURN_DELAY) == 250
    assert whole(line, 3, reg.TORQUE_ENABLE, 1) == 0
    assert shadow.on and not leader.on


def _tried(call):
    """What the SDK's call returns, (value, result, error); tried again where the machine was too slow."""
    answer = call()
    for _ in range(4):
        if answer[-2] == 0:
            break
        time.sleep(0.1)
        answer = call()
    return answer
