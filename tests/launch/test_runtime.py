"""Whatever process is killed while the arm swings, the arm comes to rest within its limits, with a name."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control import board as boards

SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 120.0  # for anything at all, on a busy machine
REACTION_S = 1.0  # generous; benchmarks/kill.py measures what it really is


@pytest.fixture
def bodies(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import bodies

    return bodies


class Running:
    """A supervised robot in processes of its own, swinging."""

    def __init__(self, bodies, folder: Path, handover: str = "rtc", max_ticks: int | None = None):
        self.bodies, self.folder = bodies, folder
        self.body = bodies.new_body(folder)
        self.board = boards.create(bodies.ROBOT)
        arguments = (self.board.spec, folder, handover, max_ticks)
        self.supervisor = SPAWN.Process(target=bodies.run_supervised, args=arguments)
        self.supervisor.start()

    def log(self) -> np.ndarray:
        """(n, 3 + A): time, process, tick, position of every command so far."""
        return np.array(self.body.rows[: int(self.body.words[0])])

    def pid(self, role: str) -> int:
        return int(self.board.beats[boards.BEATS.index(role), 0])

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until, f"waited {PATIENCE_S:.0f} s for: {what}"
            time.sleep(0.001)

    def wait_until_fast(self) -> None:
        """Until joint 0 has followed the stream for a while and moves at more than 1.2 rad/s."""

        def fast() -> bool:
            log = self.log()[-60:]
            if len(log) < 60 or np.abs(log[:, 3:] - self.bodies.motion(log[:, 2])).max() > 1e-4:
                return False
            return abs(log[-1, 3] - log[-2, 3]) * self.bodies.HZ > 1.2

        self.wait(fast, "the arm to swing")

    def state(self) -> dict[str, str]:
        record = self.board.state.new()
        assert self.board.state.read(record)
        return {name: boards.text_of(record[name]) for name in ("stage", "reason")}

    def outcome(self) -> dict:
        self.supervisor.join(PATIENCE_S)
        assert self.supervisor.exitcode == 0
        return json.loads((self.folder / "outcome.json").read_text())

    def close(self) -> None:
        processes = [self.pid(role) for role in boards.BEATS]
        self.supervisor.kill()
        self.supervisor.join()
        for process in filter(None, processes):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.board.close()


@pytest.fixture
def start(bodies, tmp_path):
    running: list[Running] = []

    def start(**options) -> Running:
        running.append(Running(bodies, tmp_path, **options))
        return running[-1]

    yield start
    for each in running:
        each.close()


def assert_reacted(running: Running, at: float) -> int:
    """Left the stream soon after `at`, and kept every limit; the row of the log at which it did."""
    bodies, log = running.bodies, running.log()
    robot, hz = bodies.ROBOT, bodies.HZ
    positions = log[:, 3:]
    off_stream = np.abs(positions - bodies.motion(log[:, 2])).max(axis=1) > 1e-4
    reacted = np.flatnonzero((log[:, 0] > at) & off_stream)
    assert len(reacted), "the arm ran on"
    assert log[reacted[0], 0] - at < REACTION_S
    assert (np.abs(np.diff(positions, axis=0)) * hz <= robot.max_velocity * 1.001).all()
    assert (positions >= robot.lower).all() and (positions <= robot.upper).all()
    one_process = np.diff(log[:, 1]) == 0  # a new process starts a new difference
    for order, limit in ((2, robot.max_acceleration), (3, robot.max_jerk)):
        rates = np.abs(np.diff(positions, order, axis=0)) * hz**order
        within = np.lib.stride_tricks.sliding_window_view(one_process, order).all(axis=1)
        assert (rates[within] <= limit * 1.001).all()
    return reacted[0]


def assert_came_to_rest(running: Running, at: float) -> None:
    """Reacted, and stood still within half a second of ticks."""
    reacted = assert_reacted(running, at)
    steps = np.abs(np.diff(running.log()[:, 3:], axis=0))[reacted:].max(axis=1)
    still = np.flatnonzero(steps < 1e-4)
    assert len(still) and still[0] < 0.5 * running.bodies.HZ


@pytest.mark.parametrize("role", ["decoder", "interpreter", "cameras"])
def test_killing_a_brain_parks_the_arm_and_names_it(start, role):
    running = start()
    running.wait_until_fast()
    killed_at = time.monotonic()
    os.kill(running.pid(role), signal.SIGKILL)
    outcome = running.outcome()
    assert_came_to_rest(running, killed_at)
    assert outcome["faults"] == [f"{role} died: killed by SIGKILL"]
    assert outcome["reasons"][-1] == f"{role} died: process {running.pid(role)} is gone"
    assert outcome["stage"] == "off" and not outcome["guarded"]
    assert running.body.words[2] == 1  # torque off once, at the very end
    np.testing.assert_allclose(running.log()[-1, 3:], running.bodies.ROBOT.home_position, atol=1e-6)


def test_killing_control_hands_the_arm_to_the_supervisor(start):
    running = start()
    running.wait_until_fast()
    control, killed_at = running.pid("control"), time.monotonic()
    os.kill(control, signal.SIGKILL)
    outcome = running.outcome()
    assert_came_to_rest(running, killed_at)
    assert outcome["faults"] == ["control died: killed by SIGKILL"]
    assert outcome["guarded"]
    log = running.log()
    assert set(log[log[:, 1] != control][:, 1]) == {running.pid("supervisor")}
    assert running.body.words[2] == 0 and running.body.words[1] == 1  # held, never let go


def test_killing_the_supervisor_leaves_control_to_park_by_itself(start):
    running = start()
    running.wait_until_fast()
    killed_at = time.monotonic()
    os.kill(running.supervisor.pid, signal.SIGKILL)
    running.wait(lambda: running.state()["stage"] == "off", "the arm to park")
    assert_came_to_rest(running, killed_at)
    assert running.state()["reason"] == f"supervisor died: process {running.supervisor.pid} is gone"
    for role in ("control", "decoder", "interpreter", "cameras"):
        running.wait(lambda role=role: not is_alive(running.pid(role)), f"{role} to end")


def test_a_stopped_decoder_is_noticed_and_the_run_goes_on_when_it_wakes(start):
    running = start()
    running.wait_until_fast()
    stopped_at = time.monotonic()
    os.kill(running.pid("decoder"), signal.SIGSTOP)
    running.wait(lambda: running.state()["stage"] == "hold", "the arm to hold")
    assert running.state()["reason"].startswith(("decoder: no sign of life", "stale"))
    os.kill(running.pid("decoder"), signal.SIGCONT)
    running.wait(lambda: running.state()["stage"] == "run", "the arm to go on")
    running.wait_until_fast()
    assert_reacted(running, stopped_at)


def test_sigterm_stops_where_it_is_and_ends(start):
    running = start()
    running.wait_until_fast()
    at = time.monotonic()
    os.kill(running.supervisor.pid, signal.SIGTERM)
    outcome = running.outcome()
    assert_came_to_rest(running, at)
    assert outcome["interrupted"] and outcome["faults"] == []
    assert outcome["reasons"] == ["emergency stop: ordered by another process"]
    assert outcome["stage"] == "hold" and running.body.words[2] == 0


def test_an_emergency_stop_is_released_by_rearming_only(start):
    running = start()
    running.wait_until_fast()
    running.board.order("estop")
    running.wait(lambda: running.state()["stage"] == "hold", "the arm to hold")
    time.sleep(1.0)
    assert running.state() == {"stage": "hold", "reason": "emergency stop: ordered by another process"}
    running.board.order("rearm")
    running.wait_until_fast()
    running.board.order("finish")
    outcome = running.outcome()
    assert outcome["stage"] == "off" and outcome["faults"] == []


@pytest.mark.parametrize("handover", ["rtc", "sync", "naive", "ensemble"])
def test_every_hand_over_runs_by_the_wall_clock_and_finishes(start, handover):
    running = start(handover=handover, max_ticks=360)
    outcome = running.outcome()
    assert outcome["reasons"][-1] == "finished" and outcome["stage"] == "off"
    assert outcome["ticks"] >= 360 and len(outcome["commands"]) == outcome["ticks"]
    assert len(outcome["boundaries"]) >= 3 and outcome["chunk_ages"] > 0
    commands = running.log()[:, 3:]
    np.testing.assert_array_equal(commands, outcome["commands"])


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
