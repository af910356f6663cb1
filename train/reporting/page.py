"""`training.html` in a training's folder: curves, what good looks like, time left. It needs no network and no
script, and while the training goes on it reloads itself."""

from __future__ import annotations

import fnmatch
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ideomotor.control.durations import in_words
from ideomotor.datasets.files import replace_files
from ideomotor.train.reporting.charts import Line, Mark, chart
from ideomotor.train.reporting.progress import STAGES
from ideomotor.train.reporting.yardsticks import Yardstick, curves, yardsticks

PAGE, TEMPLATE = "training.html", Path(__file__).with_name("training.html")
RELOAD_S = 20
HELD_OUT = ("held_out_within_3px", "held_out_words", "held_out_answers")
SCENE_LOSSES = ("heat", "pixel", "presence", "words", "text", "answer", "align")
# Title, unit, what is plotted (* stands for anything), whether on a logarithmic axis, and the figure whose
# levels in other trainings are drawn across.
CHARTS: dict[str, tuple[tuple[str, str, tuple[str, ...], bool, str], ...]] = {
    "interpreter": (
        ("Loss", "", ("loss",), True, "loss"),
        (
            "Distance of the points",
            "median, pixels",
            ("pixel_error", "held_out_pixel_p50"),
            True,
            "held_out_pixel_p50",
        ),
        (
            "Right in held-out scenes",
            "share",
            ("held_out_within_3px", "held_out_words", "held_out_answers"),
            False,
            "",
        ),
        (
            "Parts of the loss",
            "",
            ("heat", "pixel", "presence", "words", "text", "answer", "align"),
            True,
            "",
        ),
    ),
    "decoder": (
        ("Loss", "", ("loss",), True, "loss"),
        (
            "Chunks beside the demonstrated ones",
            "in mrad, mm or the command's own unit, by tick",
            ("error*_tick_48", "error*_tick_24", "error*_tick_12"),
            True,
            "error_mrad_tick_48",
        ),
        ("Parts of the loss", "", ("flow", "progress"), True, ""),
        ("Episodes driven", "share solved", ("driven_rate", "driven_progress"), False, ""),
    ),
}
COMMON = (
    ("Learning rate", "", ("learning_rate",), False, ""),
    ("Samples a second", "", ("samples_per_s",), False, ""),
    ("Waiting for batches", "share of the time", ("loader_share",), False, ""),
)


def write_page(out: Path, under_way: bool = False, notes: Sequence[str] = ()) -> Path:
    """Writes the page from what the folder holds, whole or not at all, and returns its path.

    Args:
        out: folder of a training: its `recipe.json` and the figures of its stages.
        under_way: whether the page shall reload itself.
        notes: lines at its top, such as what was warned of; those that begin with "warning" stand out.
    """
    recipe = _json(out / "recipe.json").get("recipe", {})
    found = {name: figures for name in STAGES if (figures := figures_of(out / f"{name}.jsonl"))}
    sizes = {name: samples_of(recipe, name) for name in found}
    title = f"Training {out.absolute().name}"
    when = "under way; the page reloads itself" if under_way else "ended"
    marks = yardsticks(recipe.get("robot", ""))
    content = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="note">{when}. The command that made it and every value of its recipe: recipe.json.</p>',
        *(_note(line) for line in notes),
        _overview(found, sizes, recipe),
        *(_stage(name, figures, sizes[name], marks) for name, figures in found.items()),
        _measured(marks),
    ]
    refresh = f'<meta http-equiv="refresh" content="{RELOAD_S}">\n' if under_way else ""
    page = filled_page(title, "\n".join(filter(None, content)), refresh)
    replace_files({out / PAGE: page.encode()})
    return out / PAGE


def filled_page(title: str, content: str, refresh: str = "") -> str:
    """A page with our style: a title in plain text, and HTML."""
    parts = {"{{title}}": html.escape(title), "{{refresh}}": refresh, "{{content}}": content}
    return re.sub("|".join(parts), lambda part: parts[part[0]], TEMPLATE.read_text(encoding="utf-8"))


def figures_of(path: Path) -> list[dict[str, float]]:
    """The figures of a stage, in order; none if it has not begun. Half a line, being written, is left out."""
    found = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                figures = json.loads(line)
            except ValueError:
                continue
            if isinstance(figures, dict) and "step" in figures:
                found.append(figures)
    return found


def samples_of(recipe: dict[str, Any], stage: str) -> int:
    """Questions or windows of a step; questions as a mean, since a recorded frame has only one.

    Args:
        recipe: as `recipe.as_dict` has it.
    """
    if stage != "interpreter":
        return int(recipe.get(stage, {}).get("batch", 1))
    scenes = recipe.get(stage, {})
    pictures, recorded = int(scenes.get("pictures", 1)), float(scenes.get("recorded_share", 0.0))
    if not scenes.get("pool", {}).get("scenes", 1):
        recorded = 1.0
    return round(pictures * (2 * recorded + int(scenes.get("group", 1)) * (1 - recorded)))


def _overview(found: dict[str, list[dict[str, float]]], sizes: dict[str, int], recipe: dict[str, Any]) -> str:
    rows = []
    for name, figures in found.items():
        last = next((f for f in reversed(figures) if "loss" in f), figures[-1])
        settings = recipe.get(name, {}).get("train", {})
        minutes, steps = float(settings.get("minutes", 0)), int(settings.get("steps", 0))
        length = f"{minutes:g} min" if minutes else f"{steps:,} steps"
        what = "questions" if name == "interpreter" else "windows"
        step, seconds = int(figures[-1]["step"]), float(last.get("seconds", 0.0))
        loss = f"{last['loss']:.3f}" if "loss" in last else ""
        samples = f"{step * sizes[name]:,} {what}"
        rows.append([STAGES[name], f"{step:,}", samples, in_words(seconds), length, loss])
    return (
        _table(["stage", "step", "seen", "for", "of", "loss"], rows)
        if rows
        else "<p>No step is done yet.</p>"
    )


def _stage(name: str, figures: list[dict[str, float]], size: int, marks: Sequence[Yardstick]) -> str:
    """One stage's charts."""
    reference, figures_html = curves().get(name, {}), []
    names = {key for each in figures for key in each}
    for title, unit, keys, log, marked in (*CHARTS.get(name, CHARTS["decoder"]), *COMMON):
        keys = [key for each in keys for key in sorted(fnmatch.filter(names, each))]
        lines = [Line(key, [(f["step"] * size, f[key]) for f in figures if key in f]) for key in keys]
        lines += [
            Line(f"{key}, {curves()['label']}", [(x, y) for x, y in reference[key]], reference=True)
            for key in keys
            if key in reference and marked
        ]
        levels = [
            Mark(one.label, one.figures[marked]) for one in marks if {marked} <= {*keys} & {*one.figures}
        ]
        figures_html.append(chart(title, unit, lines, levels, log))
    what = "questions" if name == "interpreter" else "windows"
    return (
        f"<h2>{html.escape(STAGES[name])}</h2>\n"
        f'<p class="note">Over the {what} seen. Dashed: trainings of ours, see below.</p>\n'
        f'<div class="charts">{"".join(figures_html)}</div>'
    )


def _measured(marks: Sequence[Yardstick]) -> str:
    """What trainings of ours had seen, and what came of them."""
    if not marks:
        return ""
    rows = [[one.label, one.seen, one.could, one.where] for one in marks]
    return (
        "<h2>What good looks like</h2>\n"
        '<p class="note">Trainings of ours, measured: a loss says little about how a policy drives. '
        "Other robots, cameras and tasks need more or less; <code>ideomotor eval</code> tells.</p>\n"
        + _table(["training", "had seen", "could then do", "where this is from"], rows)
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in headings)
    cells = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{cells}\n</tbody></table></div>'
    )


def _note(line: str) -> str:
    kind = ' class="warning"' if line.startswith("warning") else ""
    return f"<p{kind}>{html.escape(line)}</p>"


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
