"""The page of an evaluation says what its JSON says, in a real browser, on a desk and on a phone."""

import html
import io
import random
import re

import numpy as np
import pytest
from PIL import Image

from ideomotor.eval.reporting.report import LISTED, render_html
from ideomotor.eval.run import EpisodeRow
from ideomotor.eval.stats import sequential
from ideomotor.eval.suites import suite
from ideomotor.eval.summary import summary

HOSTILE = (
    'put <script>alert("x")</script> & the {box} into a-very-long-word-that-does-not-want-to-break-at-all'
)


def rows_of(episodes=12, tasks=("reach", "push", "sort", "drawer")):
    """Rows of tasks of which the first is always solved and the last never."""
    rng = random.Random(0)
    rows = []
    for spec in suite("builtin", tasks, episodes, 1_000_000):
        solved = rng.random() < 1 - tasks.index(spec.task) / (len(tasks) - 1)
        done = rng.choice([0, 1 / 3])
        rows.append(
            EpisodeRow(
                spec=spec,
                instruction=HOSTILE,
                policy_instruction=HOSTILE,
                success=solved,
                seconds=rng.uniform(1, 5) if solved else 12.0,
                progress=1.0 if solved else done,
                failed_at="" if solved else "carry the cube" if done else "grasp the cube",
                interventions=rng.randrange(40),
                holds=rng.randrange(2),
                jerk_ratio=rng.uniform(1, 1.5),
                boundary_jerk=900.0,
                interior_jerk=700.0,
                largest_step=0.01,
            )
        )
    return rows


def jpeg(width=586):
    image = io.BytesIO()
    Image.fromarray(np.full((96, width, 3), 90, np.uint8)).save(image, "JPEG")
    return image.getvalue()


def per_cent(share):
    return f"{100 * share:.1f}"


def expected_rates(results):
    counts = [(rate["successes"], rate["episodes"]) for rate in results["tasks"].values()]
    counts.append((sum(s for s, _ in counts), sum(n for _, n in counts)))
    shares = [*results["tasks"].items(), ("all", results["mean"])]
    return [
        [
            name,
            f"{solved} / {n}",
            f"{per_cent(rate['rate'])} %",
            f"{per_cent(rate['low'])} to {per_cent(rate['high'])} %",
            "",
        ]
        for (name, rate), (solved, n) in zip(shares, counts, strict=True)
    ]


def expected_figures(results):
    table = []
    for name, found in [*results["tasks"].items(), ("all", results["mean"])]:
        time = found["success_seconds"]
        table.append(
            [
                name,
                f"{time['median']:.1f} s ({time['q25']:.1f} to {time['q75']:.1f})" if time else "",
                "",
                f"{per_cent(found['progress'])} %",
                f"{found['jerk_ratio']:.2f}",
                f"{found['interventions']:.1f}",
                f"{found['holds']:.2f}",
            ]
        )
    return table


def cells(browser, name):
    rows = f"[...document.querySelectorAll('#{name} tbody tr')]"
    return browser.run(f"{rows}.map(row => [...row.cells].map(cell => cell.textContent))")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1300, 900), (390, 844)], ids=["desk", "phone"])
def test_a_browser_shows_what_the_json_says(open_browser, tmp_path, size):
    rows = rows_of()
    results = summary("builtin", "runs/<mine>", rows)
    strips = {row.spec: jpeg() for row in rows if not row.success}
    (tmp_path / "report.html").write_text(render_html(results, strips))
    browser = open_browser(*size)
    browser.open((tmp_path / "report.html").as_uri())
    assert browser.run("document.querySelector('h1').textContent") == "Suite “builtin”, policy “runs/<mine>”"
    assert cells(browser, "rates") == expected_rates(results)
    assert cells(browser, "figures") == expected_figures(results)
    failures = [row for row in rows if not row.success]
    counts = [int(cell[2].split(" of ")[0]) for cell in cells(browser, "failures")]
    assert sum(counts) == len(failures) == browser.run("document.images.length")
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth == 586)")
    browser.run("document.querySelector('details').open = true")
    episodes = cells(browser, "episodes")
    assert [cell[1] for cell in episodes] == [str(row.spec.seed) for row in rows]
    assert all(cell[2] == HOSTILE for cell in episodes)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "nothing to scroll sideways"
    bars = "[...document.querySelectorAll('#rates .bar')].every(bar => bar.getBoundingClientRect().width > 40"
    assert browser.run(f"{bars} && bar.getBoundingClientRect().right <= innerWidth)")
    assert browser.complaints == []


def test_the_page_fetches_nothing_and_stays_small():
    rows = rows_of(episodes=300)
    results = summary("builtin", "x", rows)
    page = render_html(results, {row.spec: jpeg() for row in rows if not row.success})
    addresses = re.findall(r'(?:src|href)="([^"]{0,12})', page)
    assert set(addresses) == {"data:,", "data:image/j", "http://127.0"}  # the last is a link only
    assert "url(" not in page and "@import" not in page and "<script" not in page
    assert html.escape(HOSTILE) in page
    assert f"{len(rows) - LISTED} more are in results.json" in page
    assert page.count("<tr>") < LISTED + 60


def test_levels_of_difficulty_have_a_table_of_their_own():
    levels = {"reach": "easy", "push": "easy", "sort": "hard", "drawer": "hard"}
    results = summary("mt50", "x", rows_of(), levels=levels)
    average = results["level_average"]
    page = render_html(results)
    shown = page[page.index('id="levels"') :].partition("</table>")[0]
    assert f'<td>easy</td><td class="number">{results["levels"]["easy"]["successes"]} / 24</td>' in shown
    assert f"{per_cent(average['rate'])} %" in shown
    assert f"{per_cent(average['low'])} to {per_cent(average['high'])} %" in shown
    assert 'id="levels"' not in render_html(summary("builtin", "x", rows_of()))


def test_an_evaluation_that_stopped_early_says_so():
    specs = suite("builtin", ["reach", "lift"], 50, 0)
    rows = [row for row in rows_of(8, ("reach", "lift")) if row.spec.task == "reach"]
    rows += [row for row in rows_of(8, ("reach", "lift")) if row.spec.task == "lift"]
    stopping = sequential.figures(specs, rows, 0.5)
    results = summary("builtin", "x", rows, stopping)
    assert {task: found["verdict"] for task, found in stopping["tasks"].items()} == {
        "reach": "above",
        "lift": "below",
    }
    assert results["tasks"]["reach"]["low"] == sequential.bounds(8, 8)[0]
    assert results["mean"]["low"] < results["mean"]["rate"] == 0.5 < results["mean"]["high"]
    page = render_html(results)
    assert "reach above after 8 of 50" in page and "confidence sequence" in page and "Wilson" not in page


def test_an_expert_that_never_fails_has_no_failures_and_no_hand_overs():
    rows = [EpisodeRow(**{**vars(row), "jerk_ratio": None}) for row in rows_of() if row.success]
    page = render_html(summary("builtin", "expert", rows))
    assert "Failures" not in page
