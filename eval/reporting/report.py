"""An evaluation as one self-contained HTML page: rates and intervals, figures, failures, every episode.

A section is a function of the `eval` JSON object that returns HTML, or nothing where it has nothing to say.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from ideomotor.eval import phrasings, plans
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.reporting import generalization
from ideomotor.eval.reporting.report_failures import failures_section
from ideomotor.eval.reporting.report_parts import Bar, page, paragraph, table
from ideomotor.eval.stats import confidence, sequential

LISTED = 1000  # episodes at most, so that the page stays small; results.json has them all


def render_html(results: dict[str, Any], strips: Mapping[EpisodeSpec, bytes] | None = None) -> str:
    """The page for one `eval` JSON object (see `summary.summary`).

    Args:
        strips: JPEG of some failed episodes (see `film.Strips`).
    """
    title = f"Suite “{results['suite']}”, policy “{results['policy']}”"
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        rates_section(results),
        levels_section(results),
        figures_section(results),
        without_section(results),
        generalization.section(along) if (along := results.get("generalization")) else "",
        failures_section(results, strips or {}),
        episodes_section(results),
    ]
    return page(f"Ideomotor evaluation: {results['suite']}, {results['policy']}", sections)


def rates_section(results: dict[str, Any]) -> str:
    """The shares of solved episodes, and what was evaluated."""
    stopping = results.get("stopping")
    kind = "confidence sequences (which hold although it stopped early)" if stopping else "Wilson intervals"
    mean = "mean" if stopping else "all"
    rows = [_rate_row(name, rate) for name, rate in [*results["tasks"].items(), (mean, _overall(results))]]
    return "\n".join(
        [
            paragraph(f"Share of episodes solved, with 95 % {kind}. {_conditions(results)}"),
            paragraph(sequential.sentence(results) if stopping else ""),
            paragraph(plans.sentence(plan) if (plan := results.get("plan")) else ""),
            paragraph(phrasings.sentence(found) if (found := results.get("phrasings")) else ""),
            paragraph(confidence.sentence(judged) if (judged := results.get("confidence")) else ""),
            table(
                "rates",
                ["task", "solved", "rate", "95 % interval", "0 to 100 %"],
                rows,
                numbers=(1, 2, 3),
                mean=mean,
            ),
        ]
    )


def levels_section(results: dict[str, Any]) -> str:
    """The same by level of difficulty, where tasks have one; nothing elsewhere."""
    if not (levels := results.get("levels")):
        return ""
    mean = "mean of levels"
    return table(
        "levels",
        ["level", "solved", "rate", "95 % interval", "0 to 100 %"],
        [_rate_row(name, rate) for name, rate in [*levels.items(), (mean, results["level_average"])]],
        numbers=(1, 2, 3),
        mean=mean,
    )


def _rate_row(name: str, rate: Mapping[str, Any]) -> list[Any]:
    """Cells of a rate, or of a mean of rates, where there is nothing to count."""
    return [
        name,
        f"{rate['successes']} / {rate['episodes']}" if "episodes" in rate else "",
        f"{100 * rate['rate']:.1f} %",
        f"{100 * rate['low']:.1f} to {100 * rate['high']:.1f} %",
        Bar(rate["low"], rate["rate"], rate["high"], _spoken(rate)),
    ]


def figures_section(results: dict[str, Any]) -> str:
    """Time to success, progress, smoothness and interventions."""
    groups = [*results["tasks"].items(), ("all", results["mean"])]
    longest = max((g["success_seconds"]["q75"] for _, g in groups if g["success_seconds"]), default=1.0)
    rows = []
    for name, found in groups:
        time = found["success_seconds"]
        rows.append(
            [
                name,
                f"{time['median']:.1f} s ({time['q25']:.1f} to {time['q75']:.1f})" if time else "",
                Bar(
                    time["q25"] / longest,
                    time["median"] / longest,
                    time["q75"] / longest,
                    f"median {time['median']:.1f} s",
                )
                if time
                else "",
                f"{100 * found['progress']:.1f} %",
                "" if found["jerk_ratio"] is None else f"{found['jerk_ratio']:.2f}",
                f"{found['interventions']:.1f}",
                f"{found['holds']:.2f}",
            ]
        )
    headings = [
        "task",
        "time to success",
        f"0 to {longest:.1f} s",
        "progress",
        "jerk ratio",
        "interventions",
        "holds",
    ]
    return "\n".join(
        [
            "<h2>Time, progress, smoothness</h2>",
            table("figures", headings, rows, numbers=(1, 3, 4, 5, 6), mean="all"),
            paragraph(
                "Time to success: median and quartiles of the solved episodes, simulated time. Progress: "
                "mean share of the subtasks done. Jerk ratio: jerk of the commands at hand-overs over that "
                "inside chunks, median. Interventions: ticks on which the safety filter changed a command, "
                "and holds: how often chunks ran out; means of an episode.",
                "note",
            ),
        ]
    )


def without_section(results: dict[str, Any]) -> str:
    """The same episodes again without some senses."""
    if not results.get("without"):
        return ""
    rows = [
        [
            senses,
            f"{found['successes']} / {found['episodes']}",
            f"{100 * found['low']:.1f} to {100 * found['high']:.1f} %",
            str(found["lost"]),
            str(found["gained"]),
            f"{found['p']:.2g}",
        ]
        for senses, found in results["without"].items()
    ]
    headings = ["without", "solved", "95 % interval", "lost", "gained", "p"]
    return "\n".join(
        [
            "<h2>The same episodes without a sense</h2>",
            paragraph(
                "Lost and gained: episodes that only end well with it, and only without it; p by McNemar's "
                "exact test."
            ),
            table("without", headings, rows, numbers=range(1, 6)),
        ]
    )


def episodes_section(results: dict[str, Any]) -> str:
    """Every episode, folded away."""
    episodes = results["episodes"]
    rows = [
        [
            episode["task"],
            str(episode["seed"]),
            _instruction(episode),
            "solved" if episode["success"] else f"not solved (at: {episode.get('failed_at') or 'unknown'})",
            f"{episode['seconds']:.1f}",
            f"{episode['progress']:.2f}",
        ]
        for episode in episodes[:LISTED]
    ]
    left_out = len(episodes) - len(rows)
    headings = ["task", "seed", "told", "result", "seconds", "progress"]
    return "\n".join(
        [
            f"<h2>Episodes</h2>\n<details><summary>{len(rows)} episodes</summary>",
            table("episodes", headings, rows, numbers=(1, 4, 5)),
            paragraph(f"{left_out} more are in results.json." if left_out else ""),
            "</details>",
        ]
    )


def _overall(results: dict[str, Any]) -> dict[str, Any]:
    counts = {key: sum(rate[key] for rate in results["tasks"].values()) for key in ("episodes", "successes")}
    return {**counts, **results["mean"]}


def _spoken(rate: Mapping[str, Any]) -> str:
    return f"{100 * rate['rate']:.0f} %, from {100 * rate['low']:.0f} to {100 * rate['high']:.0f} %"


def _conditions(results: dict[str, Any]) -> str:
    """What all episodes have in common, or how they differ."""
    said = []
    for name, words in (
        ("perturbation", "randomisation {}"),
        ("delay_ms", "simulated inference delay {} ms"),
        ("handover", "hand-over {}"),
    ):
        values = list(dict.fromkeys(str(e[name]) for e in results["episodes"] if name in e))
        if values:
            said.append(words.format(", ".join(values)))
    return f"Conditions: {'; '.join(said)}." if said else ""


def _instruction(episode: dict[str, Any]) -> str:
    instruction = episode.get("told", episode["instruction"])
    if episode.get("without"):
        instruction += f" (without {episode['without']})"
    if episode.get("axis"):
        instruction += f" ({episode['axis']} {episode['strength']})"
    return instruction
