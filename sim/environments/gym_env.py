"""The tasks as Gymnasium environments, for users who bring their own training loop.

An action is the joint targets of one 120 Hz tick, each joint's range mapped to [-1, 1] as learning
libraries expect; it goes through the same safety filter as a policy's commands.
An observation has both cameras, the joint positions and the instruction. The reward is 1 at success.

`reset(options={"instruction": …})` takes any words. What `reset` returns beside the observation says whether
success is judged by them ("judged", "goal", "not_judged_because", "possible_goals"); where it is not, there
is never a reward and "success" is None.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.safety.filter import SafetyFilter
from ideomotor.control.types import Command
from ideomotor.sim.open_world import task_world
from ideomotor.sim.world import World

INSTRUCTION_LENGTH = 400  # characters at the most
CHARACTERS = "".join(map(chr, (*range(0x20, 0x7F), *range(0xC0, 0x100)))) + "’‘“”–—…"


class TaskEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """One task; every reset draws a new episode from the environment's seeded generator.

    Args:
        task: name of the task.
        level: of randomisation: none, light or full.
        split: of phrasings: train or heldout.
        render_mode: "rgb_array" renders the front camera at 480 x 480 in high quality.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 120}

    def __init__(self, task: str, level: str = "light", split: str = "train", render_mode: str | None = None):
        self.task, self.level, self.split, self.render_mode = task, level, split, render_mode
        self.embodiment = load_embodiment("so101")
        robot = self.embodiment
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(robot.joints),), np.float32)
        cameras: dict[str, gymnasium.Space[Any]] = {
            camera.name: gymnasium.spaces.Box(0, 255, (camera.height, camera.width, 3), np.uint8)
            for camera in robot.cameras
        }
        margin = 0.2  # a joint may be pushed a little past its range [rad]
        self.observation_space = gymnasium.spaces.Dict(
            {
                "images": gymnasium.spaces.Dict(cameras),
                "state": gymnasium.spaces.Box(
                    (robot.lower - margin).astype(np.float32), (robot.upper + margin).astype(np.float32)
                ),
                "instruction": gymnasium.spaces.Text(INSTRUCTION_LENGTH, charset=CHARACTERS),
            }
        )
        self._filter = SafetyFilter(robot)
        self.world: World | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        instruction = _instruction(options)
        super().reset(seed=seed)
        self.close()
        episode = int(self.np_random.integers(2**31))
        self.world = task_world(
            self.task, episode, self.level, split=self.split, embodiment=self.embodiment,
            instruction=instruction,
        )  # fmt: skip
        self._filter.reset(self.world.state().position)
        info = {"seed": episode, "success": self.world.success, **self.world.judging.to_json()}
        return self._observe(self.world), info

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        world = self.world
        if world is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        robot = self.embodiment
        share = (np.asarray(action, dtype=np.float64) + 1.0) / 2.0
        target = robot.lower + share * (robot.upper - robot.lower)
        position, reasons = self._filter.filter(world.tick, target)
        world.step(Command(world.tick, position))
        info = {"success": world.success, "progress": world.progress(), "interventions": reasons}
        truncated = not world.success and world.tick >= world.max_ticks
        return self._observe(world), float(bool(world.success)), bool(world.success), truncated, info

    def render(self) -> np.ndarray | None:
        if self.render_mode != "rgb_array" or self.world is None:
            return None
        return self.world.render("front", 480, 480)

    def close(self) -> None:
        if self.world is not None:
            self.world.close()
            self.world = None

    def _observe(self, world: World) -> dict[str, Any]:
        observation = world.observe()
        return {
            "images": dict(observation.images),
            "state": observation.state,
            "instruction": observation.instruction,
        }


def _instruction(options: dict[str, Any] | None) -> str | None:
    """The instruction among reset's options. UserError if the observation space has no room for it."""
    instruction = (options or {}).get("instruction")
    if instruction is None:
        return None
    if not isinstance(instruction, str):
        raise UserError(f"options.instruction: got {type(instruction).__name__}, expected a string")
    strange = sorted({character for character in instruction if character not in CHARACTERS})
    if strange:
        raise UserError(f"options.instruction: got {strange[0]!r}, expected Latin letters and punctuation")
    if (length := len(instruction)) > INSTRUCTION_LENGTH:
        raise UserError(f"options.instruction: {length} characters, expected at most {INSTRUCTION_LENGTH}")
    return instruction
