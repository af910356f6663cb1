"""What is concluded from replies that are missing or late, on a clock of the test's own."""

from __future__ import annotations

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.robots.faults import FaultLog
from ideomotor.control.robots.line_watch import QUARANTINE, REOPEN_EVERY, LineWatch
from ideomotor.control.robots.servo_line import Replies

ROBOT = load_embodiment("so101")
assert ROBOT.bus is not None
IDS = [servo.id for servo in ROBOT.bus.servos]
TICK = 1 / 120  # [s]


class Line:
    """A port that is there or not."""

    path = "/dev/nothing"

    def __init__(self) -> None:
        self.there, self.opened = True, 0

    def open(self) -> None:
        self.opened += 1
        if not self.there:
            raise OSError("gone")


class WatchedLine:
    """A watch that all servos were well for at time 0."""

    def __init__(self) -> None:
        self.line, self.log, self.now = Line(), FaultLog(), 0.0
        assert ROBOT.bus is not None
        self.watch = LineWatch(self.line, ROBOT.bus.motors, ROBOT.joint_names, self.log, 0.1)
        self.watch.start(0.0)

    def note(self, answered: list[int], problems: list[tuple[str, int | None]]) -> None:
        self.watch.note(Replies(dict.fromkeys(answered, b""), {}, tuple(problems)), self.now)
        for servo in answered:
            self.watch.answered_at[IDS.index(servo)] = self.now
        self.watch.note_silence(self.now)

    def names(self) -> set[tuple[str, str]]:
        return {(fault.name, fault.joint) for fault in self.log.active(self.now) if fault.kind.stops}


@pytest.fixture
def seen() -> WatchedLine:
    return WatchedLine()


def test_a_servo_that_says_nothing_is_silent_and_the_others_are_not(seen: WatchedLine) -> None:
    others = [i for i in IDS if i != 3]
    for _ in range(30):
        seen.now += TICK
        asked = seen.watch.asked(seen.now)
        seen.note(others, [("no_reply", 3)] if 3 in asked else [])
    assert seen.names() == {("servo_silent", "elbow_flex")}
    assert 3 not in seen.watch.asked(seen.now)  # it is asked in its turn only
    seen.now += TICK
    seen.note(IDS, [])
    assert seen.names() == set() and seen.watch.asked(seen.now) == IDS


def test_a_line_on_which_nothing_answers_is_silent(seen: WatchedLine) -> None:
    for _ in range(30):
        seen.now += TICK
        seen.note([], [("no_reply", i) for i in seen.watch.asked(seen.now)])
    assert ("bus_silent", "") in seen.names() and len(seen.names()) == 7


def test_replies_that_come_a_tick_late_make_the_line_slow(seen: WatchedLine) -> None:
    """Two servos answer within a tick's 6 ms, the others' replies are found at the next one."""
    for _ in range(40):
        seen.now += TICK
        seen.watch.took(2, 0.006)
        seen.note([1, 2], [("no_reply", i) for i in IDS[2:]])
        seen.now += TICK
        seen.watch.took(2, 0.006)
        seen.note([1, 2], [("late_reply", i) for i in IDS[2:]])
    assert seen.names() == {("bus_slow", "")}
    (fault,) = (fault for fault in seen.log.active(seen.now) if fault.name == "bus_slow")
    # 3 ms a reply, seven of them a tick, in 0.8 of the tick: 38 Hz.
    assert "about 3.0 ms each; the line could keep about 38 Hz" in str(fault)
    for _ in range(20):
        seen.now += TICK
        seen.note(IDS, [])
    assert seen.names() == set()


def test_replies_that_come_much_later_are_lost_and_their_servo_silent(seen: WatchedLine) -> None:
    others = [i for i in IDS if i != 3]
    missed: list[float] = []
    for _ in range(60):
        seen.now += TICK
        problems: list[tuple[str, int | None]] = []
        if missed and seen.now - missed[0] >= 0.08:
            missed.pop(0)
            problems.append(("late_reply", 3))
        elif 3 in seen.watch.asked(seen.now):
            missed.append(seen.now)
            problems.append(("no_reply", 3))
        seen.note(others, problems)
    assert seen.names() == {("servo_silent", "elbow_flex")}


def test_of_several_missing_ones_only_the_first_is_left_alone(seen: WatchedLine) -> None:
    seen.note([1, 2], [("no_reply", i) for i in (3, 4, 5, 6)])
    assert seen.watch.asked(seen.now) == [1, 2, 4, 5, 6]
    assert seen.watch.asked(seen.now + QUARANTINE) == IDS
    asked = [seen.watch.next_to_tell(seen.now) for _ in range(6)]
    assert 3 not in asked and set(asked) == {1, 2, 4, 5, 6}


def test_a_missing_adapter_is_looked_for_now_and_then(seen: WatchedLine) -> None:
    seen.line.there = False
    seen.note([], [("unplugged", None)])
    assert ("unplugged", "") in seen.names()
    assert not seen.watch.reopened(seen.now + REOPEN_EVERY / 2) and seen.line.opened == 0
    assert not seen.watch.reopened(seen.now + REOPEN_EVERY) and seen.line.opened == 1
    seen.line.there = True
    assert seen.watch.reopened(seen.now + REOPEN_EVERY, at_once=True)
    assert ("unplugged", "") not in seen.names()
    assert seen.watch.asked(seen.now + REOPEN_EVERY) == []  # old replies may be under way
