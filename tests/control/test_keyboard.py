"""Keys of a terminal as jogs: one key is one step, and the arm stands when they stop."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.control.teleop.keyboard import STAND_S, Keyboard
from ideomotor.control.teleop.teleoperator import DriverName


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A `Bench` of jog_bench.py with a keyboard on a pipe; `bench.press(keys)` puts keys into it."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    module = importlib.import_module("jog_bench")
    os.mkfifo(tmp_path / "keys")
    made = module.Bench(lambda clock: Keyboard(module.ROBOT, str(tmp_path / "keys"), clock))
    made.device.connect()
    pipe = os.open(tmp_path / "keys", os.O_RDWR)
    made.press = lambda keys: os.write(pipe, keys.encode())
    yield made
    made.device.disconnect()
    os.close(pipe)


@pytest.mark.parametrize(("key", "axis", "sign"), [("w", 0, 1), ("s", 0, -1), ("a", 1, 1), ("c", 2, -1)])
def test_a_key_is_one_step_of_the_tip(bench: Any, key: str, axis: int, sign: int) -> None:
    bench.ticks(10)
    assert not bench.engaged
    before = bench.tip
    bench.press(key)
    bench.ticks(30)
    way = bench.tip - before
    assert way[axis] == pytest.approx(0.005 * sign, abs=0.0008)
    assert np.abs(np.delete(way, axis)).max() < 0.0005


def test_when_the_keys_stop_the_target_stands_and_the_arm_is_let_be(bench: Any) -> None:
    for _ in range(30):  # a key that is held, as a terminal repeats it
        bench.press("w")
        bench.ticks(4)
    moving = bench.tip
    bench.ticks(round(0.3 * 120))
    assert 0 < bench.tip[0] - moving[0] < 0.02, "no more than the steps that are kept"
    stood = bench.actions[-1].position
    bench.ticks(5)
    assert bench.engaged and (bench.actions[-1].position == stood).all()
    bench.ticks(round(STAND_S * 120) + 5)
    assert not bench.engaged and (bench.actions[-1].position == bench.command).all()


def test_the_other_way_is_meant_at_once(bench: Any) -> None:
    bench.press("wwww")
    bench.ticks(6)
    bench.press("s")
    before = bench.tip
    bench.ticks(60)
    assert bench.tip[0] < before[0]


def test_steps_are_made_larger_and_smaller(bench: Any) -> None:
    ways = []
    for keys in ("e", "++e", "-----e"):
        before = bench.tip
        bench.press(keys)
        bench.ticks(80)
        ways.append(bench.tip[2] - before[2])
    assert ways == pytest.approx([0.005, 0.02, 0.001], rel=0.15)


def test_the_gripper_opens_and_closes(bench: Any) -> None:
    before = bench.command[5]
    bench.press("oo")
    bench.ticks(60)
    assert bench.command[5] - before == pytest.approx(2 * 0.05 * 1.92, rel=0.1)
    bench.press("u")
    bench.ticks(60)
    assert bench.command[5] - before == pytest.approx(0.05 * 1.92, rel=0.2)


def test_a_key_takes_over_and_what_was_typed_before_a_hand_back_is_void(bench: Any) -> None:
    bench.driver = DriverName.POLICY
    bench.ticks(5)
    assert not bench.engaged
    bench.press("w")
    bench.ticks(1)
    assert bench.engaged, "which takes over"
    bench.driver = DriverName.PERSON
    bench.press("ww")
    bench.ticks(2)
    bench.driver = DriverName.POLICY
    bench.command = bench.command + 0.3  # the policy moves it on
    bench.ticks(60)
    assert not any(action.engaged for action in bench.actions[-60:])
    assert (bench.actions[-1].position == bench.command).all()


def test_keys_that_mean_nothing_here_and_no_state_yet_move_nothing(bench: Any) -> None:
    bench.press("x9\x1b[A \n")
    bench.ticks(5)
    assert not bench.engaged
    bench.command = np.full(6, np.nan)
    bench.press("w")
    bench.ticks(3)
    assert not bench.engaged and np.isfinite(bench.actions[-1].position).all()


def test_a_terminal_that_is_not_there_or_goes_away(bench: Any) -> None:
    module = importlib.import_module("jog_bench")
    with pytest.raises(UserError, match="cannot open '/nowhere'"):
        Keyboard(module.ROBOT, "/nowhere").connect()
    ours, theirs = os.openpty()
    keyboard = Keyboard(module.ROBOT, os.ttyname(theirs))
    keyboard.connect()
    os.close(theirs)
    os.close(ours)
    bench.device.disconnect()
    bench.device = keyboard
    with pytest.raises(OSError, match="the terminal is gone"):
        bench.ticks(1)


def test_no_key_means_two_things() -> None:
    monitor: Any = importlib.import_module("ideomotor.launch.runtime.monitor")
    keyboard: Any = importlib.import_module("ideomotor.control.teleop.keyboard")
    taken = {*monitor.KEYS, *monitor.MARKS, monitor.DRIVER_KEY}
    assert taken.isdisjoint({*keyboard.KEYS, *keyboard.FASTER, *keyboard.SLOWER})
