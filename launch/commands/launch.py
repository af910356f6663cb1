"""`ideomotor launch`: a policy drives an arm of servos, or its twin; looked over before, watched, and logged.

    pre-flight ──► cameras, interpreter, decoder ──► countdown ──► control (torque on) ──► park, torque off

With `--twin` the arm, its bus and its cameras are simulated, and everything else is what runs on hardware.
Exit codes: 0 finished, 1 a fault ended it, 2 refused before any torque, 130 stopped by a signal or a key.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ideomotor.control.calibration import USUAL_ARM
from ideomotor.control.chunk_handover import DEFAULT, handover
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import as_interrupts
from ideomotor.launch.commands.goal_options import GoalArguments, check_goal
from ideomotor.launch.commands.launch_goal import (
    check_goal_launch,
    goal_beside,
    policies_of,
    rig_of_goal,
)
from ideomotor.launch.commands.session_options import (
    audit_log,
    begun_log,
    check,
    comes_later,
    inject_at_once,
    live_console,
    recorded,
    ticks_of,
    usual_folder,
)
from ideomotor.launch.console import Output
from ideomotor.launch.dashboard.options import WebArguments, web_options
from ideomotor.launch.needed_options import NeededArguments
from ideomotor.launch.runtime.ending import end_session
from ideomotor.launch.serving.lerobot_options import LeRobotOptions
from ideomotor.launch.serving.remote_options import RemoteOptions

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

    policy: Annotated[str | None, tyro.conf.arg(metavar="DIR|URL")] = None
    """checkpoint folder, or ORG/NAME on the Hugging Face Hub; lerobot:DIR or lerobot:ORG/NAME is one of
    LeRobot's (docs/environments.md); ws://HOST:PORT asks `ideomotor serve`, openpi://HOST:PORT a server of
    openpi's (docs/serving.md); the bundled policy by default. With --goal also skill=DIR, for each skill that
    has a policy of its own"""

    lerobot: LeRobotOptions = LeRobotOptions()
    """of a policy of LeRobot's"""

    remote: Annotated[RemoteOptions, tyro.conf.arg(name="")] = RemoteOptions()
    """of a policy that is asked over a network"""

    needed: Annotated[NeededArguments, tyro.conf.arg(name="")] = NeededArguments()
    """what of a checkpoint is loaded"""

    goals: Annotated[GoalArguments, tyro.conf.arg(name="")] = GoalArguments()
    """a goal longer than one skill"""

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

    leader: Annotated[str | None, tyro.conf.arg(metavar="NAME[@DEV]")] = None
    """what a person corrects the policy with, e.g. so101_leader@/dev/ttyACM1; without @DEV a twin"""

    leader_arm: str = USUAL_ARM
    """name of the leader arm, if you have several of its kind"""

    leader_fault: tuple[str, ...] = ()
    """faults of the leader's twin, as --fault has them"""

    help_after: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """with a leader's twin: its hand takes over so long after an attempt began, and solves the task"""

    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """of the twin's scene and of the policy"""

    rearrange: bool = False
    """the twin's things come to other spots before each further attempt"""

    fault: tuple[str, ...] = ()
    """faults of the twin, as `ideomotor twin` has them; one with at=S counts from the first tick"""

    handover: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """rtc, sync, naive or ensemble"""

    record: Annotated[str, tyro.conf.arg(metavar="A,B|none")] = ""
    """cameras whose pictures the log keeps; all by default"""

    confidence: bool = False
    """let the policy tell how sure it is of each chunk, for the page and its alarms; takes more time"""

    page: Annotated[WebArguments, tyro.conf.arg(name="")] = WebArguments()
    """to watch and stop it"""

    floor: bool = False
    """measure beside it how late an empty loop is on this machine; needs --max-seconds"""

    view: Annotated[str | None, tyro.conf.arg(metavar="rerun|URL|FILE.rrd")] = None
    """show pictures and joints in Rerun while it runs (extra `rerun`): its viewer, or a file"""

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
    from ideomotor.launch.checkpoints import facts_of, policy_name
    from ideomotor.launch.commands.bring_up.servo_settings import settle
    from ideomotor.launch.runtime import session, session_figures
    from ideomotor.launch.runtime.cameras.cameras import film_sizes
    from ideomotor.launch.runtime.live_view import live_view
    from ideomotor.launch.runtime.preflight import measure_cameras, preflight, tables, unlike_a_launch
    from ideomotor.launch.runtime.teleoperation.teleoperators import lead_by
    from ideomotor.launch.serving.remote_source import stop_config

    embodiment = load_embodiment(options.robot)
    driver = driver_of(embodiment)
    policy, specialists = policies_of(options, embodiment, options.remote, options.lerobot)
    timing, trained_on = facts_of(policy, embodiment)
    recorded(embodiment, options.record)
    folder = options.log or usual_folder(embodiment.name)
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(_rig(options, embodiment))
        leading = None
        if options.leader is not None:
            lead = lead_by(options.leader, options.leader_arm, embodiment, rig, options.help_after)
            leading = stack.enter_context(lead)
            rig = leading.rig
            leading.spoil(options.leader_fault)
        inject_at_once(rig, options.fault)
        arm = embodiment, rig.port, rig.calibration
        unlike = settle(driver, *arm, output, yes=options.yes, only_look=options.dry_run)
        servos = driver.inspect(*arm)
        unlike += unlike_a_launch(servos, embodiment) if options.dry_run else []
        shared = shared_state.create(embodiment, film_sizes(rig.modes, embodiment))
        stack.callback(shared.close)
        assert rig.cameras is not None  # a policy has eyes
        cameras = measure_cameras(shared, rig.cameras(shared), embodiment, rig.sources)
        goal = goal_beside(options, shared, embodiment, output.text.print, tuple(specialists))
        rig = rig_of_goal(rig, goal)
        found = preflight(
            session.slowed(embodiment, options.speed),
            rig,
            servos,
            cameras,
            policy_name(options.policy),
            trained_on,
            [*unlike, *(leading.warnings if leading else [])],
            leading.about if leading else "",
        )
        output.text.print(tables(found))
        if rig.judging and not rig.judging.judged:
            output.text.print(rig.judging.sentence(), markup=False)
        log, about = begun_log(stack, shared, embodiment, folder, rig, found, options)
        stack.enter_context(live_view(options.view, shared, embodiment, output.text.print))
        audit = audit_log(folder, "launch", embodiment, rig, policy, trained_on)
        dry = " (dry run: nothing is written to the motors)" if options.dry_run else ""
        output.text.print(f"log: {folder}\nstarting the policy{dry}", markup=False)
        config = session.SessionConfig(
            embodiment=embodiment,
            robot=options.robot,
            rig=rig,
            policy=policy,
            specialists=specialists,
            timing=timing,
            stop=stop_config(policy, *specialists.values()),
            handover=options.handover,
            seed=options.seed,
            max_ticks=ticks_of(options, embodiment),
            speed=options.speed,
            countdown_s=options.countdown,
            dry_run=options.dry_run,
            floor=options.floor,
            late_faults=tuple(filter(comes_later, options.fault)),
            teleoperator=leading and leading.make,
            on_keys=leading and leading.on_keys,
            late_leader_faults=leading.late(options.leader_fault) if leading else (),
            web=web_options(options.page),
            needed=options.needed.of(policy),
            confidence=options.confidence,
            audit=audit.add,
        )
        result = session.run_session(config, shared, log, live_console(), goal)
        audit.ended(reason=result.stop_reason, motors_on=result.outcome.motors_on)
        outcome = session_figures.as_json(config, result) | {
            "policy": policy_name(options.policy),
            "log": str(folder),
        }
        outcome |= {"unlike_a_launch": unlike} | ({"goal": goal.as_json()} if goal else {})
        return end_session(output, config, result, log, outcome, about, _facts(options, rig, result))


def _rig(options: LaunchOptions, embodiment: Embodiment) -> contextlib.AbstractContextManager[Rig]:
    from ideomotor.launch.runtime.rig import real_arm, simulated_arm

    if options.twin:
        return simulated_arm(
            embodiment, options.robot, options.task, options.seed, options.instruction, options.camera,
            rearrange=options.rearrange,
        )  # fmt: skip
    said = options.instruction or options.goals.goal
    arm = real_arm(embodiment, options.port, options.arm, said, options.camera)
    return contextlib.nullcontext(arm)


def _facts(options: LaunchOptions, rig: Rig, result: session.SessionResult) -> dict[str, Any]:
    """What the log's episode says of itself; its success where judged, or its only attempt is marked."""
    task = {"task_name": options.task} if rig.table else {}
    if result.solved is not None:
        return {**task, "success": result.solved > 0}
    marked = [attempt["mark"] for attempt in result.marks]
    return {**task, "success": marked == ["good"]} if marked in (["good"], ["bad"]) else task


def _check(options: LaunchOptions) -> None:
    web_options(options.page)
    check_goal(options.goals)
    if options.goals.goal is not None:
        check_goal_launch(options)
    handover(options.handover)
    check(options)
    if options.floor and options.max_seconds is None:
        raise UserError("floor: expected --max-seconds with it")
    if options.rearrange and not options.twin:
        raise UserError("rearrange: a person puts real things elsewhere, expected --twin with it")
    if options.leader is None and (options.leader_fault or options.help_after is not None):
        raise UserError("leader: missing, expected --leader with --leader-fault or --help-after")
    if options.help_after is not None and not (options.twin and options.help_after >= 0):
        raise UserError(f"help-after: got {options.help_after}, expected at least 0 [s], with --twin")
