"""Calibration files and what a sweep by hand tells, for any way of mounting the servos."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.calibration import (
    Calibration,
    calibration_path,
    default_calibration,
    load_calibration,
    save_calibration,
)
from ideomotor.control.embodiment import EMBODIMENTS, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.servo_bus import Servo

ROBOT = load_embodiment("so101")
assert ROBOT.bus is not None
SERVOS = ROBOT.bus.servos
JOINTS = list(zip(SERVOS, ROBOT.joints, strict=True))


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_a_calibration_is_kept_in_the_users_folder_and_read_again(config: Path) -> None:
    made = dataclasses.replace(default_calibration(ROBOT), arm="left", made_at="2026-01-02 03:04:05")
    path = save_calibration(made)
    assert path == config / "ideomotor" / "calibration" / "so101" / "left.yaml"
    assert load_calibration(ROBOT, "left") == made
    assert [file.name for file in path.parent.iterdir()] == ["left.yaml"]
    with pytest.raises(UserError, match="does not exist; make it with: ideomotor calibrate so101"):
        load_calibration(ROBOT, "right")


def test_without_xdg_it_is_below_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # the standard says: to be ignored
    assert calibration_path("so101") == Path.home() / ".config/ideomotor/calibration/so101/main.yaml"


@pytest.mark.parametrize("arm", ["", "../x", "a b", "a/b"])
def test_an_arm_that_cannot_be_a_file_name_is_refused(arm: str) -> None:
    with pytest.raises(UserError, match="arm: got"):
        calibration_path("so101", arm)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1", "version: 2", r"version: got 2, expected 1; calibrate the arm again"),
        ('robot: "so101"', 'robot: "other"', r"robot: got 'other', expected so101"),
        ("zero: 2048", "zero: 4096", r"joints\[0\].zero: got 4096, expected a whole number in \(-1, 4096\)"),
        (
            "lower: 796",
            "lower: 3400",
            r"joints\[0\].upper: got 3300, expected a whole number in \(3400, 4096\)",
        ),
        ("id: 2", "id: 7", r"joints\[1\].id: got 7, expected 2, the id of shoulder_lift's servo"),
        ("offset: null", "offset: 5000", r"joints\[0\].offset: got 5000"),
        ('joint: "gripper", ', "", r"joints\[5\].joint: missing"),
    ],
)
def test_a_bad_number_is_named_with_its_value(old: str, new: str, message: str) -> None:
    path = save_calibration(dataclasses.replace(default_calibration(ROBOT), made_at="today"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=rf"^main\.yaml: {message}"):
        load_calibration(ROBOT)


VALUES = st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4)


@given(data=st.data())
def test_a_mangled_calibration_loads_or_gives_one_line(data: st.DataObject) -> None:
    path = save_calibration(dataclasses.replace(default_calibration(ROBOT), made_at="today"))
    document = yaml.safe_load(path.read_text())
    place = data.draw(st.sampled_from([document, document["joints"][2]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES)
    path.write_text(yaml.safe_dump(document))
    try:
        load_calibration(ROBOT)
    except UserError as error:
        assert len(str(error).splitlines()) == 1


def test_the_usual_calibration_is_the_embodiments_own_range() -> None:
    usual = default_calibration(ROBOT)
    assert isinstance(usual, Calibration)
    for (servo, limits), joint in zip(JOINTS, usual.joints, strict=True):
        ends = [(counts - joint.zero) / servo.counts_per_unit for counts in (joint.lower, joint.upper)]
        assert sorted(ends) == pytest.approx([limits.lower, limits.upper], abs=1e-3)


SECTION = {
    "protocol: feetech": ("protocol: feetek", "protocol: unknown name 'feetek'; did you mean 'feetech'"),
    "id: 2,": ("id: 1,", r"servos: got \[1, 1, 3, 4, 5, 6\], expected servos whose ids differ"),
    "model: sts3215": ("model: sts9999", r"servos\[0\].model: got 'sts9999', expected one of sts3215"),
    "joint: elbow_flex": ("joint: elbow", r"servos\[2\].joint: got 'elbow', expected 'elbow_flex'"),
    "direction: 1": ("direction: 0", r"servos\[0\].direction: got 0, expected 1 or -1"),
    "zero: 2048": ("zero: 100", r"servos\[0\].zero: got 100, expected shoulder_pan's range within one turn"),
    "upper: 13.5": ("upper: 4.0", r"voltage.upper: got 4.0, expected a number in \(4.5, 100\)"),
    "end_stops: false": ("end_stops: 3", r"servos\[4\].end_stops: got 3, expected true or false"),
    "zero_stop: lower": ("zero_stop: left", r"servos\[5\].zero_stop: got 'left', expected one of middle"),
    "span: {lower: 2651,": ("span: {lower: 2800,", r"servos\[0\].span.upper: got 2766"),
}


@pytest.mark.parametrize("old", SECTION)
def test_a_bad_bus_section_is_refused(tmp_path: Path, old: str) -> None:
    new, message = SECTION[old]
    text = (EMBODIMENTS / "so101.yaml").read_text()
    head, bus = text.split("\nbus:")
    assert old in bus
    path = tmp_path / "arm.yaml"
    path.write_text(head + "\nbus:" + bus.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load_embodiment(path)


def test_a_reversed_geared_servo_counts_down_and_faster() -> None:
    servo = dataclasses.replace(SERVOS[0], direction=-1, gear_ratio=2.0)
    assert isinstance(servo, Servo)
    assert servo.counts_per_unit == pytest.approx(-2 * 4096 / 6.283185307)
