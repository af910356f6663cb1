"""What is launched: an arm of servos on a port with its cameras, or the twin of one.

Both look the same to whoever launches; only here it matters which it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ideomotor.control.calibration import (
    Calibration,
    calibration_files,
    default_calibration,
    load_calibration,
    save_calibration,
)
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.pair import join_ports, split_ports
from ideomotor.control.runtime.realtime import PRIORITY
from ideomotor.control.runtime.shared_state import SharedState
from ideomotor.control.runtime.supervisor import Job
from ideomotor.launch.runtime.attempts import Table
from ideomotor.launch.runtime.cameras.cameras import (
    CameraMode,
    look_through,
    opencv_cameras_process,
    parse_sources,
)

if TYPE_CHECKING:
    from ideomotor.sim.instructions.judging import Judging
    from ideomotor.sim.sim_state_channel import SceneSpec
    from ideomotor.sim.twin.pair import PairTwin
    from ideomotor.sim.twin.process import Twin

TWIN_PRIORITY = PRIORITY + 1  # an arm answers whatever else the computer does


@dataclass(frozen=True)
class Rig:
    """An arm, real or simulated, that can be launched."""

    port: str
    calibration: Calibration
    calibration_file: str  # where it is kept; of a pair, both
    instruction: str
    sources: dict[str, str]  # {camera: what it is}
    modes: dict[str, CameraMode]  # {camera: what it gives}, of those that are not drawn
    cameras: Callable[[SharedState], Job] | None  # None: there are none
    inject: Callable[[str], None] | None = None  # makes a fault happen, see sim/twin/faults.py
    table: Table | None = None  # with the task's things, where they are simulated
    twin: Twin | PairTwin | None = None  # the process of an arm that is simulated
    judging: Judging | None = None  # what success is judged by, if it is; None where nobody judges


def real_arm(
    embodiment: Embodiment, port: str | None, arm: str, instruction: str | None, cameras: Sequence[str]
) -> Rig:
    """An arm that is there.

    Raises:
        UserError: no port, instruction, calibration or camera.
    """
    if port is None and embodiment.driver is None:
        raise UserError(f"port: missing, expected {_ports_of(embodiment)}, or --twin")
    if embodiment.arms and port is not None:
        port = join_ports(split_ports(port))
    sources, modes = _opened(embodiment, cameras)
    own = embodiment.driver is None
    files = map(str, calibration_files(embodiment, arm)) if own else ["its driver's own"]
    return Rig(
        port=port or "",
        calibration=load_calibration(embodiment, arm) if own else Calibration(embodiment.name, arm, "", ()),
        calibration_file=" and ".join(files),
        instruction=_instruction(instruction),
        sources={name: str(mode) for name, mode in modes.items()},
        modes=modes,
        cameras=lambda shared: _opencv(shared, embodiment, sources),
    )


@contextlib.contextmanager
def simulated_arm(
    embodiment: Embodiment,
    robot: str,
    task: str,
    seed: int,
    instruction: str | None,
    cameras: Sequence[str],
    level: str = "light",
    rearrange: bool = False,
) -> Generator[Rig]:
    """The twin, with a calibration of its own, in the world of a task if there are worlds for the robot.

    Args:
        robot: name of the embodiment, or path of its file.
        cameras: where given, they are used instead of those that see the twin's world.
        level: of the scene's randomisation.
        rearrange: things come to other spots before each further attempt or episode.

    Raises:
        UserError: there is no such task, the instruction is empty, or the robot has no world and no cameras.
    """
    from ideomotor.sim.long_horizon import all_tasks
    from ideomotor.sim.sim_state_channel import SceneSpec, scene_file, succeeded
    from ideomotor.sim.twin.process import Twin

    if embodiment.arms:
        with _simulated_pair(embodiment, instruction, cameras) as rig:
            yield rig
        return
    scene = SceneSpec(task, seed, level, instruction, robot) if has_world(embodiment) else None
    sources, modes = _opened(embodiment, cameras) if cameras or scene is None else ({}, {})
    found = {name: str(mode) for name, mode in modes.items()}
    with (
        Twin(robot, scene=scene, priority=TWIN_PRIORITY) as twin,
        tempfile.TemporaryDirectory(prefix="ideomotor-launch-") as folder,
    ):
        calibration = dataclasses.replace(default_calibration(embodiment), arm="twin", made_at="for the twin")
        path = save_calibration(calibration, Path(folder) / "twin.yaml")
        drawn = scene if not sources else None
        if drawn is not None:
            found = {camera.name: f"the twin's world, {task}, seed {seed}" for camera in embodiment.cameras}
        yield Rig(
            port=twin.port,
            calibration=load_calibration(embodiment, "twin", path),
            calibration_file=str(path),
            instruction=twin.instruction if scene is not None else _instruction(instruction),
            sources=found,
            modes=modes,
            cameras=lambda shared: (
                _drawn(shared, drawn, twin.scene) if drawn else _opencv(shared, embodiment, sources)
            ),
            inject=twin.inject,
            table=Table(
                solved=functools.partial(succeeded, scene_file(twin.scene)),
                judged=twin.judging is not None and twin.judging.judged,
                tidy=twin.tidy,
                max_seconds=all_tasks()[task].max_seconds,
                rearrange=rearrange,
            )
            if scene
            else None,
            twin=twin,
            judging=twin.judging,
        )


def has_world(embodiment: Embodiment) -> bool:
    """Whether the robot's twin is in the world of a task, which its cameras see."""
    return embodiment.name == "so101"


@contextlib.contextmanager
def _simulated_pair(
    embodiment: Embodiment, instruction: str | None, cameras: Sequence[str]
) -> Generator[Rig]:
    """The twins of both arms, mounted as their files say; there is no world to see."""
    from ideomotor.sim.twin.pair import PairTwin

    sources, modes = _opened(embodiment, cameras)
    made = dataclasses.replace(default_calibration(embodiment), arm="twin", made_at="for the twin")
    arms = {arm.name: arm.robot for arm in embodiment.arms}
    with PairTwin(arms, hand="still", priority=TWIN_PRIORITY) as twin:  # held until their motors are on
        yield Rig(
            port=twin.port,
            calibration=made,
            calibration_file="none: the twins are mounted as their files say",
            instruction=_instruction(instruction),
            sources={name: str(mode) for name, mode in modes.items()},
            modes=modes,
            cameras=(lambda shared: _opencv(shared, embodiment, sources)) if sources else None,
            inject=twin.inject,
            twin=twin,
        )


def _ports_of(embodiment: Embodiment) -> str:
    if embodiment.arms:
        return "a device for each arm, e.g. --port left=/dev/ttyACM0 right=/dev/ttyACM1"
    return "the servo adapter's device, e.g. --port /dev/ttyACM0"


def _opened(
    embodiment: Embodiment, cameras: Sequence[str]
) -> tuple[dict[str, int | str], dict[str, CameraMode]]:
    sources = parse_sources(tuple(cameras), embodiment)
    return sources, look_through(sources, embodiment)


def _opencv(shared: SharedState, embodiment: Embodiment, sources: dict[str, int | str]) -> Job:
    return Job("cameras", opencv_cameras_process, (shared.spec, embodiment, sources))


def _drawn(shared: SharedState, scene: SceneSpec, path: Path) -> Job:
    from ideomotor.sim.wallclock import twin_cameras_process

    return Job("cameras", twin_cameras_process, (shared.spec, scene, path))


def _instruction(instruction: str | None) -> str:
    if not instruction or not instruction.strip():
        raise UserError(
            "instruction: missing, expected what the robot is to do, e.g. --instruction 'lift the red cube'"
        )
    return instruction
