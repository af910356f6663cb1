"""The log of who did what: whoever changes a line of it is found out."""

import json
from pathlib import Path

import pytest

from ideomotor.datasets.checking.audit_log import NAME, AuditLog, check_audit_log, file_hash


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    log = AuditLog(tmp_path)
    log.began(command="launch", instruction="hebe den Würfel")
    log.add("stage", tick=3, stage="hold", reason="emergency stop: key space")
    log.add("mark", mark="good")
    log.ended(reason="finished", motors_on=False)
    assert not log.failed
    return tmp_path


def lines(folder: Path) -> list[str]:
    return (folder / NAME).read_text().splitlines()


def changed(folder: Path, new: list[str]) -> list[str]:
    (folder / NAME).write_text("".join(line + "\n" for line in new))
    return list(check_audit_log(folder))


def test_a_whole_log_says_who_began_what_happened_and_how_it_ended(folder: Path) -> None:
    assert list(check_audit_log(folder)) == []
    events = [json.loads(line) for line in lines(folder)]
    assert [event["what"] for event in events] == ["began", "stage", "mark", "ended"]
    assert "@" in events[0]["who"] and events[0]["instruction"] == "hebe den Würfel"
    assert all("T" in event["time"] and len(event["before"]) == 64 for event in events)


def test_a_line_that_was_changed_taken_out_put_in_or_moved_is_found(folder: Path) -> None:
    whole = lines(folder)
    assert changed(folder, [whole[0], whole[1].replace("space", "spice"), *whole[2:]])[0].startswith(
        "line 3:"
    )
    assert changed(folder, [whole[0], *whole[2:]])[0].startswith("line 2: does not follow")
    assert changed(folder, [*whole[:2], whole[1], *whole[2:]])[0].startswith("line 3: does not follow")
    assert changed(folder, [whole[0], whole[2], whole[1], whole[3]])[0].startswith("line 2:")
    assert changed(folder, whole[1:])[0].startswith("line 1:")
    assert changed(folder, whole[:-1]) == [
        "the last event does not say how it ended: the session was cut off, or lines were"
    ]
    assert changed(folder, [*whole[:2], "{"]) == ["line 3: not an event"]
    assert changed(folder, whole) == []


def test_a_disk_that_takes_nothing_ends_the_log_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "launch").write_text("a file where the folder should be")
    log = AuditLog(tmp_path)
    log.began(command="launch")
    assert "launch" in log.failed
    log.add("stage", stage="run")
    assert list(check_audit_log(tmp_path / "elsewhere")) == []


def test_a_hash_is_of_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_hash(tmp_path / "x").startswith("ba7816bf")
