"""A control loop's figures as people and programs read them: rate, lateness, ages, smoothness."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from rich.table import Table

from ideomotor.control.runtime.loop import summarise
from ideomotor.control.runtime.report import ControlReport
from ideomotor.control.runtime.tick_profile import PARTS, USAGE, TickCosts
from ideomotor.eval.stats.measures import smoothness
from ideomotor.launch.runtime.figures.floor import Floor

WORST = 5  # ticks that are shown whole


def figures(report: ControlReport, hz: float, floor: Floor | None) -> dict[str, Any]:
    """The JSON object of `bench loop`: its keys as in DESIGN section 7, and some more.

    Args:
        report: of the control loop.
        hz: what it was to achieve.
        floor: what the empty loop beside it measured, if there was one.
    """
    floor_us = None if floor is None else floor.lateness_us
    smooth = smoothness(report.commands, report.boundaries, hz, report.ran)
    return {
        "achieved_hz": report.achieved_hz,
        "ticks": report.ticks,
        "late_share": report.late / report.ticks if report.ticks else None,
        "missed_ticks": report.missed,
        "no_fresh_command_ticks": report.no_fresh_command,
        "lateness_us": _percentiles(report.lateness_us),
        "floor_us": None if floor_us is None else _percentiles(floor_us),
        "floor_late_share": None if floor_us is None else float((floor_us > 0.5e6 / hz).mean()),
        "floor_missed_ticks": None if floor is None else floor.missed,
        "missed_beyond_floor": None if floor is None else max(report.missed - floor.missed, 0),
        "busy_us": _percentiles(report.busy_us),
        **_costs(report.costs),
        "fifo": report.fifo,
        "chunk_age_ms": _spread(1000 * report.chunk_age_s),
        "plan_age_ms": _spread(1000 * report.plan_age_s),
        "interventions": sum(report.interventions.values()),
        "interventions_by_reason": report.interventions,
        "stops": [{"tick": tick, "reason": reason} for tick, reason in report.faults],
        "handovers": len(report.boundaries),
        "jerk_ratio": smooth.jerk_ratio if math.isfinite(smooth.jerk_ratio) else None,
    }


def teleoperation(report: ControlReport | None) -> dict[str, Any]:
    """How a person's driving felt: p50, p99 and max of what we add and of how far the arm is behind.

    `added_delay_ms` is from the measuring of an action to the sending of its command, `tracking_error_rad`
    between a joint's last command and its measured position, of the joint (not grippers) that is furthest.

    Args:
        report: None if no person could drive, or nothing ran: the keys are null then.
    """
    delays = None if report is None else report.action_delay_s
    errors = None if report is None else report.tracking_error_rad
    return {
        "added_delay_ms": None if delays is None else _spread(1000 * delays),
        "tracking_error_rad": None if errors is None else _spread(errors),
    }


def table(result: dict[str, Any], hz: float) -> Table:
    """The same for people."""
    how = "SCHED_FIFO" if result["fifo"] else "ordinary scheduling"
    shown = Table("", title=f"{result['achieved_hz']:.2f} Hz achieved of {hz:g}, {how}", box=None)
    for heading in ("p50", "p99", "p99.9", "max", "late", "missed"):
        shown.add_column(heading, justify="right")
    rows = (
        ("control loop, lateness [µs]", "lateness_us", "late_share", "missed_ticks"),
        ("floor: an empty loop [µs]", "floor_us", "floor_late_share", "floor_missed_ticks"),
        ("control loop, work in a tick [µs]", "busy_us", None, None),
    )
    for name, key, late, missed in rows:
        if result[key] is None:
            continue
        percentiles = (f"{result[key][p]:.0f}" for p in ("p50", "p99", "p999", "max"))
        late_shown = f"{result[late]:.2%}" if late else ""
        shown.add_row(name, *percentiles, late_shown, str(result[missed]) if missed else "")
    for part, values in (result["parts_us"] or {}).items():
        shown.add_row(f"  of that, {part} [µs]", *(f"{values[p]:.0f}" for p in ("p50", "p99", "p999", "max")))
    rows = (
        ("age of the chunk [ms]", "chunk_age_ms", 1),
        ("age of its plan [ms]", "plan_age_ms", 1),
        ("added delay [ms]", "added_delay_ms", 1),
        ("tracking error [mrad]", "tracking_error_rad", 1000),
    )
    for name, key, scale in rows:
        if result.get(key):
            values = result[key]
            p50, p99, highest = (f"{scale * values[p]:.0f}" for p in ("p50", "p99", "max"))
            shown.add_row(name, p50, p99, "", highest)
    caption = [f"{result['ticks']} ticks, {result['no_fresh_command_ticks']} without a fresh command"]
    if result["jerk_ratio"] is not None:
        caption.append(f"{result['handovers']} hand-overs, jerk ratio {result['jerk_ratio']:.2f}")
    caption += [f"stop at tick {stop['tick']}: {stop['reason']}" for stop in result["stops"]]
    shown.caption = "\n".join(caption)
    shown.caption_justify = "left"
    return shown


def _costs(ticks: TickCosts | None) -> dict[str, Any]:
    """Where the ticks' time went, `parts_us` to `worst_ticks`; nulls where it was not recorded."""
    if ticks is None or not len(ticks.parts_us):
        return dict.fromkeys(("parts_us", "cpu_us", "page_faults", "preemptions", "waits", "worst_ticks"))
    worst = np.argsort(ticks.parts_us.sum(1))[::-1][:WORST]
    return {
        "parts_us": {part: _percentiles(ticks.parts_us[:, i]) for i, part in enumerate(PARTS)},
        "cpu_us": _percentiles(ticks.usage[:, USAGE.index("cpu_us")]),
        **{name: int(ticks.usage[:, USAGE.index(name)].sum()) for name in USAGE[1:]},
        "worst_ticks": [
            {
                "row": int(row),
                "parts_us": dict(zip(PARTS, ticks.parts_us[row].round(1).tolist(), strict=True)),
                **dict(zip(USAGE, ticks.usage[row].round(1).tolist(), strict=True)),
            }
            for row in worst
        ],
    }


def _percentiles(values_us: np.ndarray) -> dict[str, float]:
    return {name: round(value, 1) for name, value in dataclasses.asdict(summarise(values_us)).items()}


def _spread(values: np.ndarray) -> dict[str, float] | None:
    """None where nothing was measured."""
    if not len(values):
        return None
    p50, p99 = (float(value) for value in np.percentile(values, [50, 99]))
    return {"p50": p50, "p99": p99, "max": float(values.max())}
