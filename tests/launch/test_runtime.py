"""Whatever process is killed while the arm swings, the arm comes to rest within its limits, with a name."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.seqlock import Follower
from ideomotor.control.runtime.supervisor import Job, supervise

pytestmark = [pytest.mark.realtime, pytest.mark.session]

ROBOT = load_embodiment("so101")
REACTION_S = 1.0  # generous; benchmarks/kill.py measures what it really is


def assert_reacted(running, at: float) -> int:
    """Left the stream soon after `at`, and kept every limit; the row of the log at which it did."""
    log, robot, hz = running.log(), ROBOT, ROBOT.control_hz
    positions = log[:, 3:]
    reacted = np.flatnonzero((log[:, 0] > at) & running.off_stream(log))
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


def assert_came_to_rest(running, at: float) -> None:
    """Reacted, and stood still within half a second of ticks."""
    reacted = assert_reacted(running, at)
    steps = np.abs(np.diff(running.log()[:, 3:], axis=0))[reacted:].max(axis=1)
    still = np.flatnonzero(steps < 1e-4)
    assert len(still) and still[0] < 0.5 * ROBOT.control_hz


@pytest.mark.parametrize("roles", [["decoder"], ["interpreter", "cameras"]], ids="_".join)
def test_killing_what_feeds_control_parks_the_arm_and_names_it(start, roles):
    """Whoever dies while the arm is on its way down changes nothing."""
    running = start()
    running.wait_until_fast()
    killed_at = time.monotonic()
    os.kill(running.pid(roles[0]), signal.SIGKILL)
    for role in roles[1:]:
        running.wait(lambda: running.state()["stage"] == "hold", "the arm to hold")
        os.kill(running.pid(role), signal.SIGKILL)
    outcome = running.outcome()
    assert_came_to_rest(running, killed_at)
    assert outcome["faults"] == [f"{role} died: killed by SIGKILL" for role in roles]
    assert outcome["reasons"][-1] == f"{roles[0]} died: process {running.pid(roles[0])} is gone"
    assert outcome["stage"] == "off" and not outcome["guarded"]
    assert running.robot.words[2] == 1  # torque off once, at the very end
    np.testing.assert_allclose(running.log()[-1, 3:], ROBOT.home_position, atol=1e-6)


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
    assert set(log[log[:, 1] != control][:, 1]) == {running.pid("guardian")}
    assert running.robot.words[2] == 0 and running.robot.words[1] == 1  # held, never let go
    records = np.stack(Follower(running.shared.ticks).new())  # the guardian's commands are there too
    np.testing.assert_array_equal(records["command"][-60:], log[-60:, 3:])
    assert (np.diff(records["tick"]) == 1).all() and records["stage"][-1] == b"hold"


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


def test_a_stopped_decoder_and_a_button_stop_the_arm_and_the_run_goes_on_after_them(start):
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

    pressed_at = time.monotonic()
    running.button.send_bytes(b"!")
    running.wait(lambda: running.state()["stage"] == "hold", "the arm to hold")
    time.sleep(0.6)  # the time after which a stop that passes by itself would park
    assert running.state() == {"stage": "hold", "reason": "emergency stop: red button"}
    assert_came_to_rest(running, pressed_at)
    running.shared.request("rearm")
    running.wait_until_fast()
    running.shared.request("finish")
    outcome = running.outcome()
    assert outcome["stage"] == "off" and outcome["faults"] == []


def test_sigterm_stops_where_it_is_and_ends(start):
    running = start()
    running.wait_until_fast()
    at = time.monotonic()
    os.kill(running.supervisor.pid, signal.SIGTERM)
    outcome = running.outcome()
    assert_came_to_rest(running, at)
    assert outcome["interrupted"] and outcome["faults"] == []
    assert outcome["reasons"] == ["emergency stop: SIGTERM"]
    assert outcome["stage"] == "hold" and running.robot.words[2] == 0


def test_a_hung_control_process_is_killed_and_the_arm_taken_over(start):
    running = start()
    running.wait_until_fast()
    os.kill(running.pid("control"), signal.SIGSTOP)
    outcome = running.outcome()
    assert outcome["faults"] == ["control: no sign of life", "control died: killed by SIGKILL"]
    assert outcome["guarded"] and running.robot.words[2] == 0
    log = running.log()
    np.testing.assert_allclose(log[-1, 3:], log[-2, 3:], atol=1e-4)


@pytest.mark.parametrize("handover", ["rtc", "ensemble"])
def test_every_hand_over_runs_by_the_wall_clock_and_finishes(start, handover):
    running = start(handover=handover, max_ticks=240)
    outcome = running.outcome()
    assert outcome["reasons"][-1] == "finished" and outcome["stage"] == "off"
    assert outcome["ticks"] >= 240 and len(outcome["commands"]) == outcome["ticks"]
    assert len(outcome["boundaries"]) >= 3 and outcome["chunk_ages"] > 0
    commands = running.log()[:, 3:]
    np.testing.assert_array_equal(commands, outcome["commands"])


def test_a_late_first_chunk_begins_where_the_arm_is_and_a_slow_policy_goes_the_same_way(runtime_fakes, start):
    speed = 0.3
    running = start(make_policy=runtime_fakes.LateSwinger, speed=speed)

    def swings_slowly() -> bool:
        swing = running.log()[-60:, 3] - ROBOT.home_position[0]
        if len(swing) < 60 or np.abs(swing).min() < 0.05:  # [rad]
            return False
        step = 2 * np.pi * runtime_fakes.SWING_HZ * speed / ROBOT.control_hz
        return bool(np.abs(swing[2:] - 2 * np.cos(step) * swing[1:-1] + swing[:-2]).max() < 1e-5)

    running.wait(swings_slowly, "the arm to swing at a share of the speed")
    swing = running.log()[:, 3] - ROBOT.home_position[0]
    assert np.flatnonzero(np.abs(swing) > 1e-3)[0] > 0.5 * runtime_fakes.LATE_S * ROBOT.control_hz
    running.shared.request("finish")
    outcome = running.outcome()
    assert outcome["faults"] == [] and outcome["stage"] == "off"
    assert not [reason for reason in outcome["reasons"] if reason.startswith("start")], outcome["reasons"]


def test_a_robot_that_cannot_be_opened_is_a_refusal_and_no_traceback(runtime_fakes, capfd):
    shared = shared_state.create(ROBOT)
    try:
        with pytest.raises(UserError, match="servo: id 3 does not answer"):
            supervise(shared, ROBOT, runtime_fakes.refuse_robot, [], ControlConfig())
    finally:
        shared.close()
    assert capfd.readouterr().err == ""


def test_a_process_that_cannot_start_is_named(runtime_fakes, capfd):
    shared = shared_state.create(ROBOT)
    try:
        with pytest.raises(UserError, match="cameras: its process ended while starting"):
            supervise(
                shared, ROBOT, runtime_fakes.refuse_robot, [Job("cameras", time.sleep, (0,))], ControlConfig()
            )
    finally:
        shared.close()


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_display_that_fails_ends_the_run_at_home_and_not_in_mid_motion(start):
    running = start(display_fails=True)
    outcome = running.outcome()
    assert outcome["faults"] == [
        fault for fault in outcome["faults"] if fault.startswith("launch: OSError: x")
    ]
    assert outcome["reasons"][-1] == "finished" and outcome["stage"] == "off" and not outcome["motors_on"]
    np.testing.assert_allclose(running.log()[-1, 3:], ROBOT.home_position, atol=1e-6)


def test_killing_control_and_the_supervisor_together_leaves_the_arm_to_the_guardian(start):
    running = start()
    running.wait_until_fast()
    control, guardian, killed_at = running.pid("control"), running.pid("guardian"), time.monotonic()
    os.kill(running.supervisor.pid, signal.SIGKILL)
    os.kill(control, signal.SIGKILL)
    running.wait(lambda: running.robot.words[1] == 1, "the arm to be held")
    assert_came_to_rest(running, killed_at)
    log = running.log()
    assert set(log[log[:, 0] > killed_at + 0.5][:, 1]) <= {guardian} and log[-1, 1] == guardian
    assert running.robot.words[2] == 0
    for role in ("guardian", "decoder", "interpreter", "cameras"):
        running.wait(lambda role=role: not is_alive(running.pid(role)), f"{role} to end")


def test_a_terminal_that_closes_reaches_every_process_twice_and_kills_none(start):
    running = start(session=True)
    running.wait_until_fast()
    at = time.monotonic()
    for _ in range(2):
        for number in (signal.SIGHUP, signal.SIGTSTP, signal.SIGQUIT):
            os.killpg(running.supervisor.pid, number)
    outcome = running.outcome()
    assert_came_to_rest(running, at)
    assert outcome["stage"] == "hold" and outcome["motors_on"] and outcome["interrupted"]
    assert outcome["faults"] == [] and outcome["reasons"][0].startswith("emergency stop: SIG")
