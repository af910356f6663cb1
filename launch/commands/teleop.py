"""`ideomotor teleop`: a person drives an arm of servos, or its twin, with a leader arm.

    pre-flight ──► cameras, teleoperator ──► countdown ──► control (torque on) ──► park, torque off

The same control process, safety filter, view and log as `ideomotor launch`, without a policy. With `--twin`
both arms are simulated behind their servos' protocol, and a scripted hand moves the leader.
Exit codes: 0 finished, 1 a fault ended it, 2 refused before any torque, 130 stopped by a signal or a key.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ideomotor.control.calibration import USUAL_ARM
from ideomotor.control.chunk_handover import DEFAULT
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import as_interrupts
from ideomotor.launch.commands.session_options import (
    audit_log,
    begun_log,
    check,
    check_faults,
    comes_later,
    inject_at_once,
    live_console,
    recorded,
    ticks_of,
    usual_folder,
)
from ideomotor.launch.console import Output
from ideomotor.launch.dashboard.options import WebArguments, web_options
from ideomotor.launch.runtime.ending import end_session

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.launch.runtime.rig import Rig


@dataclass(frozen=True)
class TeleopOptions:
    """Drives an arm, or its twin, by a person's hand."""

    robot: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")]
    """name of the follower, or the path of its embodiment file"""

    leader: Annotated[str | None, tyro.conf.arg(metavar="NAME[@DEV]")] = None
    """what drives it: so101_leader@/dev/ttyACM1 (of two arms so101_leader@left=DEV,right=DEV), keyboard,
    gamepad; with --twin its leader's twin"""

    port: Annotated[str | None, tyro.conf.arg(metavar="DEV")] = None
    """serial device of the follower's servo adapter, e.g. /dev/ttyACM0; of two arms left=DEV right=DEV"""

    arm: str = USUAL_ARM
    """name of the follower, if you have several of its kind"""

    leader_arm: str = USUAL_ARM
    """name of the leader arm, if you have several of its kind"""

    camera: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=INDEX|PATH")] = ()
    """where each of the robot's cameras is, for the log; without, it has no pictures"""

    twin: bool = False
    """both arms simulated behind serial ports; a scripted hand solves the scene's task with the leader"""

    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = "lift"
    """the twin's scene, one of `ideomotor tasks`"""

    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """of the twin's scene and of the hand"""

    yes: bool = False
    """reset what another program left in the follower's servos without asking"""

    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """finish after so long; otherwise it goes on until q or Ctrl-C"""

    countdown: Annotated[float, tyro.conf.arg(metavar="S")] = 3.0
    """seconds between everything being ready and torque on; Ctrl-C gives up"""

    speed: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 1.0
    """the joints' highest speed, as a share: begin with 0.3"""

    instruction: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """what is done, for the log; with --twin the scene's own by default"""

    log: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder for the log, a dataset; by default one with the time in its name, in the XDG state folder"""

    fault: tuple[str, ...] = ()
    """faults of the follower's twin, as `ideomotor twin` has them; at=S counts from the first tick"""

    leader_fault: tuple[str, ...] = ()
    """faults of the leader's twin"""

    view: Annotated[str | None, tyro.conf.arg(metavar="rerun|URL|FILE.rrd")] = None
    """show pictures and joints in Rerun while it runs (extra `rerun`): its viewer, or a file"""

    record: Annotated[str, tyro.conf.arg(metavar="A,B|none")] = ""
    """cameras whose pictures the log keeps; all by default"""

    page: Annotated[WebArguments, tyro.conf.arg(name="")] = WebArguments()
    """to watch and stop it"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the outcome as JSON; - is standard output"""


def teleop(options: TeleopOptions) -> int:
    """The command."""
    output = Output(options.json)
    check(options)
    web_options(options.page)
    if options.leader is None and not options.twin:
        raise UserError(
            "leader: missing, expected what drives it, e.g. --leader so101_leader@/dev/ttyACM1, or --twin"
        )
    check_faults(options.leader_fault, options.robot)
    with as_interrupts():  # whatever would end it now, nothing has torque and all is cleaned up
        return _teleop(options, output)


def _teleop(options: TeleopOptions, output: Output) -> int:
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.control.robots.drivers import driver_of
    from ideomotor.control.runtime import shared_state
    from ideomotor.launch.commands.bring_up.servo_settings import settle
    from ideomotor.launch.runtime import session, session_figures
    from ideomotor.launch.runtime.cameras.cameras import film_sizes
    from ideomotor.launch.runtime.live_view import live_view
    from ideomotor.launch.runtime.preflight import measure_cameras, preflight, tables
    from ideomotor.launch.runtime.rig import has_world
    from ideomotor.launch.runtime.teleoperation.teleoperators import lead_by

    embodiment = load_embodiment(options.robot)
    driver = driver_of(embodiment)
    recorded(embodiment, options.record)
    if not options.camera and not (options.twin and has_world(embodiment)):
        embodiment = dataclasses.replace(embodiment, cameras=())
    folder = options.log or usual_folder(embodiment.name, "teleoperation")
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(_rig(options, embodiment))
        lead = lead_by(options.leader or embodiment.name, options.leader_arm, embodiment, rig, 0.0)
        leading = stack.enter_context(lead)
        rig = leading.rig
        leading.spoil(options.leader_fault)
        inject_at_once(rig, options.fault)
        arm = embodiment, rig.port, rig.calibration
        settle(driver, *arm, output, yes=options.yes, only_look=False)
        servos = driver.inspect(*arm)
        leading.check_near(embodiment, servos)
        shared = shared_state.create(embodiment, film_sizes(rig.modes, embodiment))
        stack.callback(shared.close)
        cameras = []
        if rig.cameras:
            cameras = measure_cameras(shared, rig.cameras(shared), embodiment, rig.sources)
        slowed = session.slowed(embodiment, options.speed)
        found = preflight(slowed, rig, servos, cameras, "", "", leading.warnings, leading.about)
        output.text.print(tables(found))
        log, about = begun_log(stack, shared, embodiment, folder, rig, found, options)
        stack.enter_context(live_view(options.view, shared, embodiment, output.text.print))
        output.text.print(f"log: {folder}", markup=False)
        audit = audit_log(folder, "teleop", embodiment, rig)
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
            floor=False,
            late_faults=tuple(filter(comes_later, options.fault)),
            teleoperator=leading.make,
            on_keys=leading.on_keys,
            late_leader_faults=leading.late(options.leader_fault),
            web=web_options(options.page),
            audit=audit.add,
        )
        result = session.run_session(config, shared, log, live_console())
        audit.ended(reason=result.stop_reason, motors_on=result.outcome.motors_on)
        outcome = session_figures.as_json(config, result) | {"leader": leading.about, "log": str(folder)}
        facts: dict[str, Any] = {"task_name": options.task} if rig.table else {}
        if result.solved is not None:
            facts["success"] = result.solved > 0
        return end_session(output, config, result, log, outcome, about, facts)


def _rig(options: TeleopOptions, embodiment: Embodiment) -> contextlib.AbstractContextManager[Rig]:
    from ideomotor.launch.runtime.rig import has_world, real_arm, simulated_arm

    instruction = options.instruction or "teleoperation"
    if options.twin:
        if has_world(embodiment):
            instruction = options.instruction
        return simulated_arm(
            embodiment, options.robot, options.task, options.seed, instruction, options.camera
        )
    rig = real_arm(embodiment, options.port, options.arm, instruction, options.camera)
    if not embodiment.cameras:
        rig = dataclasses.replace(rig, cameras=None)
    return contextlib.nullcontext(rig)
