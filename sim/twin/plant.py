"""What the twin's servos move: the arm in MuJoCo, alone or in a task's world, or joints by themselves.

A plant knows joints, in SI units and joint order, not servos: `step` takes targets and which motors are on,
and gives position, velocity and effort. A joint whose motor is off is moved by gravity and friction alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.so101 import add_so101
from ideomotor.sim.world import World

STEP_S = 0.002  # [s] of simulated time in one step of an arm without a scene
FREE_DECAY = 8.0  # [1/s], friction of a joint by itself whose motor is off
STIFFNESS = 40.0  # [1/s], how fast a joint by itself closes in on its target


@dataclass(frozen=True)
class Motion:
    """All float64 (A,), in joint order."""

    position: np.ndarray  # [rad or m]
    velocity: np.ndarray
    effort: np.ndarray  # of the motors [N m or N]


class Plant(Protocol):
    """The mechanics of one arm."""

    @property
    def step_s(self) -> float: ...  # [s] of simulated time in one step

    def step(self, target: np.ndarray, on: np.ndarray, limit: np.ndarray, steps: int) -> Motion:
        """Moves on by `steps` times `step_s`; 0 only looks.

        Args:
            target: (A,) [rad or m].
            on: (A,) bool, whether the motor is on.
            limit: (A,) [N m or N], the highest effort of the motors.
        """
        ...

    def by_hand(self, position: np.ndarray) -> Motion:
        """Somebody takes the arm and puts it there, (A,) [rad or m]; end stops stop it, nothing else does."""
        ...


def make_plant(embodiment: Embodiment, world: World | None = None) -> Plant:
    """Returns the plant of a robot, at rest in its home pose, or that of the arm in a world."""
    if world is not None:
        return MujocoPlant(embodiment, world.model, world.data, world.advance)
    return _bare_so101(embodiment) if embodiment.name == "so101" else JointsPlant(embodiment)


class JointsPlant:
    """Each joint by itself: follows its target within its limits; no gravity."""

    step_s = STEP_S

    def __init__(self, embodiment: Embodiment) -> None:
        self._embodiment = embodiment
        self._position = np.array(embodiment.home_position)
        self._velocity = np.zeros_like(self._position)

    def step(self, target: np.ndarray, on: np.ndarray, limit: np.ndarray, steps: int) -> Motion:
        robot, effort = self._embodiment, np.zeros_like(target)
        for _ in range(steps):
            driven = np.clip(STIFFNESS * (target - self._position), -robot.max_velocity, robot.max_velocity)
            wanted = np.where(on, driven, self._velocity * (1 - FREE_DECAY * STEP_S))
            change = 4 * robot.max_acceleration * STEP_S
            accelerated = np.clip(wanted - self._velocity, -change, change)
            self._velocity = self._velocity + accelerated
            self._position = self._position + STEP_S * self._velocity
            effort = limit * np.clip(accelerated / change, -1, 1) * on
        return Motion(self._position.copy(), self._velocity.copy(), effort)

    def by_hand(self, position: np.ndarray) -> Motion:
        self._position = np.clip(position, *stops_of(self._embodiment))
        self._velocity = np.zeros_like(self._position)
        return Motion(self._position.copy(), self._velocity.copy(), np.zeros_like(self._position))


class MujocoPlant:
    """An arm in MuJoCo, whose actuators are its joints' servos: it sinks when they are switched off."""

    def __init__(
        self,
        embodiment: Embodiment,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        advance: Callable[[int], None],
    ) -> None:
        """Args:
        embodiment: the arm's.
        model: with a position actuator for each joint, and no others.
        data: where the arm is.
        advance: moves `data` on by so many steps of the model.
        """
        self.step_s = float(model.opt.timestep)
        self._model, self._data, self._advance = model, data, advance
        self._stops = stops_of(embodiment)
        joints = [model.joint(name) for name in embodiment.joint_names]
        self._q = np.array([joint.qposadr[0] for joint in joints])
        self._v = np.array([joint.dofadr[0] for joint in joints])
        self._gain = model.actuator_gainprm.copy()
        self._bias = model.actuator_biasprm.copy()

    def step(self, target: np.ndarray, on: np.ndarray, limit: np.ndarray, steps: int) -> Motion:
        model, data = self._model, self._data
        model.actuator_gainprm[:] = self._gain * on[:, None]
        model.actuator_biasprm[:] = self._bias * on[:, None]
        model.actuator_forcerange[:] = np.stack([-limit, limit], axis=1)
        data.ctrl[:] = target
        self._advance(steps)
        return Motion(data.qpos[self._q].copy(), data.qvel[self._v].copy(), data.actuator_force * on)

    def by_hand(self, position: np.ndarray) -> Motion:
        data = self._data
        data.qpos[self._q] = np.clip(position, *self._stops)
        data.qvel[:] = 0.0
        mujoco.mj_forward(self._model, data)
        return Motion(data.qpos[self._q].copy(), np.zeros(len(position)), np.zeros(len(position)))


def stops_of(embodiment: Embodiment) -> np.ndarray:
    """(2, A) [rad or m], where a hand meets the stops of an average arm, beyond the ranges that are used."""
    ranges = list(zip(embodiment.lower, embodiment.upper, strict=True))
    if embodiment.bus is None:
        return np.array(ranges).T
    servos = embodiment.bus.servos
    return np.array([servo.stops(*ends) for servo, ends in zip(servos, ranges, strict=True)]).T


def _bare_so101(embodiment: Embodiment) -> MujocoPlant:
    """The SO-101 alone on a table."""
    spec = mujoco.MjSpec()
    spec.option.timestep = STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(1, 1, 0.01), contype=1, conaffinity=2
    )
    add_so101(spec, embodiment)
    model = spec.compile()
    data = mujoco.MjData(model)
    data.qpos[[model.joint(name).qposadr[0] for name in embodiment.joint_names]] = embodiment.home_position
    data.ctrl[:] = embodiment.home_position
    mujoco.mj_forward(model, data)
    return MujocoPlant(embodiment, model, data, lambda steps: mujoco.mj_step(model, data, steps))
