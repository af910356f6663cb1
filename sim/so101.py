"""The SO-101 arm as a MuJoCo model made of boxes, cylinders and capsules.

Lives in `sim` because it is physics; names, limits, links and cameras come from the embodiment file, so the
simulated arm and the real one can never disagree about them. Masses and actuator figures
are facts of the public robot description (TheRobotStudio SO-ARM100 repository and MuJoCo Menagerie,
Apache-2.0); the shapes are our own primitives, which render about ten times faster than the meshes.
Positions in m, quaternions wxyz, masses in kg, inertias in kg m².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.sim.rendering.mujoco_gl import mujoco


@dataclass(frozen=True)
class Inertia:
    """One link's."""

    mass: float
    centre: tuple[float, float, float]
    moments: tuple[float, float, float]  # about the centre, along the link's axes


INERTIAS = {
    "base": Inertia(0.147, (0.01372, -5e-05, 0.03348), (1.36e-04, 1.32e-04, 1.13e-04)),
    "shoulder": Inertia(0.100, (-0.03076, -2e-05, -0.02527), (8.38e-05, 8.10e-05, 2.40e-05)),
    "upper_arm": Inertia(0.103, (-0.08985, -0.00838, 0.01841), (1.51e-04, 1.42e-04, 3.72e-05)),
    "lower_arm": Inertia(0.104, (-0.09807, 0.00324, 0.01828), (1.60e-04, 1.45e-04, 2.83e-05)),
    "wrist": Inertia(0.079, (-0.0001, -0.03861, 0.02812), (3.68e-05, 2.74e-05, 1.89e-05)),
    "gripper": Inertia(0.087, (0.00021, 0.00024, -0.02519), (4.34e-05, 3.77e-05, 2.43e-05)),
    "camera_mount": Inertia(0.012, (-0.00093, 0.05016, -0.03544), (4.87e-06, 3.83e-06, 1.17e-06)),
    "moving_jaw": Inertia(0.012, (-0.00158, -0.03002, 0.01928), (6.64e-06, 5.29e-06, 1.87e-06)),
}

JOINT_DAMPING = 0.6  # [N m s/rad]
JOINT_ARMATURE = 0.028  # [kg m²]
JOINT_FRICTION = 0.052  # [N m]
SERVO_STIFFNESS = 998.22  # [N m/rad]
SERVO_DAMPING = 2.731  # [N m s/rad]

# Shapes: (body, type, position, half sizes or (radius, half length), quaternion, material).
BOX, CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
_IDENTITY = (1.0, 0.0, 0.0, 0.0)
_X90 = (0.70711, 0.70711, 0.0, 0.0)
_SHAPES = (
    ("base", BOX, (0.012, 0, 0.027), (0.042, 0.034, 0.027), _IDENTITY, "body"),
    ("shoulder", BOX, (-0.024, 0, -0.03), (0.026, 0.022, 0.024), _IDENTITY, "servo"),
    ("shoulder", CYLINDER, (-0.0304, 0.0, -0.0542), (0.016, 0.026), _X90, "body"),
    ("upper_arm", BOX, (-0.058, -0.008, 0.0185), (0.058, 0.013, 0.012), _IDENTITY, "body"),
    ("upper_arm", BOX, (-0.112, -0.022, 0.0185), (0.013, 0.024, 0.018), _IDENTITY, "servo"),
    ("lower_arm", BOX, (-0.062, 0.002, 0.0185), (0.058, 0.012, 0.012), _IDENTITY, "body"),
    ("lower_arm", BOX, (-0.128, 0.004, 0.0185), (0.018, 0.014, 0.017), _IDENTITY, "servo"),
    ("wrist", BOX, (0, -0.036, 0.0181), (0.016, 0.024, 0.014), _IDENTITY, "servo"),
    ("gripper", BOX, (0.006, 0.0, -0.018), (0.024, 0.017, 0.018), _IDENTITY, "body"),
    ("camera_mount", BOX, (0, 0.04, -0.03), (0.010, 0.02, 0.003), (0.924, -0.383, 0, 0), "body"),
    ("camera_mount", BOX, (0, 0.0575, -0.041), (0.012, 0.010, 0.004), (0.95966, -0.28116, 0, 0), "servo"),
)  # fmt: skip
# The fingers: flat pads that meet at the closed end of the gripper's range.
_FINGER_SHAPES = (
    ("gripper", BOX, (-0.004, 0.0, -0.066), (0.0035, 0.013, 0.036), _IDENTITY, "finger"),
    ("moving_jaw", BOX, (0.0, -0.040, 0.0188), (0.0035, 0.040, 0.013), _IDENTITY, "finger"),
)  # fmt: skip

_MATERIALS = {
    "body": (0.90, 0.90, 0.88, 1.0),
    "servo": (0.13, 0.13, 0.15, 1.0),
    "finger": (0.78, 0.78, 0.76, 1.0),
}


def add_so101(spec: mujoco.MjSpec, embodiment: Embodiment, gain: float = 1.0, grip: float = 1.0) -> None:
    """Adds the arm, its position actuators and its cameras to `spec`, its base at the world's origin.

    Args:
        spec: receives bodies, joints, actuators (in the embodiment's joint order) and cameras.
        embodiment: the SO-101's; ranges, torque limits and cameras are taken from it.
        gain: factor on the servos' stiffness and damping (randomisation).
        grip: factor on the friction of the fingers.
    """
    spec.compiler.degree = False
    for name, rgba in _MATERIALS.items():
        spec.add_material(name=f"arm_{name}", rgba=rgba, specular=0.2, shininess=0.3)
    joints = {joint.name: joint for joint in embodiment.joints}
    bodies = {"world": spec.worldbody}
    geometry = embodiment.geometry
    if geometry is None or {link.name for link in geometry.links} != set(INERTIAS):
        raise UserError(f"{embodiment.name}: geometry.links: expected those of so101: {', '.join(INERTIAS)}")
    for link in geometry.links:
        inertia = INERTIAS[link.name]
        body = bodies[link.parent].add_body(
            name=link.name,
            pos=link.position,
            quat=link.quaternion,
            mass=inertia.mass,
            ipos=inertia.centre,
            inertia=inertia.moments,
            explicitinertial=True,
        )
        bodies[link.name] = body
        if link.joint is not None:
            limits = joints[link.joint]
            joint = body.add_joint(
                name=link.joint,
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=link.axis,
                range=(limits.lower, limits.upper),
                armature=JOINT_ARMATURE,
                frictionloss=JOINT_FRICTION,
            )
            joint.damping = np.array([JOINT_DAMPING] + [0.0] * (np.size(joint.damping) - 1))
    for body, kind, position, size, quaternion, material in _SHAPES + _FINGER_SHAPES:
        finger = material == "finger"
        bodies[body].add_geom(
            name=f"{body}_finger" if finger else "",
            type=kind,
            pos=position,
            size=tuple(size) + (0.0,) * (3 - len(size)),
            quat=quaternion,
            material=f"arm_{material}",
            mass=0.0,
            # The arm touches the world (bit 1) but never itself: the safety filter looks after that.
            contype=2,
            conaffinity=1,
            condim=4 if finger else 3,
            friction=(1.6 * grip, 0.02, 0.0005) if finger else (0.6, 0.005, 0.0001),
            priority=1 if finger else 0,
        )
    bodies[geometry.tip_link].add_site(name="gripper", pos=geometry.tip_position, size=(0.003,) * 3, group=4)
    for limits in embodiment.joints:
        actuator = spec.add_actuator(
            name=limits.name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            target=limits.name,
            ctrlrange=(limits.lower, limits.upper),
            forcerange=(-limits.max_effort, limits.max_effort),
        )
        actuator.set_to_position(kp=SERVO_STIFFNESS * gain, kv=SERVO_DAMPING * gain)
    for camera in embodiment.cameras:
        bodies[camera.mount].add_camera(
            name=camera.name, pos=camera.position, quat=camera.quaternion, fovy=np.degrees(camera.fovy)
        )
