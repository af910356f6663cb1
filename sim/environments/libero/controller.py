"""The operational space controller with which LIBERO moves the Panda: robosuite's OSC_POSE at its default
gains.

A command of seven in [-1, 1] comes 20 times a second: how far the grip site is to go from where it is (1: 5
cm an axis), how it is to turn about the world's axes (1: 0.5 rad), and whether the gripper closes (1) or
opens (-1). For the 25 steps of 2 ms until the next, torques lead the grip site to that goal (Khatib, "A
unified approach for motion and force control of robot manipulators: the operational space formulation",
1987), position and orientation decoupled, with the joints drawn to their home pose in the null space. Facts:
robosuite 1.4.0 (MIT), controllers/osc.py and config/osc_pose.json; tests/sim/test_libero.py compares the
motion with robosuite's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ideomotor.sim.rendering.mujoco_gl import mujoco

STEPS = 25  # of simulation in a step of control
REACH = np.array([0.05, 0.05, 0.05, 0.5, 0.5, 0.5])  # of a command of 1 [m, rad]
STIFFNESS, NULL_STIFFNESS = 150.0, 10.0
DAMPING, NULL_DAMPING = 2 * np.sqrt(STIFFNESS), 2 * np.sqrt(NULL_STIFFNESS)  # critical
GRIPPER_STEP = 0.01  # share of the gripper's way in a step of simulation


@dataclass(frozen=True)
class _Sensed:
    """The arm in one state."""

    position: np.ndarray  # (3,) of the grip site [m]
    rotation: np.ndarray  # (3, 3) of the grip site, to the world
    jacobian: np.ndarray  # (6, 7)
    mass: np.ndarray  # (7, 7)
    qpos: np.ndarray  # (7,) [rad]
    qvel: np.ndarray  # (7,) [rad/s]


class Controller:
    """Moves the arm of one simulation; `start` begins an episode."""

    def __init__(self, robot: dict[str, Any], model: mujoco.MjModel, data: mujoco.MjData):
        self._model, self._data = model, data
        joints = [model.joint(name) for name in robot["joints"]]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._dof = np.array([joint.dofadr[0] for joint in joints])
        self._actuators = np.array([model.actuator(name).id for name in robot["actuators"]])
        self._fingers = np.array([model.actuator(name).id for name in robot["finger_actuators"]])
        self._site = model.site(robot["grip_site"]).id
        self._home = np.array(robot["home"])
        self._torque_low, self._torque_high = np.array(robot["torque_limits"])
        ranges = model.actuator_ctrlrange[self._fingers]
        self._finger_middle, self._finger_half = ranges.mean(axis=1), np.ptp(ranges, axis=1) / 2
        self._jacobian = np.zeros((6, model.nv))
        self._mass = np.zeros((model.nv, model.nv))
        self._gripper = np.zeros(len(self._fingers))
        self._goal_position, self._goal_rotation = np.zeros(3), np.eye(3)
        self._stale = False  # whether `_sensed` is not of this state, and to be used all the same
        self._sensed = self._sense()

    def start(self) -> None:
        """Begins an episode in the present state.

        Until a command turns it, the goal's orientation is that of the home pose; and the first command of an
        episode is carried out as if the arm were still there, for a step of simulation. Both are robosuite's.
        """
        kept = self._data.qpos.copy()
        self._data.qpos[:] = self._model.qpos0
        self._data.qpos[self._qpos] = self._home
        mujoco.mj_forward(self._model, self._data)
        self._sensed = self._sense()
        self._goal_rotation = self._sensed.rotation
        self._stale = True
        self._data.qpos[:] = kept
        mujoco.mj_forward(self._model, self._data)
        self._gripper[:] = 0.0

    def step(self, command: np.ndarray) -> None:
        """Moves time on by 1/20 s. `command`: (7,), clipped to [-1, 1]."""
        for index in range(STEPS):
            mujoco.mj_step1(self._model, self._data)
            if not self._stale:
                self._sensed = self._sense()
            self._stale = False
            if index == 0:
                self._set_goal(np.clip(command[:6], -1.0, 1.0) * REACH)
            self._data.ctrl[self._actuators] = self._torques(self._sensed)
            self._gripper += np.array([-1.0, 1.0]) * GRIPPER_STEP * np.sign(command[6])
            np.clip(self._gripper, -1.0, 1.0, out=self._gripper)
            self._data.ctrl[self._fingers] = self._finger_middle + self._finger_half * self._gripper
            mujoco.mj_step2(self._model, self._data)

    def _set_goal(self, delta: np.ndarray) -> None:
        """From where the grip site is now. Without a turn, the goal's orientation stays what it was."""
        self._goal_position = self._sensed.position + delta[:3]
        if delta[3:].any():
            quaternion, turn = np.empty(4), np.empty(9)
            angle = float(np.linalg.norm(delta[3:]))
            mujoco.mju_axisAngle2Quat(quaternion, delta[3:] / angle, angle)
            mujoco.mju_quat2Mat(turn, quaternion)
            self._goal_rotation = turn.reshape(3, 3) @ self._sensed.rotation

    def _sense(self) -> _Sensed:
        data, dof = self._data, self._dof
        mujoco.mj_jacSite(self._model, data, self._jacobian[:3], self._jacobian[3:], self._site)
        mujoco.mj_fullM(self._model, data, self._mass)
        return _Sensed(
            data.site_xpos[self._site].copy(), data.site_xmat[self._site].reshape(3, 3).copy(),
            self._jacobian[:, dof], self._mass[np.ix_(dof, dof)], data.qpos[self._qpos], data.qvel[dof],
        )  # fmt: skip

    def _torques(self, seen: _Sensed) -> np.ndarray:
        """(7,) [N m] for the state that was sensed."""
        jacobian, mass = seen.jacobian, seen.mass
        velocity = jacobian @ seen.qvel
        ahead = self._goal_rotation @ seen.rotation.T
        turn = 0.5 * np.array(
            [ahead[2, 1] - ahead[1, 2], ahead[0, 2] - ahead[2, 0], ahead[1, 0] - ahead[0, 1]]
        )
        force = STIFFNESS * (self._goal_position - seen.position) - DAMPING * velocity[:3]
        torque = STIFFNESS * turn - DAMPING * velocity[3:]
        toward = np.linalg.solve(mass, jacobian.T)  # (7, 6)
        mobility = jacobian @ toward
        wrench = np.concatenate(
            [np.linalg.solve(mobility[:3, :3], force), np.linalg.solve(mobility[3:, 3:], torque)]
        )
        posture = mass @ (NULL_STIFFNESS * (self._home - seen.qpos) - NULL_DAMPING * seen.qvel)
        null = posture - jacobian.T @ np.linalg.solve(mobility, toward.T @ posture)  # in the null space
        torques = jacobian.T @ wrench + self._data.qfrc_bias[self._dof] + null
        return np.clip(torques, self._torque_low, self._torque_high)
