"""One attempt after the other over the twin: when they end, and when the table is tidied."""

from collections.abc import Iterator

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.shared_state import REQUESTS
from ideomotor.launch.runtime.attempts import Attempts, Helper, Table

ROBOT = load_embodiment("so101")


class Room:
    """A table whose task is solved when the test says so, and a robot that is a shared state only."""

    def __init__(self, shared: shared_state.SharedState, *, judged: bool = True, rearrange: bool = False):
        self.shared, self.solved, self.tidied = shared, False, 0
        self.arrangements: list[int] = []
        table = Table(lambda: self.solved, self.tidy, max_seconds=6.0, judged=judged, rearrange=rearrange)
        self.attempts = Attempts(shared, table)

    def tidy(self, arrangement: int) -> None:
        self.tidied += 1
        self.arrangements.append(arrangement)
        self.solved = False

    def at(self, now: float, stage: str, epoch: int) -> tuple[int, int | None, int, int]:
        """(ended, solved, times home was requested, times tidied) after a poll at that moment."""
        record = self.shared.state.new()
        record["stage"], record["epoch"] = stage.encode(), epoch
        self.shared.state.write(record)
        self.attempts.poll(now)
        requested = int(self.shared.requests[REQUESTS.index("again")])
        return self.attempts.ended, self.attempts.solved, requested, self.tidied


@pytest.fixture
def room() -> Iterator[Room]:
    shared = shared_state.create(ROBOT)
    yield Room(shared)
    shared.close()


def test_an_attempt_ends_when_it_is_solved_or_its_time_is_over_and_the_next_begins_from_home(
    room: Room,
) -> None:
    room.attempts.poll(9.0)  # there is no state yet
    assert room.at(10.0, "run", 1) == (0, 0, 0, 0)
    assert room.at(15.9, "run", 1) == (0, 0, 0, 0)
    room.solved = True
    assert room.at(16.0, "run", 1) == (1, 1, 1, 0)
    assert room.at(16.1, "run", 1) == (1, 1, 1, 0)  # the request is not carried out yet
    assert room.at(16.2, "hold", 2) == (1, 1, 1, 0)
    assert room.at(18.0, "park", 2) == (1, 1, 1, 0)
    assert room.at(20.0, "run", 3) == (1, 1, 1, 1)
    assert room.at(25.9, "run", 3) == (1, 1, 1, 1)
    assert room.at(26.1, "run", 3) == (2, 1, 2, 1)
    assert room.arrangements == [0]  # where it was


def test_an_arm_that_held_on_the_way_is_in_the_same_attempt(room: Room) -> None:
    room.at(10.0, "run", 1)
    assert room.at(12.0, "hold", 2) == (0, 0, 0, 0)
    assert room.at(13.0, "run", 2) == (0, 0, 0, 0)
    assert room.at(16.1, "run", 2) == (1, 0, 1, 0)


def test_where_nobody_judges_an_attempt_ends_with_its_time_and_none_is_counted_as_solved() -> None:
    shared = shared_state.create(ROBOT)
    room = Room(shared, judged=False)
    assert room.at(10.0, "run", 1) == (0, None, 0, 0)
    assert room.at(15.9, "run", 1) == (0, None, 0, 0)
    assert room.at(16.1, "run", 1) == (1, None, 1, 0)
    assert room.at(20.0, "run", 3) == (1, None, 1, 1)
    shared.close()


def test_things_may_come_to_other_spots_before_each_further_attempt() -> None:
    shared = shared_state.create(ROBOT)
    room = Room(shared, rearrange=True)
    for epoch in range(1, 7, 2):
        room.at(20.0 * epoch, "run", epoch)
        room.solved = True
        room.at(20.0 * epoch + 1, "run", epoch)
    assert room.arrangements == [1, 2]
    shared.close()


def test_a_person_who_takes_over_has_as_long_as_the_policy_had() -> None:
    shared, moves = shared_state.create(ROBOT), list[str]()
    room = Room(shared)
    helper = Helper(1.5, lambda: moves.append("solve"), lambda: moves.append("home"))
    room.attempts = Attempts(shared, Table(lambda: room.solved, room.tidy, max_seconds=6.0, helper=helper))
    assert room.at(10.0, "run", 1) == (0, 0, 0, 0) and moves == []
    assert room.at(11.5, "run", 1) == (0, 0, 0, 0) and moves == ["solve"]
    assert int(shared.requests[REQUESTS.index("take_over")]) == 1
    assert room.at(17.4, "run", 1) == (0, 0, 0, 0)
    assert room.at(17.6, "run", 1) == (1, 0, 1, 0) and moves == ["solve", "home"]
    assert int(shared.requests[REQUESTS.index("hand_back")]) == 1
    shared.close()
