"""Meta-World's tasks as Gymnasium environments, on our mujoco, seeded, with pictures as VLA papers take them.

    import gymnasium
    env = gymnasium.make("ideomotor.sim.environments.metaworld:ideomotor/MetaWorld-v0", task="reach-v3")

Protocol (SmolVLA, arXiv 2506.01844; LeRobot's lerobot/envs/metaworld.py): camera `corner2` moved to
(0.75, 0.075, 0.7) m, its picture turned by 180 degrees; state and action of four: the hand's position [m] and
the gripper's opening in [0, 1]; shares of a centimetre that the hand's goal moves by in a step, and the
gripper's effort; 80 steps a second. Goals and objects are drawn anew at every reset from the seed given
there: Meta-World's own `reset` ignores its seed, and its benchmarks freeze the draw.

metaworld 3.1.1 pins mujoco 3.3.0; `make metaworld` installs it beside ours. One thing breaks there and is
mended here: the weld that drags the hand has 12 numbers from mujoco 3.17 on, and metaworld writes 11.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np

from ideomotor.control.errors import unknown_name
from ideomotor.sim.projection import project
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.rendering.render import Renderer, backend, make_renderer

CAMERA = "corner2"
CAMERA_POSITION = (0.75, 0.075, 0.7)  # [m]
WELD = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 5.0)  # as metaworld writes it: pose, torque scale
PICTURES = ("fast", "reference")
STATE = 4  # the first entries of an observation: hand and gripper
STEP_HZ = 80
NO_END = 10**9  # [steps]


class MetaWorldEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """One task. Observations are {"agent_pos": (4,), "everything": (39,)}, `info["success"]` is 0 or 1.

    "everything" is Meta-World's own observation, with the goal in it, which only experts may look at.

    Args:
        task: name of the task, such as "reach-v3".
        pictures: "fast", without shadows, reflections and multisampling; or "reference", as gymnasium draws
            with MuJoCo's defaults, which is what published policies were trained with (at 480 pixels).
        size: height and width of the picture [pixels].
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": STEP_HZ}

    def __init__(self, task: str, pictures: str = "fast", size: int = 96):
        classes: dict[str, Any] = import_module("metaworld.env_dict").ALL_V3_ENVIRONMENTS
        if task not in classes:
            raise unknown_name("task", task, classes)
        if pictures not in PICTURES:
            raise unknown_name("pictures", pictures, PICTURES)
        backend()  # tells mujoco how to draw, before gymnasium asks it
        self.task, self.render_mode, self._size = task, "rgb_array", size
        kind = _repaired(classes[task])
        self.inner: Any = kind(render_mode="rgb_array", camera_name=CAMERA, width=size, height=size)
        # What `MT1(…).train_tasks` sets: the goal is part of the observation; and what it does not: every
        # reset draws from the seeded generator.
        self.inner._partially_observable = False
        del self.inner.sawyer_observation_space
        self.inner._set_task_called = True
        self.inner._freeze_rand_vec = False
        self.inner.seeded_rand_vec = True
        self.inner.max_path_length = NO_END  # when an episode ends is for who runs it
        model: mujoco.MjModel = self.inner.model
        model.cam_pos[model.camera(CAMERA).id] = CAMERA_POSITION
        self._renderer: Renderer | None = None
        if pictures == "fast":
            self._renderer = make_renderer(model, size, size)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
        whole = self.inner.observation_space
        self.observation_space = gymnasium.spaces.Dict(
            {
                "agent_pos": gymnasium.spaces.Box(-np.inf, np.inf, (STATE,), np.float64),
                "everything": gymnasium.spaces.Box(-np.inf, np.inf, whole.shape, np.float64),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self.inner.seed(int(self.np_random.integers(2**31)))
        seen, _ = self.inner.reset()
        # Goals and furniture have just been moved; pictures would show them where they were until a step.
        mujoco.mj_kinematics(self.inner.model, self.inner.data)
        return _observation(seen), {"success": 0.0}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        seen, reward, terminated, truncated, info = self.inner.step(np.asarray(action, dtype=np.float32))
        return _observation(seen), float(reward), terminated, truncated, info

    def render(self) -> np.ndarray:
        """(size, size, 3) uint8, upright."""
        if self._renderer is None:
            drawn = self.inner.render()
        else:
            drawn = self._renderer.render(self.inner.data, CAMERA)
        return np.ascontiguousarray(drawn[::-1, ::-1])  # the camera hangs upside down

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
        self.inner.close()


def expert(env: MetaWorldEnv) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Meta-World's scripted policy for the environment's task: (4,) in [-1, 1] from an observation."""
    policy: Any = import_module("metaworld.policies").ENV_POLICY_MAP[env.task]()

    def act(observation: dict[str, np.ndarray]) -> np.ndarray:
        with warnings.catch_warnings():  # "Constant(s) may be too high": it is clipped, as there
            warnings.simplefilter("ignore", UserWarning)
            return np.clip(policy.get_action(observation["everything"]), -1.0, 1.0)

    return act


def points(env: MetaWorldEnv) -> dict[str, tuple[float, float]]:
    """Where the picture shows the thing to handle ("target") and where it belongs ("place"): u, v in [0, 1].

    Of the simulator's truth, for those who teach an interpreter to point.
    """
    model, data = env.inner.model, env.inner.data
    spots = {"target": env.inner._get_pos_objects()[:3], "place": env.inner._target_pos}
    seen = {name: project(model, data, CAMERA, spot) for name, spot in spots.items()}
    return {name: (1.0 - u, 1.0 - v) for name, (u, v) in seen.items()}  # the camera hangs upside down


def _repaired(kind: type) -> type:
    """The class with a `reset_mocap_welds` that works whatever the number of entries of a weld."""

    def reset_mocap_welds(self: Any) -> None:
        model: mujoco.MjModel = self.model
        welds = model.eq_type == int(mujoco.mjtEq.mjEQ_WELD)
        model.eq_data[welds, : len(WELD)] = WELD

    return type(kind.__name__, (kind,), {"reset_mocap_welds": reset_mocap_welds})


def _observation(seen: np.ndarray) -> dict[str, np.ndarray]:
    return {"agent_pos": np.array(seen[:STATE]), "everything": np.array(seen)}


gymnasium.register(
    id="ideomotor/MetaWorld-v0", entry_point="ideomotor.sim.environments.metaworld:MetaWorldEnv"
)
