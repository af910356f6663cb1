"""Embodiment files: what they give, and that a bad one is always a one-line UserError with the place."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.embodiment import EMBODIMENTS, Embodiment, embodiment_names, load_embodiment
from ideomotor.control.errors import UserError

ROBOT = """\
name: tiny
description: two joints and a camera
joints:
  - {name: turn, unit: rad, lower: -1.5, upper: 1.5,
     max_velocity: 3, max_acceleration: 25, max_jerk: 1200, max_effort: 2}
  - {name: slide, unit: m, lower: 0.0, upper: 0.04,
     max_velocity: 0.2, max_acceleration: 2.5, max_jerk: 90, max_effort: 8}
grippers: [slide]
cameras:
  - {name: eye, height: 96, width: 96, hz: 30, mount: world, fovy: 0.8,
     position: [0, 0, 1], quaternion: [1, 0, 0, 0]}
home: [0.0, 0.02]
workspace: {lower: [-1, -1, 0], upper: [1, 1, 1]}
control_hz: 100
geometry:
  tip: {link: finger, position: [0, 0, 0.1]}
  table: {height: 0.0, margin: 0.005}
  links:
    - {name: arm, parent: world, joint: turn, axis: [0, 0, 1], position: [0, 0, 0.5],
       quaternion: [1, 0, 0, 0], boxes: [{position: [0.1, 0, 0], half: [0.1, 0.02, 0.02]}]}
    - {name: finger, parent: arm, joint: slide, axis: [1, 0, 0], position: [0.2, 0, 0],
       quaternion: [1, 0, 0, 0]}
  apart: {margin: 0.005, pairs: [[arm, finger]]}
"""


def load_text(folder: Path, data: str | bytes) -> Embodiment:
    path = folder / "robot.yaml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return load_embodiment(path)


@pytest.mark.parametrize("name", embodiment_names())
def test_every_robot_loads_with_usable_limits(name: str) -> None:
    robot = load_embodiment(name)
    assert name in (robot.name, f"{robot.name}_{name.rpartition('_')[2]}")  # or one of its parts
    arrays = (robot.max_velocity, robot.max_acceleration, robot.max_jerk, robot.max_effort)
    for array in (*arrays, robot.lower, robot.upper, robot.home_position):
        assert array.shape == (len(robot.joints),) and array.dtype == np.float64
        assert np.isfinite(array).all() or not robot.targets
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    assert all((array > 0).all() for array in arrays)
    assert (robot.lower <= robot.home_position).all() and (robot.home_position <= robot.upper).all()
    assert set(robot.grippers) <= set(robot.joint_names)


def test_so101_is_as_its_file_says() -> None:
    robot = load_embodiment("so101")
    assert robot.control_hz == 120
    assert robot.joint_names[0] == "shoulder_pan" and robot.joint_names[-1] == "gripper"
    assert robot.upper[0] == 1.91986
    assert robot.camera("wrist").mount == "camera_mount"
    with pytest.raises(UserError, match="camera: unknown name 'wirst'; did you mean 'wrist'"):
        robot.camera("wirst")


def test_a_robot_is_found_by_name_or_by_path() -> None:
    by_name, path = load_embodiment("so101"), EMBODIMENTS / "so101.yaml"
    assert load_embodiment(path) == load_embodiment(str(path)) == by_name
    with pytest.raises(UserError, match="robot: unknown name 'so100'; did you mean 'so101'"):
        load_embodiment("so100")
    with pytest.raises(UserError, match="cannot be read"):
        load_embodiment("nowhere/robot.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load_embodiment(EMBODIMENTS)


def test_the_rate_is_120_hz_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    assert load_text(tmp_path, ROBOT).control_hz == 100
    assert load_text(tmp_path, ROBOT.replace("control_hz: 100", "")).control_hz == 120


def test_what_a_message_says_is_allowed_and_numbers_may_have_an_exponent(tmp_path: Path) -> None:
    old = "max_velocity: 3, max_acceleration: 25, max_jerk: 1200"
    with pytest.raises(UserError) as refused:
        load_text(tmp_path, ROBOT.replace(old, "max_velocity: 3, max_acceleration: 1e5, max_jerk: 1.2e3"))
    most = str(refused.value).split("at most ")[1].split(":")[0]
    allowed = f"max_velocity: 3, max_acceleration: {most}, max_jerk: 1.2e3"
    assert load_text(tmp_path, ROBOT.replace(old, allowed)).max_jerk[0] == 1200.0


def test_a_joint_may_be_so_far_from_its_commands_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    robot = load_text(tmp_path, ROBOT)
    np.testing.assert_array_equal(robot.max_following_error, [0.2, 0.02])
    assert robot.following_s == 0.5
    said = ROBOT.replace("max_effort: 2}", "max_effort: 2, max_following_error: 0.5}")
    robot = load_text(tmp_path, said + "following_seconds: 2\n")
    np.testing.assert_array_equal(robot.max_following_error, [0.5, 0.02])
    assert robot.following_s == 2.0


def test_the_fingerprint_follows_what_commands_mean(tmp_path: Path) -> None:
    fingerprint = load_text(tmp_path, ROBOT).fingerprint
    for old, new in (
        ("max_velocity: 3", "max_velocity: 2"),
        ("hz: 30", "hz: 15"),
        ("two joints", "some joints"),
    ):
        assert load_text(tmp_path, ROBOT.replace(old, new)).fingerprint == fingerprint
    for old, new in (
        ("upper: 1.5", "upper: 1.6"),
        ("hz: 100", "hz: 99"),
        ("unit: m", "unit: rad"),
        ("tiny", "small"),
    ):
        assert load_text(tmp_path, ROBOT.replace(old, new)).fingerprint != fingerprint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_jerk: 90", "max_jerk: fast", r"joints\[1\]\.max_jerk: got 'fast', expected a number in \(0,"),
        ("max_jerk: 90", "max_jerk: .nan", r"joints\[1\]\.max_jerk: got nan"),
        ("max_jerk: 90", "max_jerk: -1", r"joints\[1\]\.max_jerk: got -1"),
        ("max_jerk: 90", "max_jerk: yes", r"joints\[1\]\.max_jerk: got True"),
        ("max_jerk: 90", f"max_jerk: 0x{'f' * 9000}", r"joints\[1\]\.max_jerk: got a huge number"),
        (", max_jerk: 90", "", r"joints\[1\]\.max_jerk: missing"),
        (
            "max_jerk: 90",
            "maxjerk: 90",
            r"joints\[1\]\.field: unknown name 'maxjerk'; did you mean 'max_jerk'",
        ),
        (
            "max_effort: 8",
            "max_effort: 8, max_following_error: 0",
            r"joints\[1\]\.max_following_error: got 0,",
        ),
        ("control_hz: 100", "following_seconds: -1", r"following_seconds: got -1, expected a number in \(0"),
        (
            "max_velocity: 3",
            "max_velocity: 1e9",
            r"joints\[0\]\.max_velocity: got '1e9', expected at most 75,",
        ),
        (
            "max_jerk: 1200",
            "max_jerk: 1e-3",
            r"joints\[0\]\.max_acceleration: got 25, expected at most 0\.01\d+: with",
        ),
        (
            "max_acceleration: 25, max_jerk: 1200",
            "max_acceleration: 0.01, max_jerk: 1e-3",
            r"joints\[0\]\.max_velocity: got 3, expected at most 0\.03,",
        ),
        (
            "max_velocity: 3, max_acceleration: 25, max_jerk: 1200",
            "max_velocity: 0.02, max_acceleration: 0.01, max_jerk: 1e-3",
            r"joints\[0\]\.max_acceleration: got 0.01, expected at most 0\.00\d+(,|:)",
        ),
        (
            "max_acceleration: 25",
            "max_acceleration: 100000",
            r"joints\[0\]\.max_acceleration: got 100000, expected at most 6\d\.\d+: with .*, 3\d.* can act",
        ),
        (
            "max_velocity: 3, max_acceleration: 25, max_jerk: 1200",
            "max_velocity: 1e9, max_acceleration: 1e9, max_jerk: 1e9",
            r"joints\[0\]\.max_acceleration: got '1e9', expected at most \d+(\.\d+)?: with",
        ),
        ("lower: -1.5", "lower: 1.7", r"joints\[0\]\.upper: got 1.5, expected a number in \(1.7,"),
        ("unit: rad", "unit: deg", r"joints\[0\]\.unit: got 'deg', expected one of rad, m"),
        ("name: slide", "name: turn", r"joints: .* expected names that differ"),
        ("grippers: [slide]", "grippers: [slid]", r"grippers\[0\]: got 'slid', expected the name of one"),
        ("home: [0.0", "home: [9.0", r"home\[0\]: got 9.0, expected a value in turn's range \[-1.5, 1.5\]"),
        ("home: [0.0, ", "home: [", r"home: .* expected a list of 2"),
        ("control_hz: 100", "control_hz: 0", r"control_hz: got 0, expected a whole number"),
        ("control_hz: 100", "control_hz: 59.9", r"control_hz: got 59.9, expected a whole number"),
        ("quaternion: [1", "quaternion: [2", r"cameras\[0\]\.quaternion: .* a unit quaternion"),
        ("fovy: 0.8", "fovy: 45", r"cameras\[0\]\.fovy: got 45, expected a number in \(0, 3.14159\)"),
        ("upper: [1, 1", "upper: [1, -1", r"workspace\.upper: .* expected each above"),
        ("link: finger", "link: fnger", r"geometry\.tip\.link: unknown name 'fnger'; did you mean 'finger'"),
        ("parent: arm", "parent: leg", r"geometry\.links\[1\]\.parent: unknown name 'leg' \(valid: arm\)"),
        (
            "joint: slide",
            "joint: turn",
            r"geometry\.links\[1\]\.joint: got 'turn', expected a joint that moves no",
        ),
        ("joint: turn, axis: [0, 0, 1], ", "", r"geometry\.links: no link is moved by joint 'turn'"),
        ("axis: [1, 0, 0], ", "", r"geometry\.links\[1\]: .* expected joint and axis both, or neither"),
        ("axis: [1, 0, 0]", "axis: [2, 0, 0]", r"geometry\.links\[1\]\.axis: .* expected a unit vector"),
        (
            "half: [0.1",
            "half: [0",
            r"geometry\.links\[0\]\.boxes\[0\]\.half\[0\]: got 0, expected a number in \(0",
        ),
        (
            "[[arm, finger]]",
            "[[arm, arm]]",
            r"geometry\.apart\.pairs\[0\]: .* expected two links that differ",
        ),
        ("name: tiny", "name: ''", r"name: got '', expected a line of text"),
        ("name: tiny", "name: [", r"not valid YAML at line"),
        ("name: tiny", "? [a]", r"not valid YAML at line 1 \(found unhashable key\)"),
        ("control_hz: 100", "control_hz: !!int ''", r"not valid YAML \(IndexError\)"),
        ("control_hz: 100", "7: 100", r"got .*, expected a mapping with name"),
    ],
)
def test_a_bad_field_is_named_with_its_value(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in ROBOT
    with pytest.raises(UserError, match=rf"^robot\.yaml: {message}"):
        load_text(tmp_path, ROBOT.replace(old, new, 1))


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"42", b"[" * 2000, b"a: &a [*a]", b"x" * 1_000_001])
def test_a_file_of_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserError):
        load_text(tmp_path, data)


@given(data=st.data())
def test_mangled_text_loads_or_gives_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(ROBOT)))
    length = data.draw(st.integers(0, 40))
    insert = data.draw(st.text(st.characters(codec="utf-8"), max_size=12))
    _loads_or_one_line(tmp_path_factory.getbasetemp(), ROBOT[:start] + insert + ROBOT[start + length :])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(SCALARS, x, max_size=3), max_leaves=5
)


@given(data=st.data())
def test_a_mangled_field_loads_or_gives_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    document = yaml.safe_load(ROBOT)
    place, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    if isinstance(place, dict) and data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(VALUES)
    _loads_or_one_line(tmp_path_factory.getbasetemp(), yaml.safe_dump(document, allow_unicode=True))


def _loads_or_one_line(folder: Path, text: str) -> None:
    try:
        load_text(folder, text)
    except UserError as error:
        assert str(error) and len(str(error).splitlines()) == 1
