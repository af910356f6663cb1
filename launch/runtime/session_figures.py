"""A session's outcome for programs, as JSON, and for people, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ideomotor.launch.runtime.figures.lateness_histogram import lateness_svg
from ideomotor.launch.runtime.figures.loop_figures import figures, teleoperation
from ideomotor.sim.instructions.judging import Judging

if TYPE_CHECKING:
    from ideomotor.launch.runtime.session import SessionConfig, SessionResult

NOBODY = Judging("", why="nobody judges what an arm does on a table that is not simulated")


def as_json(config: SessionConfig, result: SessionResult) -> dict[str, Any]:
    """The outcome as JSON has it: the keys of `bench loop`, null where nothing ran, and some more."""
    outcome, report = result.outcome, result.outcome.report
    names = ("ticks", "achieved_hz", "late_share", "missed_ticks", "no_fresh_command_ticks", "lateness_us")
    loop: dict[str, Any] = dict.fromkeys(names)
    if report is not None:
        loop = figures(report, float(config.embodiment.control_hz), result.floor)
    return {
        "robot": config.embodiment.name,
        "port": config.rig.port,
        "instruction": config.rig.instruction,
        "dry_run": config.dry_run,
        "control_hz": config.embodiment.control_hz,
        "seconds": report.ticks / report.achieved_hz if report and report.achieved_hz else 0.0,
        **loop,
        "stop_reason": result.stop_reason,
        "stage": report.stop_state if report else None,
        "faults": outcome.faults,
        "guarded": outcome.guarded,
        "interrupted": bool(outcome.interrupted),
        "motors_on": outcome.motors_on,
        **(config.rig.judging or NOBODY).to_json(),
        "attempts": result.attempts,
        "solved": result.solved,
        "marks": result.marks,
        "takeovers": result.takeovers,
        "alarms": result.alarms,
        **teleoperation(report if config.teleoperator else None),
        "warning": report.warning if report else "",
    }


def picture(config: SessionConfig, result: SessionResult) -> str | None:
    """Histograms of the lateness as an SVG document, as `bench loop` has them; None if nothing ran."""
    report = result.outcome.report
    if report is None or not report.ticks:
        return None
    hz = float(config.embodiment.control_hz)
    series = {"control loop": report.lateness_us}
    if result.floor:
        series["floor (empty loop beside it)"] = result.floor.lateness_us
    return lateness_svg(
        f"{config.embodiment.name} launched, {hz:g} Hz, {report.ticks} ticks", series, 0.5e6 / hz
    )
