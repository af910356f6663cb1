"""ALOHA's two ViperX arms in simulation (Zhao et al., arXiv 2304.13705), stepped by our own loop; experts.

The models are those of gym-aloha 0.1.5, whose code pins a MuJoCo before 3.9 and is not used. Commands, where
things may lie, and success are as there: 14 joint targets fifty times a second, grippers from 0 (closed) to
1, and its reward of 4. Pictures are drawn when somebody looks.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from ideomotor.control.errors import unknown_name
from ideomotor.sim.projection import project
from ideomotor.sim.rendering.mujoco_gl import gave_up, mujoco
from ideomotor.sim.rendering.render import Renderer, make_renderer

TASKS = {"transfer_cube": "bimanual_viperx_transfer_cube.xml", "insertion": "bimanual_viperx_insertion.xml"}
QUALITIES = {"fast": "fast", "reference": "high"}
SIDES = ("left", "right")
CAMERAS = ("top", "left_wrist", "right_wrist")
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
START = (0.0, -0.96, 1.16, 0.0, -0.3, 0.0)  # [rad]
CLOSED, OPEN = 0.01844, 0.058  # of a finger [m], as 0 and 1
START_FINGER = 0.02239  # [m]
STEP_HZ, SUBSTEPS = 50, 10
HEIGHT = 0.05  # [m] that things are dropped from
# Where things may lie: x and y from, to [m].
BOX, PEG, SOCKET = ((0.0, 0.2), (0.4, 0.6)), ((0.1, 0.2), (0.4, 0.6)), ((-0.2, -0.1), (0.4, 0.6))
TOOL = 0.14  # [m] from the gripper's link to between its fingertips
MEETING, DOWN, SIDEWAYS = np.array([0.0, 0.5, 0.28]), 1.05, np.pi / 2  # [m]; a gripper's pitch and roll [rad]


class AlohaEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """One task. Observations are {"pixels": {camera: picture}, "agent_pos": (14,)}, drawn when they are read.

    Args:
        task: transfer_cube or insertion.
        pictures: fast, or reference: with shadows and multisampling, as published policies saw them.
        height, width: of the pictures.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": STEP_HZ}

    def __init__(
        self, task: str = "transfer_cube", pictures: str = "fast", height: int = 96, width: int = 96
    ) -> None:
        if task not in TASKS:
            raise unknown_name("task", task, TASKS)
        if pictures not in QUALITIES:
            raise unknown_name("pictures", pictures, QUALITIES)
        self.task, self.render_mode = task, "rgb_array"
        self._picture = (height, width, QUALITIES[pictures])
        self.model = _model(task)
        self.data = mujoco.MjData(self.model)
        self._renderer: Renderer | None = None
        lower, upper = self.model.actuator_ctrlrange[:6].T
        lower, upper = np.array([*lower, 0.0] * 2), np.array([*upper, 1.0] * 2)
        self.action_space = gymnasium.spaces.Box(lower.astype(np.float32), upper.astype(np.float32))
        picture = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "pixels": gymnasium.spaces.Dict(dict.fromkeys(CAMERAS, picture)),
                "agent_pos": gymnasium.spaces.Box(-np.inf, np.inf, (14,), np.float64),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:16] = [*START, START_FINGER, -START_FINGER] * 2
        self.data.ctrl[:] = self.data.qpos[:16]
        for body, places in self._things():
            joint = self.model.body_jntadr[self.model.body(body).id]
            start = self.model.jnt_qposadr[joint]
            place = [self.np_random.uniform(*places[0]), self.np_random.uniform(*places[1]), HEIGHT]
            self.data.qpos[start : start + 7] = [*place, 1.0, 0.0, 0.0, 0.0]
        mujoco.mj_forward(self.model, self.data)
        return self._seen(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        action = np.clip(action, self.action_space.low, self.action_space.high)  # type: ignore[attr-defined]
        for side in range(2):
            finger = CLOSED + float(action[7 * side + 6]) * (OPEN - CLOSED)
            self.data.ctrl[8 * side : 8 * side + 8] = [*action[7 * side : 7 * side + 6], finger, -finger]
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        info = self._info()
        return self._seen(), info["reward"], gave_up(self.data), False, info

    def render(self) -> np.ndarray:
        return self.draw(CAMERAS[0])

    def draw(self, camera: str) -> np.ndarray:
        """What a camera of the model sees."""
        if self._renderer is None:
            height, width, quality = self._picture
            self._renderer = make_renderer(self.model, height, width, quality)
        return self._renderer.render(self.data, camera)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()

    def touching(self) -> set[frozenset[str]]:
        """Pairs of names of the geoms that touch."""
        pairs = self.data.contact.geom[: self.data.ncon]
        return {frozenset(self.model.geom(int(geom)).name for geom in pair) for pair in pairs}

    def _info(self) -> dict[str, Any]:
        reward = float((_transfer if self.task == "transfer_cube" else _insertion)(self.touching()))
        return {"reward": reward, "is_success": reward == 4.0}

    def _seen(self) -> dict[str, Any]:
        arms = []
        for side in range(2):
            joints = self.data.qpos[8 * side : 8 * side + 7]
            arms += [*joints[:6], (joints[6] - CLOSED) / (OPEN - CLOSED)]
        return {"pixels": _Pictures(self), "agent_pos": np.array(arms)}

    def _things(self) -> tuple[tuple[str, Any], ...]:
        return (("box", BOX),) if self.task == "transfer_cube" else (("peg", PEG), ("socket", SOCKET))


class _Pictures(dict[str, np.ndarray]):
    """{camera: picture}, each drawn when it is read."""

    def __init__(self, env: AlohaEnv) -> None:
        super().__init__(dict.fromkeys(CAMERAS, np.empty(0)))
        self._env = env

    def __getitem__(self, camera: str) -> np.ndarray:
        return self._env.draw(camera)


def _transfer(touching: set[frozenset[str]]) -> int:
    """4: the left gripper has the box in the air, 3: touches it; 2 and 1 the same of the right one."""
    on_table = frozenset(("red_box", "table")) in touching
    left, right = (frozenset(("red_box", _finger(side))) in touching for side in SIDES)
    return 4 - on_table if left else 2 - on_table if right else 0


def _insertion(touching: set[frozenset[str]]) -> int:
    """4: the peg touches the pin in the socket; 1 to 3: both are held, lifted, and touch one another."""
    walls = [f"socket-{i}" for i in range(1, 5)]

    def touched(name: str, others: list[str]) -> bool:
        return any(frozenset((name, other)) in touching for other in others)

    if touched("red_peg", ["pin"]):
        return 4
    lifted = not touched("table", ["red_peg", *walls])
    if touched("red_peg", walls) and lifted:
        return 3
    both = touched("red_peg", [_finger("right")]) and touched(_finger("left"), walls)
    return both + (both and lifted)


def _finger(side: str) -> str:
    return f"vx300s_{side}/10_{side}_gripper_finger"


@functools.lru_cache(maxsize=len(TASKS))
def _model(task: str) -> mujoco.MjModel:
    """Read once in each process; nobody changes it."""
    found = importlib.util.find_spec("gym_aloha")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("no module named 'gym_aloha'", name="gym_aloha")
    return mujoco.MjModel.from_xml_path(str(Path(found.origin).parent / "assets" / TASKS[task]))


def expert(env: AlohaEnv) -> Callable[[Any], np.ndarray]:
    """A scripted expert for the environment's task: (14,) joint targets for its present state."""
    hands = _Hands(env)
    commands = (_transferring if env.task == "transfer_cube" else _inserting)(env, hands)

    def act(observation: Any) -> np.ndarray:
        del observation  # the truth is the environment's
        return next(commands, hands.command())

    return act


def points(env: AlohaEnv) -> dict[str, tuple[float, float]]:
    """Where the camera above sees the thing to handle and, of an insertion, where it belongs."""
    names = [body for body, _ in env._things()]
    spots = zip(("target", "place"), names, strict=False)
    return {name: project(env.model, env.data, CAMERAS[0], env.data.body(body).xpos) for name, body in spots}


class _Hands:
    """Both grippers as poses, and the joint targets that lead there."""

    def __init__(self, env: AlohaEnv) -> None:
        self._model, self._data = env.model, mujoco.MjData(env.model)
        self._data.qpos[:] = env.data.qpos
        mujoco.mj_kinematics(self._model, self._data)
        self.joints = [np.array(START), np.array(START)]
        # position (3,) [m], roll and pitch [rad], opening; in the order of SIDES
        self.poses = [np.array([*self._tool(side)[0], 0.0, -0.1, 0.1]) for side in range(2)]

    def command(self) -> np.ndarray:
        return np.concatenate([[*self.joints[side], self.poses[side][5]] for side in range(2)])

    def go(self, ticks: int, left: Any = None, right: Any = None) -> Iterator[np.ndarray]:
        """Commands that lead the grippers to poses, straight and from rest to rest; None: it stays."""
        begin = [pose.copy() for pose in self.poses]
        ends = [
            begin[side] if end is None else np.asarray(end, float) for side, end in enumerate((left, right))
        ]
        for tick in range(1, ticks + 1):
            share = tick / ticks
            share = share * share * (3 - 2 * share)
            for side in range(2):
                self.poses[side] = begin[side] + share * (ends[side] - begin[side])
                self._solve(side)
            yield self.command()

    def _tool(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Where it is between the fingertips, and the gripper's axes."""
        body = self._data.body(f"vx300s_{SIDES[side]}/gripper_link")
        axes = body.xmat.reshape(3, 3)
        return body.xpos + TOOL * axes[:, 0], axes

    def _solve(self, side: int) -> None:
        """Joint targets for a pose, by damped least squares from the last ones (Wampler 1986)."""
        model, data, span = self._model, self._data, slice(8 * side, 8 * side + 6)
        position, (roll, pitch) = self.poses[side][:3], self.poses[side][3:5]
        wanted = _turned(2, side * np.pi) @ _turned(1, pitch) @ _turned(0, roll)
        linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        link = model.body(f"vx300s_{SIDES[side]}/gripper_link").id
        for _ in range(8):
            data.qpos[span] = self.joints[side]
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            at, axes = self._tool(side)
            away = 0.5 * sum(np.cross(axes[:, i], wanted[:, i]) for i in range(3))
            error = np.concatenate([position - at, 0.3 * away])
            mujoco.mj_jac(model, data, linear, angular, at, link)
            jacobian = np.concatenate([linear[:, span], 0.3 * angular[:, span]])
            step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-5 * np.eye(6), error)
            low, high = model.actuator_ctrlrange[span].T
            self.joints[side] = np.clip(self.joints[side] + step, low, high)


def _turned(axis: int, angle: float) -> np.ndarray:
    """A rotation about x, y or z."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turned, (i, j) = np.eye(3), [(1, 2), (2, 0), (0, 1)][axis]
    turned[i, i], turned[j, j], turned[i, j], turned[j, i] = cosine, cosine, -sine, sine
    return turned


def _transferring(env: AlohaEnv, hands: _Hands) -> Iterator[np.ndarray]:
    """The right gripper lifts the box to where the left one, turned on its side, takes it."""
    box = env.data.body("box").xpos * [1, 1, 0] + [0, 0, 0.02]
    waiting = [*(MEETING - [0.14, 0, 0]), SIDEWAYS, 0.0, 1.0]
    yield from hands.go(60, waiting, [*(box + [0, 0, 0.12]), 0.0, DOWN, 1.0])
    grip = [*env.data.body("box").xpos, 0.0, DOWN]
    yield from hands.go(35, None, [*grip, 1.0])
    yield from hands.go(20, None, [*grip, 0.0])
    yield from hands.go(70, None, [*MEETING, 0.0, DOWN, 0.0])
    away = np.array(env.data.body("box").xpos) - MEETING
    yield from hands.go(50, [*(MEETING + away - [0.01, 0, 0]), SIDEWAYS, 0.0, 1.0])
    yield from hands.go(25, [*hands.poses[0][:5], 0.0])
    yield from hands.go(15, None, [*hands.poses[1][:5], 1.0])
    yield from hands.go(40, None, [*(hands.poses[1][:3] + [0.08, 0, 0.1]), 0.0, DOWN, 1.0])


def _inserting(env: AlohaEnv, hands: _Hands) -> Iterator[np.ndarray]:
    """Both are lifted, brought into one line by where they really are, and pushed together."""
    bodies = [env.data.body(name) for name in ("socket", "peg")]
    outward = np.array(
        [-0.02, 0.0, 0.0]
    )  # of the left one; grips the outer halves, so that the hands are apart

    def over(side: int, above: float, opening: float) -> list[float]:
        place = bodies[side].xpos + outward * (1 - 2 * side)
        return [*(place * [1, 1, 0] + [0, 0, 0.012 + above]), 0.0, DOWN, opening]

    yield from hands.go(60, over(0, 0.12, 1.0), over(1, 0.12, 1.0))
    yield from hands.go(35, over(0, 0.0, 1.0), over(1, 0.0, 1.0))
    yield from hands.go(20, over(0, 0.0, 0.0), over(1, 0.0, 0.0))
    apart = [np.array([-0.12, 0, 0]), np.array([0.12, 0, 0])]
    for ticks, gap in ((80, 1.0), (25, 0.9), (25, 0.8), (40, 0.42), (30, 0.35)):
        ends = []
        for side in range(2):
            held = hands.poses[side][:3] - bodies[side].xpos
            ends.append([*(MEETING + gap * apart[side] + held), 0.0, DOWN, 0.0])
        yield from hands.go(ticks, *ends)


gymnasium.register(id="ideomotor/Aloha-v0", entry_point="ideomotor.sim.environments.aloha:AlohaEnv")
