"""`ideomotor launch`: a policy drives an arm of servos, or its twin; looked over before, watched, and logged.

    pre-flight ──► cameras, interpreter, decoder ──► countdown ──► control (torque on) ──► park, torque off

With `--twin` the arm, its bus and its cameras are simulated, and everything else is what runs on hardware.
Exit codes: 0 finished, 1 a fault ended it, 2 refused before any torque, 130 stopped by a signal or a key.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ideomotor.control.calibration import USUAL_ARM
from ideomotor.control.chunk_handover import DEFAULT, handover
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import as_interrupts
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.runtime.ending import as_text, end_session
from ideomotor.launch.runtime.left_on import state_folder

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.launch.runtime import session
    from ideomotor.launch.runtime.rig import Rig


@dataclass(frozen=True)
class LaunchOptions:
    """Launches a policy on an arm, or on its twin (no hardware needed)."""

    robot: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")]
    """name of the robot, or the path of its embodiment file"""

    port: Annotated[str | None, tyro.conf.arg(metavar="DEV")] = None
    """serial device of the servo adapter, e.g. /dev/ttyACM0"""

    policy: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """checkpoint folder, or ORG/NAME on the Hugging Face Hub; the bundled policy by default"""

    instruction: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """what to tell the robot, in any words; with --twin the scene's own by default"""

    camera: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=INDEX|PATH")] = ()
    """where each of the robot's cameras is: index or path of a device, or a video file"""

    twin: bool = False
    """a simulated arm behind a serial port instead of a real one, with cameras that see its world"""

    yes: bool = False
    """reset what another program left in the servos without asking"""

    dry_run: bool = False
    """everything but the motors: nothing is written to a servo"""

    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """finish after so long; otherwise it goes on until q or Ctrl-C"""

    countdown: Annotated[float, tyro.conf.arg(metavar="S")] = 3.0
    """seconds between everything being ready and torque on; Ctrl-C gives up"""

    speed: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 1.0
    """how fast the policy's motion is played, and the joints' highest speed, as a share: begin with 0.3"""

    arm: str = USUAL_ARM
    """name of this arm, if you have several of its kind"""

    log: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder for the log, a dataset; by default one with the time in its name, in the XDG state folder"""

    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = "lift"
    """the twin's scene, one of `ideomotor tasks`"""

    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """of the twin's scene and of the policy"""

    fault: tuple[str, ...] = ()
    """faults of the twin, as `ideomotor twin` has them; one with at=S counts from the first tick"""

    handover: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """rtc, sync, naive or ensemble"""

    floor: bool = False
    """measure beside it how late an empty loop is on this machine; needs --max-seconds"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the outcome as JSON; - is standard output"""


def launch(options: LaunchOptions) -> int:
    """The command."""
    output = Output(options.json)
    _check(options)
    with as_interrupts():  # whatever would end it now, nothing has torque and all is cleaned up
        return _launch(options, output)


def _launch(options: LaunchOptions, output: Output) -> int:
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.control.robots.drivers import driver_of
    from ideomotor.control.runtime import shared_state
    from ideomotor.launch.checkpoints import policy_folder, policy_name
    from ideomotor.launch.commands.bring_up.servo_settings import settle
    from ideomotor.launch.runtime import session
    from ideomotor.launch.runtime.cameras import film_sizes
    from ideomotor.launch.runtime.preflight import measure_cameras, preflight, tables, unlike_a_launch
    from ideomotor.launch.runtime.session_log import SessionLog
    from ideomotor.launch.runtime.session_recorder import REPORT
    from ideomotor.vla.checkpoint_info import read_facts

    embodiment = load_embodiment(options.robot)
    driver, policy = driver_of(embodiment), policy_folder(options.policy)
    facts = read_facts(policy)
    facts.check(embodiment)
    folder = options.log or _usual_folder(embodiment.name)
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(_rig(options, embodiment))
        for fault in options.fault:
            if rig.inject and not _comes_later(fault):
                rig.inject(fault)
        arm = embodiment, rig.port, rig.calibration
        unlike = settle(driver, *arm, output, yes=options.yes, only_look=options.dry_run)
        servos = driver.inspect(*arm)
        unlike += unlike_a_launch(servos) if options.dry_run else []
        shared = shared_state.create(embodiment, film_sizes(rig.modes, embodiment))
        stack.callback(shared.close)
        assert rig.cameras is not None  # a policy has eyes
        cameras = measure_cameras(shared, rig.cameras(shared), embodiment, rig.sources)
        found = preflight(
            session.slowed(embodiment, options.speed),
            rig,
            servos,
            cameras,
            policy_name(options.policy),
            facts.processor.dataset,
            unlike,
        )
        output.text.print(tables(found))
        if rig.judging and not rig.judging.judged:
            output.text.print(rig.judging.sentence(), markup=False)
        log = SessionLog(shared, embodiment, folder, rig.instruction)
        stack.callback(log.close)
        about = {"started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "options": _as_json(options)}
        about["preflight"] = dataclasses.asdict(found)
        write_whole(folder / REPORT, as_text(about | {"outcome": None}))
        dry = " (dry run: nothing is written to the motors)" if options.dry_run else ""
        output.text.print(f"log: {folder}\nstarting the policy{dry}", markup=False)
        config = session.SessionConfig(
            embodiment=embodiment,
            robot=options.robot,
            rig=rig,
            policy=policy,
            timing=facts.timing,
            handover=options.handover,
            seed=options.seed,
            max_ticks=_ticks(options, embodiment),
            speed=options.speed,
            countdown_s=options.countdown,
            dry_run=options.dry_run,
            floor=options.floor,
            late_faults=tuple(filter(_comes_later, options.fault)),
        )
        result = session.run_session(config, shared, log, _live_console())
        outcome = session.as_json(config, result) | {
            "policy": policy_name(options.policy),
            "log": str(folder),
        }
        outcome["unlike_a_launch"] = unlike
        return end_session(output, config, result, log, outcome, about, _facts(options, rig, result))


def _rig(options: LaunchOptions, embodiment: Embodiment) -> contextlib.AbstractContextManager[Rig]:
    from ideomotor.launch.runtime.rig import real_arm, simulated_arm

    if options.twin:
        return simulated_arm(
            embodiment, options.robot, options.task, options.seed, options.instruction, options.camera
        )
    arm = real_arm(embodiment, options.port, options.arm, options.instruction, options.camera)
    return contextlib.nullcontext(arm)


def _facts(options: LaunchOptions, rig: Rig, result: session.SessionResult) -> dict[str, Any]:
    """What the log's episode says of itself; its success where judged, or its only attempt is marked."""
    task = {"task_name": options.task} if rig.table else {}
    if result.solved is not None:
        return {**task, "success": result.solved > 0}
    marked = [attempt["mark"] for attempt in result.marks]
    return {**task, "success": marked == ["good"]} if marked in (["good"], ["bad"]) else task


def _comes_later(fault: str) -> bool:
    return any(word.startswith("at=") for word in fault.split())


def _ticks(options: LaunchOptions, embodiment: Embodiment) -> int | None:
    return None if options.max_seconds is None else round(options.max_seconds * embodiment.control_hz)


def _usual_folder(robot: str) -> Path:
    """A new folder for a log: $XDG_STATE_HOME (or ~/.local/state)/ideomotor/launches/ROBOT-TIME."""
    name = f"{robot}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    return state_folder() / "launches" / name


def _live_console() -> Any:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _as_json(options: LaunchOptions) -> dict[str, Any]:
    fields = dataclasses.asdict(options)
    return {name: str(value) if isinstance(value, Path) else value for name, value in fields.items()}


def _check(options: LaunchOptions) -> None:
    handover(options.handover)
    if options.twin and options.port:
        raise UserError("port: --port and --twin exclude each other")
    if options.fault and not options.twin:
        raise UserError("fault: faults are the twin's, expected --twin")
    if options.fault:
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.sim.twin.faults import parse_fault

        for fault in options.fault:
            bus = load_embodiment(options.robot).bus
            parse_fault(fault, 0.0, bus and [motor.id for motor in bus.motors])
    if options.max_seconds is not None and not 0.1 <= options.max_seconds <= 86400:
        raise UserError(f"max-seconds: got {options.max_seconds}, expected 0.1 to 86400")
    if not 0 <= options.countdown <= 60:
        raise UserError(f"countdown: got {options.countdown}, expected 0 to 60")
    if not 0.05 <= options.speed <= 1:
        raise UserError(f"speed: got {options.speed}, expected a share from 0.05 to 1")
    if options.seed < 0:
        raise UserError(f"seed: got {options.seed}, expected at least 0")
    if options.floor and options.max_seconds is None:
        raise UserError("floor: expected --max-seconds with it")
    if options.log and options.log.exists() and (not options.log.is_dir() or any(options.log.iterdir())):
        raise UserError(f"log: {str(options.log)!r} is there already, expected an empty or a new folder")
