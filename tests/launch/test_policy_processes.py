"""What the processes of a policy read, and when."""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.shared_state_spec import HEARTBEATS
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import Observation
from ideomotor.launch.runtime.policy_processes import (
    ObservationReader,
    PolicyProcessConfig,
    decoder_process,
    interpreter_process,
)
from ideomotor.launch.runtime.process_policies import FramesBetween

ROBOT = load_embodiment("so101")
GIVE_UP_S = 120.0  # for anything at all, on a busy machine


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


# ---- skills with policies of their own


def wait(condition, processes) -> None:
    while not condition():
        assert all(process.is_alive() for process in processes), "a process has ended"
        time.sleep(0.01)


@pytest.mark.realtime
def test_a_skills_own_policy_drives_it_and_one_that_cannot_be_loaded_ends_the_processes(
    shared, tmp_path, capfd, monkeypatch
) -> None:
    """Both real processes; the arm stands, so that a chunk comes four times a second."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    signed = importlib.import_module("signed_policy").Signed

    def make(number: int):
        return functools.partial(signed, number, str(tmp_path))

    general, others = make(1), {"stack": make(2), "press": make(3), "lift": make(9)}
    config = PolicyProcessConfig(general, "go", usual_timing(ROBOT), specialists=others)
    frames, state, said = shared.frames.new(), shared.state.new(), shared.instruction.new()
    images = {camera.name: np.zeros((camera.height, camera.width, 3), np.uint8) for camera in ROBOT.cameras}
    shared_state.pack_frames(frames, time.monotonic(), images, shared.spec)
    shared.frames.write(frames)
    state["time"], state["position"] = time.monotonic(), ROBOT.home_position
    shared.state.write(state)
    context, chunk, seen = multiprocessing.get_context("spawn"), shared.chunk.new(), set[float]()
    processes = [
        context.Process(target=target, args=(shared.spec, config))
        for target in (interpreter_process, decoder_process)
    ]

    def drives(number: int) -> bool:
        if shared.chunk.read(chunk):
            seen.add(float(chunk["actions"][0, 0]))
        return bool(chunk["actions"][0, 0] == 11 * number)

    def say(text: str, specialist: str) -> None:
        said["text"], said["specialist"] = text.encode(), specialist.encode()
        shared.instruction.write(said)

    try:
        for process in processes:
            process.start()
        roles = [HEARTBEATS.index(role) for role in ("interpreter", "decoder")]
        wait(lambda: shared.heartbeats[roles, 0].all(), processes)
        assert (tmp_path / "decoder").read_text() == "21"  # as many as fit into memory, before any torque
        wait(lambda: drives(1), processes)
        for specialist, number in (("stack", 2), ("press", 3), ("place", 1), ("stack", 2)):
            say(f"do it by {number}", specialist)
            wait(lambda number=number: drives(number), processes)
        assert seen == {11.0, 22.0, 33.0}  # each by its own interpreter's plans alone
        loads = [(tmp_path / part).read_text() for part in ("interpreter", "decoder")]
        assert loads == ["21312", "21312"]  # the one that was asked for longest ago was let go
        say("lift it", "lift")
        for process in processes:
            process.join(GIVE_UP_S)
            assert process.exitcode == 1
        assert "policy: lift: config.json: missing in runs/broken" in capfd.readouterr().err
    finally:
        for process in processes:
            process.kill()
            process.join()
