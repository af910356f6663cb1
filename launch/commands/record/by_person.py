"""`ideomotor record --leader …`: what a person does with an arm, or a scripted hand with its twin.

It is a teleoperation (launch/commands/teleop.py) with a recording process beside it. Everything is looked at
before any motor is on; the person drives through all of it, and episodes begin and end by keys
(launch/runtime/recording/episode_flow.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from ideomotor.control.chunk_handover import DEFAULT
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import as_interrupts
from ideomotor.datasets.outputs import check_output_folder
from ideomotor.launch.commands.session_options import (
    as_json,
    check,
    check_faults,
    comes_later,
    inject_at_once,
    live_console,
    ticks_of,
)
from ideomotor.launch.console import Output
from ideomotor.launch.runtime.ending import end_session

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.launch.commands.record.arguments import ByPersonOptions
    from ideomotor.launch.runtime.recording.episode_flow import EpisodePlan, Scene
    from ideomotor.launch.runtime.rig import Rig


CAMERA = "front=0"  # as an example


def record_by_person(options: ByPersonOptions) -> int:
    """The command; exit codes are those of `ideomotor launch`."""
    output = Output(options.json)
    _check(options)
    with as_interrupts():  # whatever would end it now, nothing has torque and all is cleaned up
        return _record(options, output)


def _record(options: ByPersonOptions, output: Output) -> int:
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.control.robots.drivers import driver_of
    from ideomotor.control.runtime import shared_state
    from ideomotor.launch.commands.bring_up.servo_settings import settle
    from ideomotor.launch.commands.record.camera_check import swapped_cameras
    from ideomotor.launch.runtime import session, session_figures
    from ideomotor.launch.runtime.cameras.cameras import film_sizes
    from ideomotor.launch.runtime.live_view import live_view
    from ideomotor.launch.runtime.preflight import measure_cameras, preflight, tables
    from ideomotor.launch.runtime.recording.episode_companion import EpisodeCompanion
    from ideomotor.launch.runtime.recording.episode_log import EpisodeLog
    from ideomotor.launch.runtime.recording.episode_recorder import rows_a_second
    from ideomotor.launch.runtime.recording.sound import Sound
    from ideomotor.launch.runtime.teleoperation.teleoperators import lead_by

    embodiment = _with_cameras(load_embodiment(options.robot), options.camera)
    _check_folder(options, embodiment)
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(_rig(options, embodiment))
        lead = lead_by(options.leader or embodiment.name, options.leader_arm, embodiment, rig)
        leading = stack.enter_context(lead)
        scene, rig = _scene(leading.rig), dataclasses.replace(leading.rig, table=None)
        leading.spoil(options.leader_fault)
        inject_at_once(rig, options.fault)
        arm = embodiment, rig.port, rig.calibration
        settle(driver_of(embodiment), *arm, output, yes=options.yes, only_look=False)
        servos = driver_of(embodiment).inspect(*arm)
        leading.check_near(embodiment, servos)
        shared = shared_state.create(embodiment, film_sizes(rig.modes, embodiment, whole=True))
        stack.callback(shared.close)
        if rig.cameras is None:
            raise UserError(f"camera: missing, expected one at least, e.g. --camera {CAMERA}")
        cameras = measure_cameras(shared, rig.cameras(shared), embodiment, rig.sources)
        notes = [*leading.warnings, *swapped_cameras(options.out, shared)]
        slowed = session.slowed(embodiment, options.speed)
        output.text.print(tables(preflight(slowed, rig, servos, cameras, "", "", notes, leading.about)))
        log = EpisodeLog(shared, embodiment, options.out, _rates(embodiment), options.resume)
        stack.callback(log.close)
        stack.enter_context(live_view(options.view, shared, embodiment, output.text.print))
        plan = _plan(options, leading.rig, scene, rows_a_second(embodiment))
        sound = Sound().say if options.sound else None
        companion = EpisodeCompanion(shared, embodiment, log, plan, sound)
        output.text.print(f"{log.episodes} episodes are in {options.out}", markup=False)
        config = session.SessionConfig(
            embodiment=embodiment,
            robot=options.robot,
            rig=rig,
            policy=None,
            timing=None,
            handover=DEFAULT,
            seed=options.seed,
            max_ticks=ticks_of(options, embodiment),
            speed=options.speed,
            countdown_s=options.countdown,
            dry_run=False,
            floor=options.floor,
            late_faults=tuple(filter(comes_later, options.fault)),
            teleoperator=leading.make,
            late_leader_faults=leading.late(options.leader_fault),
            on_keys=leading.on_keys,
        )
        result = session.run_session(config, shared, log, live_console(), companion)
        outcome = session_figures.as_json(config, result) | {
            "out": str(options.out),
            "leader": leading.about,
            "options": as_json(options),
            **log.summary(),
            **companion.as_json(),
        }
        code = end_session(output, config, result, log, outcome, {}, {})
        _tell(outcome, output)
        return code


def _plan(options: ByPersonOptions, rig: Rig, scene: Scene | None, fps: float) -> EpisodePlan:
    from ideomotor.launch.runtime.recording.episode_flow import EpisodePlan

    episode_s, reset_s = options.episode_seconds, options.reset_seconds
    facts: dict[str, Any] = {}
    if rig.table is not None:
        facts = {"task_name": options.task, "seed": options.seed}
    if scene is not None:
        assert rig.table is not None  # it is the scene's
        episode_s = rig.table.max_seconds if episode_s is None else episode_s
        reset_s = 0.0 if reset_s is None else reset_s
    else:
        _check_time("episode-seconds", episode_s)
        _check_time("reset-seconds", reset_s)
    return EpisodePlan(rig.instruction, options.episodes, fps, episode_s, reset_s, facts, scene)


def _scene(rig: Rig) -> Scene | None:
    """The simulated table with a hand that has the leader; None where a person is there."""
    from ideomotor.launch.runtime.recording.episode_flow import Scene

    table = rig.table
    if table is None or table.helper is None:
        return None
    if not table.judged:
        why = rig.judging.sentence() if rig.judging else "nobody judges it"
        raise UserError(f"instruction: the hand at the twin's table does what is judged; {why}")
    moves = {"solve": table.helper.solve, "home": table.helper.home}

    def tidy(number: int) -> dict[str, Any]:
        arrangement = number if table.rearrange else 0
        table.tidy(arrangement)
        return {"arrangement": arrangement}

    return Scene(table.solved, tidy, lambda move: moves[move]())


def _rig(options: ByPersonOptions, embodiment: Embodiment) -> contextlib.AbstractContextManager[Rig]:
    from ideomotor.launch.runtime.rig import real_arm, simulated_arm

    if options.twin:
        return simulated_arm(
            embodiment, options.robot, options.task, options.seed, options.instruction, options.camera,
            rearrange=options.rearrange,
        )  # fmt: skip
    arm = real_arm(embodiment, options.port, options.arm, options.instruction, options.camera)
    return contextlib.nullcontext(arm)


def _with_cameras(embodiment: Embodiment, arguments: tuple[str, ...]) -> Embodiment:
    """The robot with the cameras that are given, if any are."""
    given = {argument.partition("=")[0] for argument in arguments}
    cameras = tuple(camera for camera in embodiment.cameras if camera.name in given)
    known = given and len(cameras) == len(given)
    return dataclasses.replace(embodiment, cameras=cameras) if known else embodiment


def _rates(embodiment: Embodiment) -> dict[str, float]:
    """{camera: pictures a second that it is asked for}; what it gives less has not come."""
    return {camera.name: camera.capture.hz if camera.capture else camera.hz for camera in embodiment.cameras}


def _check_folder(options: ByPersonOptions, embodiment: Embodiment) -> None:
    """UserError, before anything is opened, for a folder that cannot take this recording."""
    from ideomotor.datasets.lerobot.layout import INFO
    from ideomotor.datasets.lerobot.metadata import check_embodiment, read_metadata

    if not (options.out / INFO).exists():
        return
    meta = read_metadata(options.out)
    check_embodiment(meta, embodiment)
    if not options.resume:
        raise UserError(
            f"out: {str(options.out)!r} has {len(meta.episodes)} episodes, expected --resume to add to them, "
            "or another folder"
        )


def _check(options: ByPersonOptions) -> None:
    check_output_folder("out", options.out)
    check(options)
    check_faults(options.leader_fault, options.robot)
    if options.leader is None and not options.twin:
        raise UserError(
            "leader: missing, expected what drives it, e.g. --leader so101_leader@/dev/ttyACM1, or --twin"
        )
    if not options.twin and not (options.instruction or "").strip():
        raise UserError(
            f"instruction: got {options.instruction or ''!r}, expected what is done in the episodes, e.g. "
            "--instruction 'lift the red cube'"
        )
    if options.rearrange and not options.twin:
        raise UserError("rearrange: a person puts real things elsewhere, expected --twin with it")
    if options.episodes < 1:
        raise UserError(f"episodes: got {options.episodes}, expected at least 1")
    for name, seconds in (
        ("episode-seconds", options.episode_seconds),
        ("reset-seconds", options.reset_seconds),
    ):
        if seconds is not None and not 0 <= seconds <= 3600:
            raise UserError(f"{name}: got {seconds}, expected 0 to 3600")
        if not options.twin:
            _check_time(name, seconds)
    if options.floor and options.max_seconds is None:
        raise UserError("floor: expected --max-seconds with it")


def _check_time(name: str, seconds: float | None) -> None:
    """UserError if nothing can end what should last so long."""
    if seconds is None and not (sys.stdin and sys.stdin.isatty()):
        raise UserError(f"{name}: missing, expected a time where no key can be pressed (no terminal)")


def _tell(outcome: dict[str, Any], output: Output) -> None:
    """What was recorded, for people."""
    say = output.text.print
    dropped = sum(outcome["dropped_frames"].values())
    say(
        f"recorded     {outcome['recorded']} episodes, {len(outcome['dropped_episodes'])} dropped; "
        f"{dropped} pictures did not come"
    )
    say(
        f"dataset      {outcome['out']}: {outcome['episodes']} episodes, {outcome['frames']} frames",
        markup=False,
    )
