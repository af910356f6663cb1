"""New servos get their ids: over a pseudo-terminal, with servos that are emulated from the maker's tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots import motor_setup
from ideomotor.control.robots.motor_setup import SETUPS, FoundMotor, find_motor, set_up

pytestmark = [pytest.mark.realtime, pytest.mark.dialogue]

pytest.importorskip("scservo_sdk")
FEETECH = SETUPS["feetech"]
BUS = load_embodiment("so101").bus
assert BUS is not None
ELBOW = BUS.servos[2]


@pytest.fixture(autouse=True)
def fewer_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each id costs its wait; tests/launch/test_setup_motors.py goes through all of them."""
    assert motor_setup.IDS == range(254)
    monkeypatch.setattr(motor_setup, "IDS", range(40))


@pytest.fixture
def line(emulated_arm: Callable[..., Any]) -> Callable[..., Any]:
    """line(baud, id…): servos on a line, all of a baud rate, with these ids, whatever they are called by."""

    def make(baud: int, *ids: int) -> Any:
        arm = emulated_arm(ids=range(1, len(ids) + 1), angles=[2048] * len(ids))
        for number, own in enumerate(ids, start=1):
            arm.put(number, "id", own)
            arm.put(number, "baud", FEETECH.bauds[baud])
        return arm

    return make


@pytest.mark.parametrize(("baud", "number"), [(1_000_000, 1), (500_000, 3), (115_200, 1), (38_400, 1)])
def test_a_servo_gets_its_id_and_keeps_it_without_power(line, baud: int, number: int) -> None:
    arm = line(baud, number)
    arm.put(1, "max_position", 3000)
    found = find_motor(arm.port, FEETECH, [3])
    assert (found.id, found.baud, found.model) == (number, baud, 777)
    changed = set_up(arm.port, FEETECH, ELBOW, found, 1_000_000)
    assert any("3000 becomes 4095" in line for line in changed)
    arm.power_cycle()
    table = arm.table(1)
    assert (table["id"], table["baud"], table["return_delay"], table["lock"]) == (3, 0, 0, 1)
    assert (table["min_position"], table["max_position"]) == (0, 4095)
    assert not arm.history("torque_enable") and not arm.history("goal_position")
    again = find_motor(arm.port, FEETECH, [3])
    assert set_up(arm.port, FEETECH, ELBOW, again, 1_000_000) == [], "as it should be"


def test_an_id_nobody_thinks_of_is_found(line) -> None:
    tried: list[int] = []
    found = find_motor(line(1_000_000, 33).port, FEETECH, [1, 2, 3, 4, 5, 6], tried.append)
    assert found.id == 33 and tried == [1_000_000]


def test_two_servos_are_refused_whether_their_ids_differ_or_not(line) -> None:
    with pytest.raises(UserError, match=r"several servos at .* \(ids 1, 4\), expected one"):
        find_motor(line(1_000_000, 1, 4).port, FEETECH, [4])
    with pytest.raises(UserError, match="several servos answer at .* to id 1"):
        find_motor(line(1_000_000, 1, 1).port, FEETECH, [4])


def test_a_running_motor_another_model_and_an_empty_line_are_refused_and_left(line) -> None:
    arm = line(1_000_000, 1)
    found = find_motor(arm.port, FEETECH, [])
    other = replace(ELBOW, model=replace(ELBOW.model, number=2825, name="sts3250"))
    with pytest.raises(UserError, match=r"elbow_flex: .* model 777, expected 2825"):
        set_up(arm.port, FEETECH, other, found, 1_000_000)
    arm.put(1, "torque_enable", 1)
    with pytest.raises(UserError, match="its motor is on"):
        set_up(arm.port, FEETECH, ELBOW, found, 1_000_000)
    assert arm.get(1, "id") == 1
    arm.set(1, silent=True)
    with pytest.raises(UserError, match="no answer"):
        set_up(arm.port, FEETECH, ELBOW, FoundMotor(1, 1_000_000, 777, 0.001), 1_000_000)
