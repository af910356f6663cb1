"""The hand that drives by a leader's twin, in lockstep with the world of the follower: it solves the task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.teleop.mirror import mirror
from ideomotor.control.types import Command
from ideomotor.sim.sim_state_channel import SceneSpec, SceneWriter, scene_file
from ideomotor.sim.twin.guiding_hand import PUSH_RAD, GuidingHand
from ideomotor.sim.world import World

ROBOT, LEADER = load_embodiment("so101"), load_embodiment("so101_leader")
LATE = 3  # ticks from the hand to the follower


class Teleoperation:
    """The follower's world, the hand that sees it, and an arm that follows `LATE` ticks later."""

    def __init__(self, folder: Path, task: str, seed: int) -> None:
        scene = SceneSpec(task, seed)
        self.world: World = scene.world()
        path = folder / f"{task}-{seed}"
        self._writer = SceneWriter(self.world, scene_file(path, create=True))
        self.hand = GuidingHand(LEADER, scene, path, 0.0)
        self._how, self._tick = mirror(LEADER, ROBOT), 0
        self.led: list[np.ndarray] = []  # (A,) the follower's joints where the leader is, of each tick

    def run(self, ticks: int) -> None:
        """So many ticks, or until the task is solved."""
        for _ in range(ticks):
            self._tick += 1
            self.led.append(self._how.follower(self.hand.position(self._tick / ROBOT.control_hz)))
            self.world.step(Command(self._tick, self.led[max(len(self.led) - 1 - LATE, 0)]))
            self._writer.show()
            if self.world.success:
                return


@pytest.mark.parametrize(("task", "seed"), [("lift", 1), ("place", 2), ("press", 3)])
def test_the_hand_solves_the_task_by_looking_at_the_table(tmp_path: Path, task: str, seed: int) -> None:
    teleoperation = Teleoperation(tmp_path, task, seed)
    stood = teleoperation.hand.position(0.0)
    teleoperation.run(10)
    np.testing.assert_allclose(teleoperation.hand.position(10 / ROBOT.control_hz), stood)  # waits to be asked
    teleoperation.hand.move("solve")
    teleoperation.run(teleoperation.world.max_ticks)
    assert teleoperation.world.success
    steps = np.abs(np.diff(teleoperation.led, axis=0)) * ROBOT.control_hz
    assert (steps <= ROBOT.max_velocity * 1.01).all()


def test_what_the_hand_does_follows_from_the_seed(tmp_path: Path) -> None:
    runs = []
    for name in "ab":
        (tmp_path / name).mkdir()
        runs.append(Teleoperation(tmp_path / name, "lift", 5))
        runs[-1].hand.move("solve")
        runs[-1].run(240)
    np.testing.assert_array_equal(runs[0].led, runs[1].led)


def test_a_hand_that_helps_comes_to_the_followers_pose_first(tmp_path: Path) -> None:
    teleoperation = Teleoperation(tmp_path, "lift", 1)
    world, joints = teleoperation.world, len(ROBOT.joints)
    away = world.data.qpos[:joints] + [0.5, 0.3, 0.0, -0.3, 0.2, 0.0]  # where a policy has brought the arm
    for tick in range(240):
        world.step(Command(tick, away))
    teleoperation._writer.show()
    teleoperation.hand.move("solve")
    teleoperation.led = [away] * LATE  # which waits for the leader
    nearest = np.inf
    for tick in range(1, 240):
        pose = teleoperation._how.follower(teleoperation.hand.position(tick / ROBOT.control_hz))
        nearest = min(nearest, np.abs(pose - away)[:5].max())
    assert nearest < 0.1


def test_a_hand_goes_home_and_pushes_aside_and_knows_nothing_else(tmp_path: Path) -> None:
    teleoperation = Teleoperation(tmp_path, "lift", 1)
    teleoperation.hand.move("push")
    teleoperation.run(200)
    assert abs(teleoperation.led[-1][0] - teleoperation.led[0][0]) == pytest.approx(PUSH_RAD)
    teleoperation.hand.move("home")
    teleoperation.run(300)
    np.testing.assert_allclose(teleoperation.led[-1], ROBOT.home_position, atol=1e-9)
    with pytest.raises(UserError, match=r"guide: unknown name 'solv'; did you mean 'solve'"):
        teleoperation.hand.move("solv")
