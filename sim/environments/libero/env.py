"""LIBERO's tasks as Gymnasium environments, on our mujoco, seeded, with pictures as VLA papers take them.

    import gymnasium
    env = gymnasium.make("ideomotor.sim.environments.libero.env:ideomotor/Libero-v0", task="spatial-0")

Scenes, initial states and goals are LIBERO's (`make libero` installs them); the arm is moved by robosuite's
controller as `controller.py` has it, without robosuite. Protocol and differences: docs/libero.md.
"""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np

from ideomotor.sim.environments.libero.controller import Controller
from ideomotor.sim.environments.libero.goals import Goal
from ideomotor.sim.environments.libero.perturb import perturb
from ideomotor.sim.environments.libero.scene import load_model, load_scene
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.rendering.render import Renderer, backend, make_renderer

CAMERAS = {"image": "agentview", "image2": "robot0_eye_in_hand"}  # LeRobot's names: LIBERO's
STEP_HZ = 20
WARM_UP = 10  # steps at the beginning, in which what floats a little falls
WAIT = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
HELD_OUT_SEEDS = 1_000_000  # seeds from here on are of evaluation


class LiberoEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """One task. `info["success"]` is whether the goal is reached.

    Observations are {"state": (8,), "everything": (Q,)}: the latter is where all things are, which only
    experts may look at.

    The state is the grip site's position [m], the hand's orientation as a rotation vector [rad] and the
    places of both fingers [m], as LeRobot and OpenVLA give it.

    A seed from 1,000,000 on starts at the published initial state of that number modulo 50; a smaller one at
    a draw of LIBERO's own samplers, of which there are 256.

    Args:
        task: SUITE-NUMBER, such as "spatial-0" or "90-17", numbered as LIBERO does.
        pictures: "reference", as robosuite draws them; or "fast": without shadows, reflections and
            multisampling, with fewer triangles and smaller textures.
        size: height and width of the pictures [pixels].
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": STEP_HZ}

    def __init__(self, task: str, pictures: str = "fast", size: int = 96):
        backend()  # tells mujoco how to draw, before anybody asks it
        self.task, self.render_mode, self._pictures, self._size = task, "rgb_array", pictures, size
        self.scene = load_scene(task)
        self.model = copy.copy(load_model(task, pictures))
        self.data = mujoco.MjData(self.model)
        self.goal = Goal(self.scene.facts, self.model, self.data)
        self.controller = Controller(self.scene.facts["robot"], self.model, self.data)
        self._renderer: Renderer | None = None
        self._burners = {
            name: self.model.site(thing["burner"]).id
            for name, thing in self.scene.facts["things"].items()
            if thing["burner"]
        }
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (7,), np.float32)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "state": gymnasium.spaces.Box(-np.inf, np.inf, (8,), np.float64),
                "everything": gymnasium.spaces.Box(-np.inf, np.inf, (self.model.nq,), np.float64),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode; without a seed, at a draw of the environment's own generator.

        `options={"axis": NAME, "strength": N}` changes one thing (`perturb.py`): once for an environment, so
        that an episode that differs needs one of its own. Its instruction is in what comes beside the
        observation.
        """
        super().reset(seed=seed)
        starts = self.scene.starts
        number = int(self.np_random.integers(len(starts["drawn"]))) if seed is None else seed
        held_out = number >= HELD_OUT_SEEDS
        states = starts["given" if held_out else "drawn"]
        number -= HELD_OUT_SEEDS if held_out else 0
        state = states[number % len(states)]
        mujoco.mj_resetData(self.model, self.data)
        self._place_fixtures(number % len(starts["fixtures_pos"]))
        self.data.qpos[:], self.data.qvel[:] = np.split(state[1:], [self.model.nq])
        self.controller.start()
        for _ in range(WARM_UP):
            self.controller.step(WAIT)
        words = self.scene.facts["language"]
        if options and options.get("strength"):
            words = perturb(self, options["axis"], options["strength"], 0 if seed is None else seed)
            for _ in range(WARM_UP if options["axis"] == "placement" else 0):
                self.controller.step(WAIT)
            mujoco.mj_camlight(self.model, self.data)
        self._glow()
        return self._observation(), {"success": False, "instruction": words}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self.controller.step(np.asarray(action, dtype=np.float64))
        self._glow()
        success = self.goal.reached()
        return self._observation(), float(success), False, False, {"success": success}

    def render(self, camera: str = "image") -> np.ndarray:
        """(size, size, 3) uint8 of "image" (agentview) or "image2" (wrist), as LeRobot's data has them.

        That is LIBERO's own picture, which is upside down, turned by 180 degrees: upright, and mirrored.
        """
        if self._renderer is None:
            self._renderer = _renderer(self.model, self._size, self._pictures)
        return np.ascontiguousarray(self._renderer.render(self.data, CAMERAS[camera])[:, ::-1])

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _observation(self) -> dict[str, np.ndarray]:
        robot = self.scene.facts["robot"]
        fingers = [float(self.data.joint(name).qpos[0]) for name in robot["fingers"]]
        turn = rotation_vector(self.data.body(robot["hand"]).xquat)
        state = np.concatenate([self.data.site(robot["grip_site"]).xpos, turn, fingers])
        return {"state": state, "everything": self.data.qpos.copy()}

    def _place_fixtures(self, draw: int) -> None:
        """Cabinets and stoves are no part of a state: they stand where LIBERO's sampler put them."""
        facts, starts = self.scene.facts, self.scene.starts
        for index, name in enumerate(facts["fixtures"]):
            body = self.model.body(facts["things"][name]["body"])
            body.pos = starts["fixtures_pos"][draw, index]
            body.quat = starts["fixtures_quat"][draw, index]

    def _glow(self) -> None:
        """The burner of a stove is seen while the stove is on."""
        for name, site in self._burners.items():
            on = self.goal.holds(["turnon", name])
            self.model.site_rgba[site, 3] = float(on)


def rotation_vector(quaternion: np.ndarray) -> np.ndarray:
    """(3,) [rad] of a quaternion wxyz: axis times angle, the angle in [0, 2 pi] as robosuite has it."""
    w = float(np.clip(quaternion[0], -1.0, 1.0))
    length = np.sqrt(1.0 - w * w)
    return np.zeros(3) if length < 1e-9 else quaternion[1:] * (2.0 * np.arccos(w) / length)


class ReferenceRenderer:
    """Draws as robosuite does: MuJoCo's defaults, with shadows, reflections and multisampling."""

    def __init__(self, model: mujoco.MjModel, size: int):
        self._renderer = mujoco.Renderer(model, size, size)

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        self._renderer.update_scene(data, camera)
        return self._renderer.render().copy()

    def close(self) -> None:
        self._renderer.close()


def _renderer(model: mujoco.MjModel, size: int, pictures: str) -> Renderer:
    if pictures == "reference" and backend() != "raycast":
        return ReferenceRenderer(model, size)
    return make_renderer(model, size, size)


gymnasium.register(id="ideomotor/Libero-v0", entry_point="ideomotor.sim.environments.libero.env:LiberoEnv")
