"""A person drives a supervised robot, alone or beside a policy's processes, and one of them goes away."""

import os
import signal

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment

pytestmark = [pytest.mark.realtime, pytest.mark.session]

ROBOT = load_embodiment("so101")


def assert_within_limits(running) -> None:
    """Of every command, whoever drove."""
    log = running.log()[:, 3:]
    for order, limit in ((1, ROBOT.max_velocity), (2, ROBOT.max_acceleration), (3, ROBOT.max_jerk)):
        assert (np.abs(np.diff(log, order, axis=0)) * ROBOT.control_hz**order <= limit * 1.001).all()


def test_a_person_drives_and_goes_on_after_their_teleoperator_was_killed(start):
    running = start(person="alone")
    running.wait(lambda: np.abs(np.diff(running.log()[-9:, 3])).max(initial=0) > 0.005, "the arm to swing")
    before = running.pid("teleoperator")
    os.kill(before, signal.SIGKILL)
    running.wait(lambda: running.state()["stage"] == "hold", "a hold")
    first_seen = f"teleoperator died: process {before} is gone", "teleoperator: no new pose for 0."
    assert running.state()["reason"].startswith(first_seen)
    running.wait(lambda: running.pid("teleoperator") not in (0, before), "another teleoperator")
    running.wait(lambda: running.state()["stage"] == "run", "the arm to go on")
    held = len(running.log())
    running.wait(lambda: np.abs(np.diff(running.log()[held:, 3])).max(initial=0) > 0.005, "the arm to swing")
    running.shared.request("finish")
    outcome = running.outcome()
    assert outcome["faults"] == ["teleoperator died: killed by SIGKILL"] and outcome["stage"] == "off"
    assert_within_limits(running)


def test_a_person_takes_over_from_a_policys_processes_and_hands_back(start):
    running = start(person="may")
    running.wait_until_fast()

    def drives(who: str) -> bool:
        return running.driver() == who and running.state()["stage"] == "run"

    running.shared.request("take_over")
    running.wait(lambda: running.driver() == "person", "the person to take over")
    policy_left = running.log()[-1, 3]
    running.wait(lambda: drives("person"), "the person to be near")
    taken = len(running.log())
    running.wait(lambda: len(running.log()) > taken + 240, "two seconds")
    # This policy goes on where it was, whatever it sees: nearer than a first target may be.
    running.wait(lambda: abs(running.log()[-1, 3] - policy_left) < 0.3, "the arm to come by")
    running.shared.request("hand_back")
    running.wait(lambda: drives("policy"), "the policy to drive")
    running.wait_until_fast()  # a new chunk, from where the person left the arm
    running.shared.request("finish")
    outcome = running.outcome()
    assert outcome["faults"] == [] and outcome["stage"] == "off"
    assert_within_limits(running)
