"""An evaluation as one self-contained HTML page: rates with their intervals, and every episode."""

from __future__ import annotations

import html
from typing import Any

from ideomotor.eval import confidence, generalization
from ideomotor.eval.plans import sentence

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1c2430; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #dde3ea }
td.number, th.number { text-align: right; white-space: nowrap }
tr.mean td { font-weight: 600 }
td.bar { min-width: 12rem; width: 40% } svg { display: block; width: 100%; height: 1.1rem }
.failed { color: #a4262c }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #e3e8ee }
  th, td { border-color: #333c47 } .failed { color: #ff8f8f } }
"""


def render_html(results: dict[str, Any]) -> str:
    """The page for one `eval` JSON object (see `run.summary`)."""
    rates = [*results["tasks"].items(), ("all episodes", _overall(results))]
    suite, policy = html.escape(results["suite"]), html.escape(results["policy"])
    rows = "\n".join(_rate_row(name, rate, is_mean=name == "all episodes") for name, rate in rates)
    episodes = "\n".join(_episode_row(episode) for episode in results["episodes"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ideomotor evaluation: {suite}, {policy}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Suite “{suite}”, policy “{policy}”</h1>
<p>Share of episodes solved, with 95 % Wilson intervals.</p>
{f"<p>{sentence(plan)}</p>" if (plan := results.get("plan")) else ""}
{f"<p>{confidence.sentence(told)}</p>" if (told := results.get("confidence")) else ""}
<div class="wide"><table>
<thead><tr><th>task</th><th class="number">solved</th><th class="number">rate</th>
<th class="number">95 % interval</th><th>0 to 100 %</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>
{_without_section(results["without"]) if results.get("without") else ""}
{generalization.section(along) if (along := results.get("generalization")) else ""}
<h2>Episodes</h2>
<div class="wide"><table>
<thead><tr><th>task</th><th class="number">seed</th><th>told</th><th>result</th>
<th class="number">seconds</th><th class="number">progress</th></tr></thead>
<tbody>
{episodes}
</tbody></table></div>
</body>
</html>
"""


def _without_section(without: dict[str, Any]) -> str:
    """The same episodes again without some senses."""
    rows = "\n".join(
        f"<tr><td>{html.escape(senses)}</td>"
        f'<td class="number">{found["successes"]} / {found["episodes"]}</td>'
        f'<td class="number">{100 * found["low"]:.1f} to {100 * found["high"]:.1f} %</td>'
        f'<td class="number">{found["lost"]}</td><td class="number">{found["gained"]}</td>'
        f'<td class="number">{found["p"]:.2g}</td></tr>'
        for senses, found in without.items()
    )
    return f"""<h2>The same episodes without a sense</h2>
<p>Lost and gained: episodes that only end well with it, and only without it; p by McNemar's exact test.</p>
<div class="wide"><table>
<thead><tr><th>without</th><th class="number">solved</th><th class="number">95 % interval</th>
<th class="number">lost</th><th class="number">gained</th><th class="number">p</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>"""


def _overall(results: dict[str, Any]) -> dict[str, Any]:
    counts = {key: sum(rate[key] for rate in results["tasks"].values()) for key in ("episodes", "successes")}
    return {**counts, **results["mean"]}


def _rate_row(name: str, rate: dict[str, Any], is_mean: bool) -> str:
    low, high, middle = (100 * rate[key] for key in ("low", "high", "rate"))
    bar = (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{middle:.0f} %, from {low:.0f} to {high:.0f} %">'
        '<rect x="0" y="4.5" width="100" height="1" fill="#8884"/>'
        f'<rect x="{low:.2f}" y="2" width="{high - low:.2f}" height="6" fill="#3b78c4" fill-opacity=".45"/>'
        f'<rect x="{max(middle - 0.4, 0):.2f}" y="0" width=".8" height="10" fill="#3b78c4"/></svg>'
    )
    return (
        f"<tr{' class=mean' if is_mean else ''}><td>{html.escape(name)}</td>"
        f'<td class="number">{rate["successes"]} / {rate["episodes"]}</td>'
        f'<td class="number">{middle:.1f} %</td>'
        f'<td class="number">{low:.1f} to {high:.1f} %</td><td class="bar">{bar}</td></tr>'
    )


def _episode_row(episode: dict[str, Any]) -> str:
    outcome = "solved" if episode["success"] else "not solved"
    if episode.get("failed_at"):
        outcome += f" (at: {episode['failed_at']})"
    told = episode.get("told", episode["instruction"])
    if episode.get("without"):
        told += f" (without {episode['without']})"
    if episode.get("axis"):
        told += f" ({episode['axis']} {episode['strength']})"
    style = "" if episode["success"] else ' class="failed"'
    return (
        f'<tr><td>{html.escape(episode["task"])}</td><td class="number">{episode["seed"]}</td>'
        f"<td>{html.escape(told)}</td>"
        f"<td{style}>{html.escape(outcome)}</td>"
        f'<td class="number">{episode["seconds"]:.1f}</td>'
        f'<td class="number">{episode["progress"]:.2f}</td></tr>'
    )
