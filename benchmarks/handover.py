"""Success and smoothness of each hand-over method against inference delay, in lockstep, on the same scenes.

    .venv/bin/python -P benchmarks/handover.py --out outputs/handover [--episodes 13] [--workers 2]

Episodes are those of the suite "builtin", the same for every method and delay: by default 13 of each of 4
tasks, which makes 52. An interrupted run is continued. Writes `handover.svg` into the folder; the last line
is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ideomotor.control.chunk_handover import HANDOVERS
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.run import evaluate
from ideomotor.eval.suites import HELD_OUT_SEEDS, suite
from ideomotor.eval.summary import summary
from ideomotor.vla.checkpoint_info import bundled_checkpoint

DELAYS_MS = (0, 50, 100, 200)
TASKS = ("reach", "lift", "push", "place")
COLOURS = {"rtc": "#2f6fde", "sync": "#3a9d5d", "naive": "#d9822b", "ensemble": "#a4262c"}
FIGURES = {"jerk_ratio": "6.2f", "boundary_jerk": "9.0f", "interior_jerk": "9.0f"}
WIDTH, HEIGHT, MARGIN = 420, 300, 52  # of one panel [px]


def main() -> None:
    parser = argparse.ArgumentParser(description="compares hand-over methods under simulated delay")
    parser.add_argument("--policy", type=Path, help="checkpoint folder; the bundled policy by default")
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma-separated")
    parser.add_argument("--episodes", type=int, default=13, help="of each task")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder for finished episodes and the plot")
    arguments = parser.parse_args()
    policy_spec = PolicySpec(arguments.policy or bundled_checkpoint())
    tasks = arguments.tasks.split(",")
    results: dict[str, list[dict[str, Any]]] = {}
    print(
        f"{'method':9} {'delay':>6} {'solved':>9} {'95 %':>16} {'ratio':>6} {'boundary':>9} {'interior':>9}"
    )
    for method in HANDOVERS:
        results[method] = []
        for delay_ms in DELAYS_MS:
            specs = suite("builtin", tasks, arguments.episodes, HELD_OUT_SEEDS, delay_ms, method)
            row = measure(specs, policy_spec, arguments.workers, arguments.out / f"{method}-{delay_ms}")
            results[method].append({"delay_ms": delay_ms, **row})
            interval = f"{row['low']:.1%} to {row['high']:.1%}"
            print(
                f"{method:9} {delay_ms:6} {row['successes']:4}/{row['episodes']:<4} {interval:>16} "
                + " ".join(f"{row[name] or 0:{width}}" for name, width in FIGURES.items()),
                flush=True,
            )
    (arguments.out / "handover.svg").write_text(plot(results))
    print(json.dumps(results))


def measure(specs: list[EpisodeSpec], policy_spec: PolicySpec, workers: int, out: Path) -> dict[str, Any]:
    """One method at one delay; smoothness is None where no episode had a hand-over."""
    rows = evaluate(specs, policy_spec, workers=workers, out=out, resume=True)
    result = summary("builtin", "policy", rows)
    counts = {"episodes": len(rows), "successes": sum(row.success for row in rows), "holds": result["holds"]}
    return {**result["mean"], **result["smoothness"], **counts}


def plot(results: dict[str, list[dict[str, Any]]]) -> str:
    """An SVG of two panels: success with its interval, and the jerk ratio, against the delay."""
    ratios = [row["jerk_ratio"] for rows in results.values() for row in rows]
    top = max(3.0, *filter(None, ratios))
    panels = [
        panel(results, "rate", 1.0, "success, with 95 % intervals", lambda value: f"{value:.0%}", 0),
        panel(results, "jerk_ratio", top, "jerk at hand-overs / inside chunks", lambda v: f"{v:.1f}", WIDTH),
    ]
    legend = [
        f'<text x="{MARGIN + 8 + 90 * i}" y="{HEIGHT + 18}" fill="{colour}">● {name}</text>'
        for i, (name, colour) in enumerate(COLOURS.items())
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT + 30}" role="img" '
            'font-family="system-ui, sans-serif" font-size="12">',
            "<title>Hand-over methods against inference delay</title>",
            f'<rect width="{2 * WIDTH}" height="{HEIGHT + 30}" fill="#ffffff"/>',
            *panels,
            *legend,
            "</svg>\n",
        ]
    )


def panel(results: Any, key: str, top: float, title: str, shown: Any, left: int) -> str:
    """One panel; methods stand a little beside each other so that intervals do not overlap."""

    def x(delay_ms: float, nudge: float = 0.0) -> float:
        return left + MARGIN + (WIDTH - 2 * MARGIN) * delay_ms / max(DELAYS_MS) + nudge

    def y(value: float) -> float:
        return HEIGHT - MARGIN + (2 * MARGIN - HEIGHT) * value / top

    parts = [f'<text x="{x(0):.0f}" y="28" font-size="14">{title}</text>']
    for step in range(5):
        value = top * step / 4
        parts.append(f'<path d="M{x(0):.1f} {y(value):.1f}H{x(max(DELAYS_MS)):.1f}" stroke="#e2e6ea"/>')
        parts.append(
            f'<text x="{x(0) - 8:.1f}" y="{y(value) + 4:.1f}" text-anchor="end">{shown(value)}</text>'
        )
    for delay_ms in DELAYS_MS:
        below = HEIGHT - MARGIN + 18
        parts.append(f'<text x="{x(delay_ms):.1f}" y="{below}" text-anchor="middle">{delay_ms} ms</text>')
    for i, (name, rows) in enumerate(results.items()):
        colour, nudge = COLOURS[name], 3.0 * (i - 1.5)
        points = [(x(row["delay_ms"], nudge), y(row[key])) for row in rows if row[key] is not None]
        path = "L".join(f"{at:.1f} {height:.1f}" for at, height in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts += [f'<circle cx="{at:.1f}" cy="{h:.1f}" r="3" fill="{colour}"/>' for at, h in points]
        if key == "rate":
            for row in rows:
                at = x(row["delay_ms"], nudge)
                parts.append(
                    f'<path d="M{at:.1f} {y(row["low"]):.1f}V{y(row["high"]):.1f}" stroke="{colour}"/>'
                )
    return "\n".join(parts)


if __name__ == "__main__":
    main()
