"""The page of a training shows its figures beside ours, needs no network, and reloads meanwhile."""

import json
import re
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from ideomotor.train.recipe import as_dict, resolve
from ideomotor.train.reporting.charts import Line, Mark, chart
from ideomotor.train.reporting.metrics import Metrics
from ideomotor.train.reporting.page import PAGE, figures_of, write_page
from ideomotor.train.reporting.yardsticks import METAWORLD, SO101, curves


def training(out: Path, config: str = "quick") -> Path:
    """The folder of a training of both stages, half a line of which is being written."""
    out.mkdir()
    (out / "recipe.json").write_text(json.dumps({"recipe": as_dict(resolve(config))}))
    for name, figure in (("interpreter", "pixel_error"), ("decoder", "error_mrad_tick_48")):
        lines = [
            {"step": step, "loss": 4 / step, figure: 90 / step, "seconds": 2.0 * step, "samples_per_s": 32.0}
            for step in (1, 2, 4, 8, 50, 100)
        ]
        (out / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 1')
    return out


def svgs(page: str) -> list[xml.Element]:
    return [xml.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_the_page_has_the_curves_and_what_ours_reached(tmp_path: Path) -> None:
    out = training(tmp_path / "run<1>")
    page = write_page(out, notes=["warning: 6,400 windows are far from enough", "a note"]).read_text()
    assert not re.search(r"https?://|<script|src=|@import", page)
    assert "run&lt;1&gt;" in page and "run<1>" not in page
    assert "http-equiv" not in page
    assert '<p class="warning">warning: 6,400 windows are far from enough</p>' in page
    assert "6,400 windows" in page and "3 min" in page  # 100 steps of 64, 200 s
    for one in SO101:
        assert one.could.replace("&", "&amp;") in page
    assert len(svgs(page)) >= 6
    names = {label for svg in svgs(page) if (label := svg.get("aria-label"))}
    assert {"Loss", "Distance of the points", "Chunks beside the demonstrated ones"} <= names


@pytest.mark.parametrize("figure", ["error_mm_tick_48", "error_tick_48"])
def test_errors_in_other_units_are_drawn_without_levels_of_joints(tmp_path: Path, figure: str) -> None:
    out = training(tmp_path / "run")
    lines = (out / "decoder.jsonl").read_text().replace("error_mrad_tick_48", figure)
    (out / "decoder.jsonl").write_text(lines)
    page = write_page(out).read_text()
    assert f"— {figure}: 0.9" in page and "error_mrad" not in page.replace(".error_mrad", "")
    chunks = next(svg for svg in svgs(page) if svg.get("aria-label") == "Chunks beside the demonstrated ones")
    assert len(list(chunks.iter("polyline"))) == 1


def test_while_it_is_under_way_the_page_reloads_and_an_interrupted_one_does_not(tmp_path: Path) -> None:
    out = training(tmp_path / "run")
    with Metrics(out, "decoder", 0) as log:
        log.write({"step": 1, "loss": 2.5})
        assert "http-equiv" in (out / PAGE).read_text()
        log.write({"step": 2, "loss": 1.5})
    page = (out / PAGE).read_text()
    assert "http-equiv" in page and "1.500" in page  # of another stage, or of the end, more will come
    with pytest.raises(KeyboardInterrupt), Metrics(out, "decoder", 2) as log:
        raise KeyboardInterrupt
    assert "http-equiv" not in (out / PAGE).read_text()


def test_a_folder_without_anything_has_a_page_too(tmp_path: Path) -> None:
    page = write_page(tmp_path, under_way=True).read_text()
    assert "No step is done yet" in page and not svgs(page)


def test_half_a_line_is_not_a_figure(tmp_path: Path) -> None:
    out = training(tmp_path / "run")
    assert [figures["step"] for figures in figures_of(out / "decoder.jsonl")] == [1, 2, 4, 8, 50, 100]
    assert figures_of(out / "joint.jsonl") == []


def points_of(figure: str) -> list[list[tuple[float, float]]]:
    (svg,) = svgs(figure)
    lines = [line.get("points", "") for line in svg.iter("polyline")]
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in each.split())] for each in lines]


def test_a_chart_is_to_scale() -> None:
    (line, mark) = points_of(chart("t", "", [Line("a", [(0, 0), (50, 5), (100, 10)])], [Mark("m", 5)]))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11) and y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert {y for _, y in mark} == {y1}
    (line,) = points_of(chart("t", "", [Line("a", [(1, 1), (2, 10), (3, 100)])], log=True))
    assert line[0][1] - line[1][1] == pytest.approx(line[1][1] - line[2][1], abs=0.11)


def test_a_chart_leaves_out_what_cannot_be_drawn() -> None:
    nan, inf = float("nan"), float("inf")
    assert chart("t", "", [Line("a", [(1, nan), (2, inf)])]) == ""
    assert chart("t", "", [Line("theirs", [(1, 1.0)], reference=True)]) == ""
    (line,) = points_of(chart("t", "", [Line("a", [(1, 0.0), (2, 3.0), (3, -1.0), (4, 4.0)])], log=True))
    assert len(line) == 2
    (line,) = points_of(chart("t", "", [Line("a", [(x, 2.0) for x in range(5000)])]))
    assert len(line) <= 300
    own, reference = points_of(
        chart("t", "", [Line("a", [(1, 2.0), (10, 1.0)]), Line("r", [(x, 3.0) for x in range(1000)], True)])
    )
    assert own[-1][0] == pytest.approx(48 + 404 / 2, abs=1)  # theirs is shown to twice as far as this one is


def test_every_yardstick_says_what_it_had_seen_what_it_could_do_and_where_that_is_from() -> None:
    root = Path(__file__).parents[2]
    for one in (*SO101, *METAWORLD):
        assert re.search(r"\d of \d+", one.could), one.label
        assert f"{one.windows:,} windows" in one.seen, one.label
        assert (root / one.where.partition(",")[0]).is_file(), one.label
    assert [one.windows for one in SO101] == sorted(one.windows for one in SO101)
    assert curves()["label"]
