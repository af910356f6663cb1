"""Episodes by keys, time and what happens, with a clock, a log and a table of the test's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.shared_state import pack_frames
from ideomotor.launch.runtime.recording.episode_flow import (
    BACK_S,
    GIVE_UP,
    LOST_S,
    EpisodeFlow,
    EpisodePlan,
    Phase,
    Scene,
)

ROBOT = load_embodiment("so101")
FPS, STEP_S = 30, 0.1
IMAGES = {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in ROBOT.cameras}


@dataclass
class FakeLog:
    """Saves at once, or, where it is `slow`, when the test says so."""

    episodes: int = 0
    length: int = 0
    waiting: int = 0
    saving: bool = False
    failed: str = ""
    slow: bool = False
    in_hand: bool = False
    saved: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def begin(self) -> None:
        self.in_hand, self.length = True, 0

    def discard(self) -> None:
        self.in_hand = False

    def save(self, task, facts) -> None:
        self.saved.append((task, facts))
        self.saving, self.in_hand = True, False

    def poll(self) -> None:
        if self.saving and not self.slow:
            self.episodes += self.length > 0
            self.saving = False


class Table:
    """What a flow lives in, and the time there."""

    def __init__(self, scene: bool = False, before: int = 0, **plan: Any) -> None:
        self.shared = shared_state.create(ROBOT)
        self.log, self.now, self.said = FakeLog(episodes=before), 100.0, []
        self.stage, self.engaged, self.cameras = "run", True, ["front", "wrist"]
        self.arm, self.leader = ROBOT.home_position, ROBOT.home_position
        self.led = True  # there is a leader
        self.solved, self.tidied, self.moves = False, 0, []
        simulated = Scene(lambda: self.solved, self._tidy, self.moves.append) if scene else None
        options = {"episodes": 2, "episode_s": None, "reset_s": None, "scene": simulated, **plan}
        self.plan = EpisodePlan("lift it", fps=FPS, **options)
        self.flow = EpisodeFlow(self.shared, ROBOT, self.log, self.plan, self.said.append)
        self._times = dict.fromkeys(IMAGES, 0.0)

    def _tidy(self, number: int) -> dict[str, int]:
        self.tidied += 1
        return {"arrangement": number}

    def run(self, seconds: float) -> None:
        """Time passes; rows are recorded while an episode is in hand and the arm runs."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self._times |= dict.fromkeys(self.cameras, self.now)
            frames, state, action = (
                box.new() for box in (self.shared.frames, self.shared.state, self.shared.teleop)
            )
            seen = {name for name, at in self._times.items() if at}
            pack_frames(
                frames, {n: self._times[n] for n in seen}, {n: IMAGES[n] for n in seen}, self.shared.spec
            )
            self.shared.frames.write(frames)
            state["stage"], state["driver"], state["command"] = self.stage.encode(), b"person", self.arm
            state["reason"] = b"" if self.stage == "run" else b"somebody stopped it"
            self.shared.state.write(state)
            action["time"], action["position"], action["engaged"] = self.now, self.leader, self.engaged
            if self.led:
                self.shared.teleop.write(action)
            if self.log.in_hand and self.stage == "run":
                self.log.length += round(STEP_S * FPS)
            self.flow.poll(self.now)

    def press(self, *keys: str) -> None:
        for key in keys:
            assert self.flow.key(key, self.now)
            self.run(2 * STEP_S)

    def requested(self, name: str) -> int:
        return int(self.shared.requests[shared_state.REQUESTS.index(name)])


@pytest.fixture
def make_table() -> Iterator[Any]:
    made: list[Table] = []

    def make(**options: Any) -> Table:
        made.append(Table(**options))
        return made[-1]

    yield make
    for table in made:
        table.shared.close()


def test_a_person_says_when_an_episode_begins_and_when_it_is_done(make_table):
    table = make_table()
    table.run(30)
    assert table.flow.phase is Phase.RESET and not table.log.in_hand
    table.press("right")
    assert table.flow.phase is Phase.RECORD and "recording episode 0 (of 2)" in table.flow.text()
    table.run(5)
    table.press("right")
    assert table.flow.phase is Phase.RESET and table.log.saved == [("lift it", {"success": True})]
    table.press("right", "b", "right")
    assert table.log.saved[1] == ("lift it", {"success": False})  # marked as bad
    assert table.flow.phase is Phase.OVER and table.requested("finish") == 1 and table.flow.done == 2
    assert "2 episodes saved" in table.said[-1]


def test_times_end_episodes_and_resets_and_a_pause_does_not_count(make_table):
    table = make_table(episode_s=3.0, reset_s=2.0)
    table.run(1.5)
    assert table.flow.phase is Phase.RESET
    table.run(1.5)
    assert table.flow.phase is Phase.RECORD
    table.press(" ")
    assert table.requested("estop") == 1
    table.stage = "hold"
    table.run(60)  # a pause
    assert table.flow.phase is Phase.RECORD and "held: somebody stopped it" in table.flow.text()
    table.press(" ")
    assert table.requested("rearm") == 1
    table.stage = "run"
    table.run(4)
    assert table.flow.done == 1 and table.log.saved
    table.run(2 + 3 + 1)
    assert table.flow.phase is Phase.OVER


def test_again_drops_the_episode_in_hand_only(make_table):
    table = make_table()
    table.run(1)
    table.press("right", "left")
    assert not table.log.in_hand and table.flow.phase is Phase.RESET and table.log.saved == []
    table.press("right", "right", "left")
    assert len(table.log.saved) == 1 and "--delete 0" in table.said[-1]
    table.press("right", "escape")
    assert table.flow.phase is Phase.OVER and table.flow.done == 1 and not table.log.in_hand
    assert table.requested("finish") == 1 and len(table.flow.dropped) == 2


def test_a_camera_that_is_lost_ends_the_episode_and_it_goes_on_when_it_is_back(make_table):
    table = make_table(reset_s=0.5)
    table.run(2)
    assert table.flow.phase is Phase.RECORD
    table.cameras = ["front"]
    table.run(LOST_S + 0.2)
    assert table.flow.phase is Phase.RESET and not table.log.in_hand and table.log.saved == []
    assert any("dropped, camera wrist gives nothing" in said for said in table.said)
    table.run(20)
    assert table.flow.phase is Phase.RESET and "camera wrist gives nothing" in table.flow.text()
    table.cameras = ["front", "wrist"]
    table.run(BACK_S + 0.7)
    assert table.flow.phase is Phase.RECORD and table.requested("finish") == 0
    table.run(1)
    table.press("right")
    assert table.flow.done == 1 and table.flow.dropped == ["camera wrist gives nothing"]


@pytest.mark.parametrize("why", ["leader", "nobody", "stopped", "camera"])
def test_no_episode_begins_before_everything_is_there(make_table, why):
    table = make_table(reset_s=0.5)
    if why == "leader":
        table.leader = ROBOT.home_position + 0.3
    elif why == "nobody":
        table.led = False
    elif why == "stopped":
        table.stage = "hold"
    else:
        table.cameras = ["wrist"]
    table.run(5)
    table.press("right")
    assert table.flow.phase is Phase.RESET and "waits: " in table.said[-1]
    expected = {
        "leader": "on its way to the leader",
        "nobody": "nobody drives yet",
        "stopped": "somebody stopped it",
        "camera": "camera front gives nothing",
    }
    assert expected[why] in table.flow.text()
    table.leader, table.led, table.stage, table.cameras = table.arm, True, "run", ["front", "wrist"]
    table.run(2)
    assert table.flow.phase is Phase.RECORD


def test_an_arm_that_parks_drops_the_episode_and_a_disk_that_fills_up_ends_it_all(make_table):
    table = make_table(reset_s=0.5)
    table.run(2)
    table.stage = "park"
    table.run(1)
    assert table.flow.phase is Phase.RESET and "dropped, somebody stopped it" in table.said[-1]
    table.stage = "run"
    table.run(2)
    assert table.flow.phase is Phase.RECORD
    table.log.failed = "disk: 12 MB free"
    table.run(0.1)
    assert table.flow.phase is Phase.OVER and table.requested("finish") == 1
    assert any("disk: 12 MB free; the episodes before are kept" in said for said in table.said)


def test_the_next_episode_waits_until_the_one_before_is_safe(make_table):
    table = make_table(reset_s=0.2)
    table.log.slow = True
    table.run(2)
    table.press("right")
    table.run(30)
    assert table.flow.phase is Phase.SAVE and "saving episode 0" in table.flow.text()
    table.log.slow = False
    table.run(1)
    assert table.flow.phase is Phase.RECORD and table.flow.done == 1


def test_an_episode_in_which_nobody_drove_is_none(make_table):
    table = make_table()
    table.run(1)
    table.press("right")
    table.log.length = 0
    table.stage = "hold"
    table.press("right")
    assert table.flow.done == 0 and table.said[-1] == "no row was recorded: nobody drove"


def test_a_recording_that_is_resumed_counts_on(make_table):
    table = make_table(before=7)
    table.run(1)
    table.press("right")
    assert "recording episode 7 (of 9)" in table.flow.text()


def test_at_a_simulated_table_the_hand_solves_and_the_things_go_back(make_table):
    table = make_table(scene=True, episode_s=5.0, reset_s=0.5, facts={"task_name": "lift", "seed": 3})
    table.arm = ROBOT.home_position + 0.5
    table.leader = table.arm
    table.run(3)
    assert table.moves == ["home"] and table.tidied == 0  # the arm is not there yet
    table.arm = table.leader = ROBOT.home_position
    table.run(1)
    assert table.moves == ["home", "solve"] and table.tidied == 1 and table.flow.phase is Phase.RECORD
    table.solved = True
    table.run(0.1)
    facts = {"task_name": "lift", "seed": 3, "arrangement": 1, "success": True}
    assert table.log.saved == [("lift it", facts)]
    table.solved = False
    table.run(6.3)  # the second is not solved in time
    assert table.flow.not_solved == 1 and table.flow.done == 1 and table.flow.phase is Phase.RESET
    assert table.moves == ["home", "solve", "home", "solve", "home"] and table.tidied == 2
    table.run(GIVE_UP * 8)
    assert table.flow.phase is Phase.OVER and f"not solved {GIVE_UP} times in a row" in table.said[-1]


def test_a_device_that_jogs_is_at_rest_where_an_episode_begins(make_table):
    table = make_table(reset_s=0.5)
    table.engaged, table.leader = False, ROBOT.home_position + 0.5  # what it said last means nothing now
    table.run(2)
    assert table.flow.phase is Phase.RECORD
