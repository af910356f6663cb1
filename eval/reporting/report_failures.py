"""The failures of an evaluation, by the subtask they failed in, with filmstrips: a section of the report."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from typing import Any

from ideomotor.eval.episode_spec import EpisodeSpec, spec_of
from ideomotor.eval.reporting.film import subtask_kind
from ideomotor.eval.reporting.report_parts import Bar, paragraph, table


def failures_section(results: dict[str, Any], strips: Mapping[EpisodeSpec, bytes]) -> str:
    """Where episodes with all senses and along no axis failed: a table, and what the policy saw in some."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for episode in results["episodes"]:
        if not (episode["success"] or episode.get("without") or episode.get("axis")):
            kind = subtask_kind(episode.get("failed_at", ""), episode["progress"])
            groups.setdefault((episode["task"], kind), []).append(episode)
    if not groups:
        return ""
    order = list(results["tasks"])
    ranked = sorted(
        groups.items(), key=lambda group: (order.index(group[0][0]), group[1][0]["progress"], group[0][1])
    )
    rows = []
    for (task, kind), failed in ranked:
        of = results["tasks"][task]["episodes"]
        share = len(failed) / of
        rows.append([task, kind, f"{len(failed)} of {of}", Bar(0, share, share, f"{100 * share:.0f} %")])
    headings = ["task", "failed at", "episodes", "0 to 100 %"]
    films = [_films(task, kind, failed, strips) for (task, kind), failed in ranked]
    return "\n".join(
        [
            "<h2>Failures</h2>",
            table("failures", headings, rows, numbers=(2,)),
            paragraph(
                "What the first camera showed, from the beginning to the end:" if any(films) else "", "note"
            ),
            *filter(None, films),
        ]
    )


def _films(task: str, kind: str, failed: list[dict[str, Any]], strips: Mapping[EpisodeSpec, bytes]) -> str:
    shown = [(episode, strips[spec]) for episode in failed if (spec := spec_of(episode)) in strips]
    if not shown:
        return ""
    figures = "\n".join(_figure(episode, strip) for episode, strip in shown)
    return f"<h3>{html.escape(f'{task}: {kind}')}</h3>\n{figures}"


def _figure(episode: dict[str, Any], strip: bytes) -> str:
    instruction = episode.get("told", episode["instruction"])
    caption = html.escape(
        f"seed {episode['seed']}, {episode['seconds']:.1f} s, “{instruction}”, at: {episode['failed_at']}"
    )
    data = base64.b64encode(strip).decode()
    return (
        f'<figure><div class="wide"><img alt="filmstrip" src="data:image/jpeg;base64,{data}"></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
