"""What the twin's servos move: the arm in MuJoCo, or joints by themselves for robots without a model.

A plant knows joints, in SI units and joint order, not servos: `step` takes targets and which motors are on,
and gives position, velocity and effort. A joint whose motor is off is moved by gravity and friction alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.sim.so101 import add_so101

STEP_S = 0.002  # [s] of simulated time in one step
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

    def step(self, target: np.ndarray, on: np.ndarray, limit: np.ndarray, steps: int) -> Motion:
        """Moves on by `steps` times `STEP_S`.

        Args:
            target: (A,) [rad or m].
            on: (A,) bool, whether the motor is on.
            limit: (A,) [N m or N], the highest effort of the motors.
        """
        ...

    def by_hand(self, position: np.ndarray) -> Motion:
        """Somebody takes the arm and puts it there, (A,) [rad or m]; end stops are felt, nothing else."""
        ...


def make_plant(embodiment: Embodiment) -> Plant:
    """Returns the plant of a robot, at rest in its home pose."""
    return So101Plant(embodiment) if embodiment.name == "so101" else JointsPlant(embodiment)


class JointsPlant:
    """Each joint by itself: follows its target within its limits; no gravity."""

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
        self._position = np.clip(position, self._embodiment.lower, self._embodiment.upper)
        self._velocity = np.zeros_like(self._position)
        return Motion(self._position.copy(), self._velocity.copy(), np.zeros_like(self._position))


class So101Plant:
    """The SO-101 in MuJoCo on its table: it sinks when its motors are switched off."""

    def __init__(self, embodiment: Embodiment) -> None:
        spec = mujoco.MjSpec()
        spec.option.timestep = STEP_S
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.worldbody.add_geom(
            name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(1, 1, 0.01), contype=1, conaffinity=2
        )
        add_so101(spec, embodiment)
        self._model = spec.compile()
        self._lower, self._upper = embodiment.lower, embodiment.upper
        self._data = mujoco.MjData(self._model)
        joints = [self._model.joint(name) for name in embodiment.joint_names]
        self._q = np.array([joint.qposadr[0] for joint in joints])
        self._v = np.array([joint.dofadr[0] for joint in joints])
        self._gain = self._model.actuator_gainprm.copy()
        self._bias = self._model.actuator_biasprm.copy()
        self._data.qpos[self._q] = embodiment.home_position
        self._data.ctrl[:] = embodiment.home_position
        mujoco.mj_forward(self._model, self._data)

    def step(self, target: np.ndarray, on: np.ndarray, limit: np.ndarray, steps: int) -> Motion:
        model, data = self._model, self._data
        model.actuator_gainprm[:] = self._gain * on[:, None]
        model.actuator_biasprm[:] = self._bias * on[:, None]
        model.actuator_forcerange[:] = np.stack([-limit, limit], axis=1)
        data.ctrl[:] = target
        mujoco.mj_step(model, data, steps)
        return Motion(data.qpos[self._q].copy(), data.qvel[self._v].copy(), data.actuator_force * on)

    def by_hand(self, position: np.ndarray) -> Motion:
        data = self._data
        data.qpos[self._q] = np.clip(position, self._lower, self._upper)
        data.qvel[:] = 0.0
        mujoco.mj_forward(self._model, data)
        return Motion(data.qpos[self._q].copy(), np.zeros(len(position)), np.zeros(len(position)))
