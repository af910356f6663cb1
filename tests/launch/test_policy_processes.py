"""What the processes of a policy read, and when."""

from __future__ import annotations

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import Observation
from ideomotor.launch.runtime.policy_processes import (
    FramesBetween,
    ObservationReader,
    PolicyProcessConfig,
)

ROBOT = load_embodiment("so101")


@pytest.fixture
def shared():
    made = shared_state.create(ROBOT)
    yield made
    made.close()


def test_pictures_are_copied_only_for_an_observation(shared, monkeypatch: pytest.MonkeyPatch) -> None:
    config = PolicyProcessConfig(lambda part: pytest.fail(part), "lift", usual_timing(ROBOT))
    reader, copies = ObservationReader(shared, config), []
    read = shared.frames.read
    monkeypatch.setattr(shared.frames, "read", lambda into: copies.append(1) or read(into))
    assert not reader.poll() and reader.observation() is None  # nothing has been published
    copies.clear()
    frames, state = shared.frames.new(), shared.state.new()
    images = {camera.name: np.full((camera.height, camera.width, 3), 7, np.uint8) for camera in ROBOT.cameras}
    shared_state.pack_frames(frames, 2.0, images, shared.spec)
    state["time"], state["policy_tick"], state["position"] = 2.5, 48, np.arange(6)
    shared.frames.write(frames)
    assert not reader.poll()  # there is no state yet
    shared.state.write(state)
    assert all(reader.poll() for _ in range(5)) and not copies
    assert (reader.tick, reader.state_at) == (48, 2.5)
    seen = reader.observation()
    assert seen is not None and len(copies) == 1 and reader.frames_at == 2.0
    assert (seen.tick, seen.time, seen.instruction) == (48, 0.4, "lift")
    assert np.array_equal(seen.images["front"], images["front"]) and np.array_equal(seen.state, np.arange(6))
    state["position"][2] = np.nan
    shared.state.write(state)
    assert not reader.poll()


class LooksBack:
    """A policy that wants a frame every 8 ticks; and a reader that has one for every tick."""

    watch_every_ticks = 8

    def __init__(self) -> None:
        self.seen, self.copies, self.tick = [], 0, 0

    def watch(self, observation: Observation) -> None:
        self.seen.append(observation.tick)

    def observation(self) -> Observation | None:
        self.copies += 1
        return None if self.tick == 33 else Observation(self.tick / 120, self.tick, {}, np.zeros(6), "lift")


def test_a_policy_that_looks_back_is_shown_frames_between_its_chunks() -> None:
    policy = LooksBack()
    between = FramesBetween(policy)
    for policy.tick in (0, 0, 3, 9, 9, 16, 17, 25, 33, 34, 2, 4):  # ticks are missed, and begin anew
        between.look(policy)
    assert policy.seen == [0, 9, 17, 25, 34, 2] and policy.copies == 7
    between = FramesBetween(object())
    between.look(policy)
    assert policy.copies == 7  # one that does not look back costs nothing
