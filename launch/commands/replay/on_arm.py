"""A replay on an arm of servos, or on its twin: a session whose chunks are the recording's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ideomotor.control.robots.drivers import driver_of
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.supervisor import Job
from ideomotor.control.safety.way import way_to
from ideomotor.control.timing import usual_timing
from ideomotor.launch.commands.bring_up.servo_settings import settle
from ideomotor.launch.commands.replay.options import about, arrangement_of, scene_of
from ideomotor.launch.commands.session_options import begun_log, live_console, usual_folder
from ideomotor.launch.console import Output
from ideomotor.launch.runtime import session, session_figures
from ideomotor.launch.runtime.cameras.cameras import film_sizes
from ideomotor.launch.runtime.ending import end_session
from ideomotor.launch.runtime.preflight import measure_cameras, preflight, tables
from ideomotor.launch.runtime.replaying.replay_figures import PlayedSession, PlayedTicks
from ideomotor.launch.runtime.replaying.replay_process import ReplayProcessConfig, replay_process
from ideomotor.launch.runtime.rig import Rig, real_arm, simulated_arm

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.datasets.loading.trajectory import Trajectory
    from ideomotor.launch.commands.replay.options import ReplayOptions


def replay_on_arm(
    options: ReplayOptions, output: Output, embodiment: Embodiment, trajectory: Trajectory
) -> tuple[int, dict[str, Any]]:
    """Plays it; returns the exit code and the outcome, which has been written.

    Raises:
        UserError: refused, before any motor had torque.
    """
    embodiment = _with_cameras(embodiment, options.camera)
    what = f"episode {options.episode} of {options.data}"
    folder = options.log or usual_folder(embodiment.name, "replays")
    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(_rig(options, embodiment, trajectory))
        if whole.table and (arrangement := arrangement_of(options, trajectory)):
            whole.table.tidy(arrangement)
        rig = replace(whole, table=None)  # it is played once, and not begun again
        if not options.camera:
            rig = replace(rig, cameras=None, sources={}, modes={})
        arm = embodiment, rig.port, rig.calibration
        notes = settle(driver_of(embodiment), *arm, output, yes=options.yes, only_look=False)
        servos = driver_of(embodiment).inspect(*arm)
        shared = shared_state.create(embodiment, film_sizes(rig.modes, embodiment))
        stack.callback(shared.close)
        cameras = measure_cameras(shared, rig.cameras(shared), embodiment, rig.sources) if rig.cameras else []
        slow = session.slowed(embodiment, options.speed)
        found = preflight(slow, rig, servos, cameras, what, others=notes)
        output.text.print(tables(found))
        way = way_to(embodiment, np.array([servo.position for servo in servos]), trajectory.commands[0])
        seconds = len(way) / embodiment.control_hz / options.speed
        output.text.print(f"{seconds:.1f} s to the first command")
        log, report = begun_log(stack, shared, embodiment, folder, rig, found, options)
        output.text.print(f"log: {folder}", markup=False)
        played = ReplayProcessConfig(trajectory.commands, embodiment, f"replaying {what}", rig.instruction)
        config = session.SessionConfig(
            embodiment=embodiment,
            robot=options.robot,
            rig=rig,
            policy=None,
            timing=usual_timing(embodiment),
            handover="rtc",
            seed=0,
            max_ticks=None,
            speed=options.speed,
            countdown_s=options.countdown,
            dry_run=False,
            floor=False,
            chunk_jobs=(Job("decoder", replay_process, (shared.spec, played)),),
        )
        ticks = PlayedTicks()
        watch = _Watch(shared, ticks, whole.table.solved if whole.table and whole.table.judged else None)
        result = session.run_session(config, shared, log, live_console(), watch)
        watch.follow.take()
        outcome = session_figures.as_json(config, result)
        outcome |= about(options, embodiment, trajectory)
        outcome |= ticks.figures(trajectory, embodiment, options.speed)
        outcome |= {"success": watch.solved, "log": str(folder)}
        facts = _facts(options, trajectory, watch.solved)
        return end_session(output, config, result, log, outcome, report, facts), outcome


class _Watch:
    """A `Companion`: ends the session when all was played, and remembers whether the task was solved.

    Attributes:
        solved: it was; None where nobody judges.
    """

    def __init__(
        self, shared: shared_state.SharedState, ticks: PlayedTicks, is_solved: Callable[[], bool] | None
    ) -> None:
        self.follow, self.solved = PlayedSession(shared, ticks), None if is_solved is None else False
        self._shared, self._is_solved, self._over = shared, is_solved, False

    def begin(self, say: Callable[[str], None]) -> None:
        pass

    def key(self, name: str, now: float) -> bool:
        return False

    def rows(self) -> Mapping[str, str]:
        return {}

    def poll(self, now: float) -> None:
        self.follow.take()
        if self._is_solved and not self.solved:
            self.solved = self._is_solved()
        if self.follow.progress >= 1.0 and not self._over:
            self._over = True
            self._shared.request("finish", "the end of the recording")


def _with_cameras(embodiment: Embodiment, arguments: tuple[str, ...]) -> Embodiment:
    """The robot with the cameras that are given; all of its own if one of these it does not have."""
    given = {argument.partition("=")[0] for argument in arguments}
    cameras = tuple(camera for camera in embodiment.cameras if camera.name in given)
    return replace(embodiment, cameras=cameras) if len(cameras) == len(given) else embodiment


def _rig(
    options: ReplayOptions, embodiment: Embodiment, trajectory: Trajectory
) -> contextlib.AbstractContextManager[Rig]:
    instruction = trajectory.instruction
    if options.twin:
        task, seed, level = scene_of(options, trajectory)
        return simulated_arm(embodiment, options.robot, task, seed, instruction, options.camera, level=level)
    return contextlib.nullcontext(
        real_arm(embodiment, options.port, options.arm, instruction, options.camera)
    )


def _facts(options: ReplayOptions, trajectory: Trajectory, solved: bool | None) -> dict[str, Any]:
    """What the log's episode says of itself."""
    if not options.twin:
        return {}
    task, seed, _ = scene_of(options, trajectory)
    return {"task_name": task, "seed": seed} | ({} if solved is None else {"success": solved})
