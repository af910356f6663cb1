"""Notes of arms whose motors may be on: one for each device, or for each robot that needs none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ideomotor.launch.runtime import left_on
from ideomotor.launch.runtime.left_on import Note, put_back, read_note, remove_note, write_note

GONE = 2**22 - 1  # a process that there is not


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ideomotor" / "motors_on"


def left_behind(folder: Path) -> list[str]:
    """What is said to whoever comes next, once the processes that wrote the notes are gone."""
    for path in folder.glob("*.json"):
        note = Note(**json.loads(path.read_text()))
        path.write_text(json.dumps(dataclasses.asdict(dataclasses.replace(note, process=GONE))))
    return [note.text for note in left_on.left_on()]


def test_robots_without_a_port_have_a_note_each_and_are_released_without_one(folder: Path) -> None:
    write_note("drawing_table", "", "emergency stop: SIGHUP")
    write_note("/home/me/other.yaml", "")
    write_note("so101", "/dev/ttyACM0")
    table, other, arm = sorted(left_behind(folder), key=lambda text: "so101" in text or "other" in text)
    if "other" in arm:
        other, arm = arm, other
    assert table.endswith("(emergency stop: SIGHUP): hold the arm, then: ideomotor release drawing_table")
    assert other.endswith("hold the arm, then: ideomotor release /home/me/other.yaml")
    assert arm.endswith("then: ideomotor release so101 --port /dev/ttyACM0") and " at /dev/ttyACM0 " in arm
    remove_note("drawing_table", "")
    assert len(left_behind(folder)) == 2


def test_a_refused_start_leaves_the_note_that_was_there(folder: Path) -> None:
    write_note("drawing_table", "", "its own")
    before = read_note("drawing_table", "")
    assert before and read_note("another", "") is None
    write_note("drawing_table", "")
    put_back("drawing_table", "", before)
    assert read_note("drawing_table", "") == before
    put_back("drawing_table", "", None)
    assert left_behind(folder) == []


def test_a_note_is_a_devices_by_whatever_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ttyACM0").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyACM0")
    write_note("so101", str(tmp_path / "by-id"))
    remove_note("mine.yaml", str(tmp_path / "ttyACM0"))
    assert left_behind(folder) == []


def test_a_robot_of_servos_is_not_released_without_its_port(in_process: Any) -> None:
    done = in_process("release", "so101", "--yes")
    assert done.returncode == 2 and "port: missing" in done.stderr
    done = in_process("release", "so101_pair", "--yes", "--port", "/dev/null")
    assert done.returncode == 2 and "left=/dev/ttyACM0,right=/dev/ttyACM1" in done.stderr
