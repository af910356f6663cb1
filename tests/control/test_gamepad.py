"""A gamepad's sticks as rates, while its button is held: from recordings, and from a device."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.control.teleop.gamepad import (
    ABS_RX,
    ABS_RY,
    ABS_X,
    ABS_Y,
    BTN_LEFT_SHOULDER,
    BTN_NORTH,
    BTN_SOUTH,
    CLOSE,
    EV_ABS,
    EV_KEY,
    HAT_Y,
    OPEN,
    Gamepad,
)
from ideomotor.control.teleop.teleoperator import DriverName

HOLD, LET_GO = (EV_KEY, BTN_LEFT_SHOULDER, 1), (EV_KEY, BTN_LEFT_SHOULDER, 0)
FAR = -32768  # forward, to the left, up


@pytest.fixture
def jog_bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("jog_bench")


@pytest.fixture
def played(jog_bench: Any, tmp_path: Path) -> Callable[..., Any]:
    """played((seconds, type, code, value)…): a `Bench` with a gamepad whose recording has these events."""

    def make(*events: tuple[float, int, int, int]) -> Any:
        file = tmp_path / "pad.events"
        file.write_text("# a pad\n" + "".join(" ".join(map(str, event)) + "\n" for event in events))
        bench = jog_bench.Bench(lambda clock: Gamepad(jog_bench.ROBOT, str(file), clock))
        bench.device.connect()
        return bench

    return make


@pytest.mark.parametrize(
    ("code", "value", "axis", "sign"),
    [(ABS_Y, FAR, 0, 1), (ABS_Y, 32767, 0, -1), (ABS_X, FAR, 1, 1), (ABS_RY, FAR, 2, 1)],
)
def test_a_stick_moves_the_tip_at_half_of_the_highest_rate(
    played: Callable[..., Any], code: int, value: int, axis: int, sign: int
) -> None:
    bench = played((0.1, *HOLD), (0.1, EV_ABS, code, value))
    before = bench.tip
    bench.ticks(11 + 60)
    way = bench.tip - before
    assert way[axis] == pytest.approx(sign * 0.075 * (0.5 - 0.03), rel=0.08)
    assert np.abs(np.delete(way, axis)).max() < 0.002


def test_without_the_button_nothing_moves_and_letting_go_stands_at_once(played: Callable[..., Any]) -> None:
    bench = played((0.0, EV_ABS, ABS_Y, FAR), (0.5, *HOLD), (1.0, *LET_GO), (1.5, *HOLD))
    bench.ticks(58)
    assert (
        not any(action.engaged for action in bench.actions)
        and (bench.command == bench.actions[0].position).all()
    )
    bench.ticks(55)
    assert bench.engaged
    bench.ticks(10)
    stood = bench.command.copy()
    bench.ticks(40)
    assert not bench.engaged and (bench.command == stood).all()
    bench.ticks(30)
    assert bench.engaged and np.abs(bench.command - stood).max() > 0.005


def test_the_middle_of_a_stick_is_nothing_and_buttons_change_the_speed(played: Callable[..., Any]) -> None:
    bench = played(
        (0.0, *HOLD), (0.0, EV_ABS, ABS_Y, 3000), (0.5, EV_KEY, BTN_NORTH, 1), (0.5, EV_ABS, ABS_Y, FAR)
    )
    start = bench.tip
    bench.ticks(55)
    assert np.abs(bench.tip - start).max() < 1e-9 and bench.engaged
    bench.ticks(65)
    fast = bench.tip[0] - start[0]
    slow = played((0.0, *HOLD), *[(0.1, EV_KEY, BTN_SOUTH, 1)] * 5, (0.5, EV_ABS, ABS_Y, FAR))
    slow.ticks(120)
    assert fast > 0.05 and fast / (slow.tip[0] - start[0]) == pytest.approx(10, rel=0.15)


def test_the_triggers_are_the_gripper_and_the_cross_pitches(played: Callable[..., Any]) -> None:
    bench = played((0.0, *HOLD), (0.0, EV_ABS, OPEN, 255), (0.5, EV_ABS, OPEN, 0), (1.0, EV_ABS, HAT_Y, 1))
    start, tip = bench.command.copy(), bench.tip
    bench.ticks(90)
    assert bench.command[5] - start[5] == pytest.approx(0.4 * 0.5 * 1.92, rel=0.2)
    assert (bench.command[:5] == start[:5]).all()
    bench.ticks(60)
    assert np.abs(bench.command[1:4] - start[1:4]).max() > 0.05 and np.abs(bench.tip - tip).max() < 0.002
    closing = played((0.0, *HOLD), (0.0, EV_ABS, CLOSE, 255), (0.0, EV_ABS, ABS_RX, 0))
    closing.ticks(30)
    assert closing.command[5] < start[5]


def test_after_a_hand_back_the_button_has_to_be_pressed_anew(played: Callable[..., Any]) -> None:
    bench = played((0.0, *HOLD), (1.0, *LET_GO), (1.2, *HOLD))
    bench.driver = DriverName.POLICY
    bench.ticks(2)
    assert bench.engaged, "which takes over"
    bench.driver = DriverName.PERSON
    bench.ticks(30)
    bench.driver = DriverName.POLICY
    bench.ticks(100)
    assert not any(action.engaged for action in bench.actions[-100:])
    bench.ticks(20)
    assert bench.engaged


@pytest.mark.parametrize("line", ["0.5 3 1", "x 1 2 3", "abs 1 2", "0.1 1 310 yes"])
def test_a_wrong_recording_is_refused_with_its_line(jog_bench: Any, tmp_path: Path, line: str) -> None:
    file = tmp_path / "pad.events"
    file.write_text(f"abs 0 0 255\n{line}\n")
    with pytest.raises(UserError, match=r"line 2: got .*, expected SECONDS TYPE CODE VALUE"):
        Gamepad(jog_bench.ROBOT, str(file)).connect()


def test_without_a_device_it_says_what_is_missing(jog_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "evdev", None)
    with pytest.raises(UserError, match=r"pip install 'ideomotor\[teleop\]'"):
        Gamepad(jog_bench.ROBOT).connect()


def test_a_device_that_is_not_there(jog_bench: Any) -> None:
    pytest.importorskip("evdev")
    with pytest.raises(UserError, match="cannot open '/dev/input/event999'"):
        Gamepad(jog_bench.ROBOT, "/dev/input/event999").connect()


@pytest.mark.realtime
@pytest.mark.skipif(not os.access("/dev/uinput", os.W_OK), reason="the kernel gives no /dev/uinput here")
def test_a_device_of_the_kernel(jog_bench: Any) -> None:
    evdev = pytest.importorskip("evdev")
    sticks = [(code, evdev.AbsInfo(128, 0, 255, 0, 0, 0)) for code in (ABS_X, ABS_Y)]
    pad = evdev.UInput({EV_KEY: [BTN_SOUTH, BTN_LEFT_SHOULDER], EV_ABS: sticks}, name="ideomotor test pad")
    bench = jog_bench.Bench(lambda clock: Gamepad(jog_bench.ROBOT, pad.device.path, clock))
    bench.device.connect()
    for kind, code, value in (HOLD, (EV_ABS, ABS_Y, 0)):
        pad.write(kind, code, value)
        pad.syn()
    before = bench.tip
    time.sleep(0.1)
    bench.ticks(60)
    assert bench.engaged and bench.tip[0] > before[0] + 0.01
    pad.close()
    time.sleep(0.1)
    with pytest.raises(OSError, match="it is gone"):
        bench.ticks(1)
