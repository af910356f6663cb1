"""What the options of commands that run an arm have in common: checks, names of folders, JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.launch.runtime.left_on import state_folder

if TYPE_CHECKING:
    from ideomotor.control.runtime.shared_state import SharedState
    from ideomotor.datasets.checking.audit_log import AuditLog
    from ideomotor.launch.runtime.preflight import Preflight
    from ideomotor.launch.runtime.recording.session_log import SessionLog
    from ideomotor.launch.runtime.rig import Rig


class SessionOptions(Protocol):
    """Those options."""

    @property
    def robot(self) -> str: ...
    @property
    def port(self) -> str | None: ...
    @property
    def twin(self) -> bool: ...
    @property
    def fault(self) -> tuple[str, ...]: ...
    @property
    def max_seconds(self) -> float | None: ...
    @property
    def countdown(self) -> float: ...
    @property
    def speed(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def log(self) -> Path | None: ...
    @property
    def view(self) -> str | None: ...


def check(options: SessionOptions) -> None:
    """UserError for what is wrong whatever robot there is."""
    if options.twin and options.port:
        raise UserError("port: --port and --twin exclude each other")
    if options.fault and not options.twin:
        raise UserError("fault: faults are the twin's, expected --twin")
    check_faults(options.fault, options.robot)
    if options.max_seconds is not None and not 0.1 <= options.max_seconds <= 86400:
        raise UserError(f"max-seconds: got {options.max_seconds}, expected 0.1 to 86400")
    if not 0 <= options.countdown <= 60:
        raise UserError(f"countdown: got {options.countdown}, expected 0 to 60")
    if not 0.05 <= options.speed <= 1:
        raise UserError(f"speed: got {options.speed}, expected a share from 0.05 to 1")
    if options.view is not None:
        from ideomotor.launch.runtime.live_view import check_view

        check_view(options.view)
    if options.seed < 0:
        raise UserError(f"seed: got {options.seed}, expected at least 0")
    if options.log and options.log.exists() and (not options.log.is_dir() or any(options.log.iterdir())):
        raise UserError(f"log: {str(options.log)!r} is there already, expected an empty or a new folder")


def check_faults(faults: Sequence[str], robot: str) -> None:
    """UserError for a line that is no fault of a twin of that robot."""
    if not faults:
        return
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.sim.twin.faults import parse_fault
    from ideomotor.sim.twin.pair import arm_of_fault

    embodiment = load_embodiment(robot)
    arms = {arm.name: arm.embodiment for arm in embodiment.arms}
    for fault in faults:
        name, line = arm_of_fault(fault, arms) if arms else ("", fault)
        bus = (arms[name] if arms else embodiment).bus
        parse_fault(line, 0.0, bus and [motor.id for motor in bus.motors])


def comes_later(fault: str) -> bool:
    """Whether a fault's time counts from the first tick."""
    return any(word.startswith("at=") for word in fault.split())


def inject_at_once(rig: Rig, faults: Sequence[str]) -> None:
    """The twin gets those of its faults whose time does not count from the first tick."""
    for fault in faults:
        if rig.inject and not comes_later(fault):
            rig.inject(fault)


def ticks_of(options: SessionOptions, embodiment: Embodiment) -> int | None:
    return None if options.max_seconds is None else round(options.max_seconds * embodiment.control_hz)


def usual_folder(robot: str, kind: str = "launches") -> Path:
    """A new folder for a log: $XDG_STATE_HOME (or ~/.local/state)/ideomotor/launches/ROBOT-TIME."""
    name = f"{robot}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    return state_folder() / kind / name


def recorded(embodiment: Embodiment, cameras: str) -> Embodiment:
    """The robot with those cameras that the log keeps.

    Args:
        cameras: their names, with commas between them; "none"; or "" for all.

    Raises:
        UserError: it has no such camera.
    """
    if not cameras:
        return embodiment
    names = [] if cameras == "none" else cameras.split(",")
    known = {camera.name: camera for camera in embodiment.cameras}
    for name in names:
        if name not in known:
            raise unknown_name("record", name, [*known, "none"])
    kept = tuple(camera for camera in embodiment.cameras if camera.name in names)
    return dataclasses.replace(embodiment, cameras=kept)


def begun_log(
    stack: contextlib.ExitStack, shared: SharedState, embodiment: Embodiment, folder: Path, rig: Rig,
    found: Preflight, options: Any,
) -> tuple[SessionLog, dict[str, Any]]:  # fmt: skip
    """The log of a session, which ends with the stack, and the beginning of its report, which is written."""
    from ideomotor.launch.console import write_whole
    from ideomotor.launch.runtime.ending import as_text
    from ideomotor.launch.runtime.recording.session_log import SessionLog
    from ideomotor.launch.runtime.recording.session_recorder import REPORT

    log = SessionLog(shared, recorded(embodiment, getattr(options, "record", "")), folder, rig.instruction)
    stack.callback(log.close)
    about = {"started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "options": as_json(options)}
    about["preflight"] = dataclasses.asdict(found)
    write_whole(folder / REPORT, as_text(about | {"outcome": None}))
    return log, about


def audit_log(
    folder: Path, command: str, embodiment: Embodiment, rig: Rig, policy: object = None, trained_on: str = ""
) -> AuditLog:
    """A log of who did what, begun: with whose arm, which weights and what data they were trained on.

    Args:
        policy: folder of a checkpoint, or another source; None: there is none.
    """
    from ideomotor.datasets.checking.audit_log import AuditLog, file_hash
    from ideomotor.vla.checkpoint_info import WEIGHTS

    facts: dict[str, Any] = {"command": command, "robot": embodiment.name, "port": rig.port}
    if policy is not None:
        facts |= {"policy": str(policy), "trained_on": trained_on}
    if isinstance(policy, Path) and (policy / WEIGHTS).exists():
        facts["weights_sha256"] = file_hash(policy / WEIGHTS)
    log = AuditLog(folder)
    log.began(**facts, instruction=rig.instruction)
    return log


def live_console() -> Any:
    """Where a running robot is shown."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def as_json(options: Any) -> dict[str, Any]:
    """Options as the report of a session has them."""
    return {name: _plain(value) for name, value in dataclasses.asdict(options).items()}


def _plain(value: Any) -> Any:
    """With texts for paths, those of nested options as well."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, Path) else value
