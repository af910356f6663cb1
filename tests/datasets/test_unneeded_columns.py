"""A column that nobody asks for never makes a dataset unusable: read what is asked for, list the rest.

Annotations are as LeRobot writes them today (`language_persistent`, `language_events`: lists of records,
dtype "language", shape [1]); the other columns have gaps, rows of different lengths, or NaN.
"""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.checking.repair import repair
from ideomotor.datasets.checking.summary import statistics
from ideomotor.datasets.importing.convert import convert
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.viewing import page

DATA = "data/chunk-000/file-000.parquet"
EVENT = [("role", pa.string()), ("content", pa.string()), ("style", pa.string()), ("camera", pa.string()),
         ("tool_calls", pa.list_(pa.string()))]  # fmt: skip
PERSISTENT = [*EVENT[:3], ("timestamp", pa.float32()), *EVENT[3:]]
LANGUAGE = {"dtype": "language", "shape": [1], "names": None}
NUMBERS = {"dtype": "float32", "shape": [2], "names": None}


def persistent(rows):
    said = {"role": "assistant", "content": "reach", "style": "subtask", "timestamp": 0.0, "camera": None,
            "tool_calls": None}  # fmt: skip
    return pa.array([[said, said | {"style": "plan"}]] * rows, pa.list_(pa.struct(PERSISTENT)))


def events(rows):
    call = {"role": "assistant", "content": None, "style": None, "camera": None, "tool_calls": ["{}"]}
    return pa.array([[call] if i % 4 == 0 else [] for i in range(rows)], pa.list_(pa.struct(EVENT)))


def gaps(rows):
    return pa.array([None if i == 2 else [0.0, float(i)] for i in range(rows)], pa.list_(pa.float32()))


def ragged(rows):
    return pa.array([[0.5] * (i % 3) for i in range(rows)], pa.list_(pa.float32()))


def not_a_number(rows):
    return pa.array([[np.nan if i == 3 else 1.0, float(i)] for i in range(rows)], pa.list_(pa.float32(), 2))


COLUMNS = {
    "language_persistent": (persistent, LANGUAGE, "lists of records, not numbers or texts"),
    "language_events": (events, LANGUAGE, "lists of records, not numbers or texts"),
    "tactile": (gaps, NUMBERS, "values are missing"),
    "contacts": (ragged, NUMBERS, "rows of different lengths"),
    "force": (not_a_number, NUMBERS, "not finite"),
}
DAMAGED = ["tactile", "contacts", "force"]  # what the others need no word about


@pytest.fixture(scope="module")
def annotated(recorded, tmp_path_factory):
    """The recording of five episodes with all of these columns; not to be changed."""
    root = tmp_path_factory.mktemp("annotated") / "five"
    shutil.copytree(recorded, root)
    table = pq.read_table(root / DATA)
    for name, (make, _, _) in COLUMNS.items():
        table = table.append_column(name, make(len(table)))
    pq.write_table(table, root / DATA, row_group_size=10)
    info = json.loads((root / layout.INFO).read_text())
    info["features"] |= {name: feature for name, (_, feature, _) in COLUMNS.items()}
    (root / layout.INFO).write_text(json.dumps(info))
    stats = json.loads((root / layout.STATS).read_text())
    stats["force"] = {key: [float("nan")] * 2 for key in ("min", "max", "mean", "std", "count")}
    (root / layout.STATS).write_text(json.dumps(stats))
    return root


def test_what_is_asked_for_is_read_and_no_more(annotated, recorded):
    dataset, plain = Dataset(annotated), Dataset(recorded)
    names = [layout.STATE, layout.ACTION, "task_index"]
    for episode in range(5):
        found = dataset.columns(episode, names)
        assert all(np.array_equal(found[name], plain.columns(episode)[name]) for name in names)
    everything, left_out = dataset.read_columns(0)
    assert plain.columns(0).keys() <= everything.keys()
    for name in COLUMNS.keys() - {"force"}:
        assert COLUMNS[name][2] in left_out[name]
        with pytest.raises(UserError, match=f"file-000.parquet: {name}: .*{COLUMNS[name][2]}"):
            dataset.columns(0, [name])
    assert np.isnan(dataset.columns(0, ["force"])["force"]).sum() == 1


def test_it_trains_with_the_same_windows(annotated, recorded, so101, tmp_path):
    batches = [
        WindowLoader([root], so101, 10, 8, cache_root=tmp_path / root.name).batch(3)
        for root in (annotated, recorded)
    ]
    assert np.array_equal(batches[0].actions, batches[1].actions)
    for name in ("state", "progress", "index"):
        assert np.array_equal(getattr(batches[0].now, name), getattr(batches[1].now, name))
    assert batches[0].at_plan.plan_text == batches[1].at_plan.plan_text


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("progress", pa.array([[0.5, 1.0]] * 60, pa.list_(pa.float32()))),
        ("plan_text", pa.array([None] * 60, pa.string())),
        ("subtask", persistent(60)),
        ("observation.keypoints", ragged(60)),
        ("progress", pa.array([np.nan] * 60, pa.float32())),
    ],
)
def test_extras_of_another_form_are_done_without_and_named(recorded, so101, tmp_path, name, values):
    """Columns with a name that our own recordings use, but made by somebody else."""
    root = tmp_path / "other"
    shutil.copytree(recorded, root)
    table = pq.read_table(root / DATA)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), root / DATA)
    loader = WindowLoader([root], so101, 10, 8, cache_root=tmp_path / "cache")
    assert [f"{name} is not used: episode 0" in note for note in loader.notes] == [True]
    batch = loader.batch(0)
    if name in ("progress", "observation.keypoints"):
        assert np.isnan(getattr(batch.now, name.rpartition(".")[2])).all()
    else:
        assert (batch.subtask if name == "subtask" else batch.now.plan_text) == [""] * 8
    again = WindowLoader([root], so101, 10, 8, cache_root=tmp_path / "cache")
    assert again.notes == loader.notes  # also from the cache


def test_what_training_needs_is_still_refused(recorded, so101, tmp_path):
    root = tmp_path / "other"
    shutil.copytree(recorded, root)
    table = pq.read_table(root / DATA)
    column = table.column_names.index("action.high_rate")
    pq.write_table(table.set_column(column, "action.high_rate", ragged(60)), root / DATA)
    with pytest.raises(UserError, match=r"action.high_rate: rows of different lengths \[0, 1, 2\]"):
        WindowLoader([root], so101, 10, 8, cache_root=tmp_path / "cache")


def test_validate_names_what_is_damaged_and_not_what_is_no_array(annotated):
    said = [f"{p['where']}: {p['what']}" for p in validate(annotated)]
    assert any("episode 0: tactile: 1 values are missing" in line for line in said)
    assert any("episode 0: contacts: rows of different lengths [0, 1, 2]" in line for line in said)
    assert any("episode 0: force: not finite at frame 3" in line for line in said)
    assert not any("language" in line for line in said)


def test_a_page_shows_the_rest(annotated, tmp_path):
    dataset = Dataset(annotated)
    assert page.write_page(dataset, tmp_path / "page.html", [0, 1]) > 0
    content = json.loads((tmp_path / "page.html").read_text().split('id="data">')[1].split("</script>")[0])
    values = content["episodes"][0]["values"]
    assert {"observation.state", "action", "force"} <= values.keys() and "tactile" not in values
    assert not any("language" in line["feature"] for chart in content["charts"] for line in chart["lines"])
    not_shown = page.not_shown(dataset, [0, 1])
    assert not_shown.keys() == COLUMNS.keys() - {"force"}


def test_exact_statistics_are_of_what_is_finite(annotated, recorded):
    found = statistics(annotated, exact=True)
    assert found["action"] == statistics(recorded, exact=True)["action"]
    rows = np.arange(60)[np.arange(60) != 3]
    assert found["force"]["count"] == 59 and found["force"]["mean"][1] == pytest.approx(rows.mean())
    assert statistics(annotated)["force"] == {"why_not": "min is missing or not finite"}


def test_a_conversion_lists_what_it_leaves_out(annotated, recorded, tmp_path):
    result = convert(annotated, tmp_path / "out")
    said = {item["what"]: item["why"] for item in result["left_out"]}
    assert said.keys() == COLUMNS.keys()
    assert all(COLUMNS[name][2] in why for name, why in said.items())
    assert (result["episodes"], result["frames"]) == (5, 60)
    assert np.array_equal(
        Dataset(tmp_path / "out").columns(3)["action"], Dataset(recorded).columns(3)["action"]
    )
    assert validate(tmp_path / "out") == []


def test_a_repair_keeps_every_episode_and_what_it_can_hold(annotated, recorded, tmp_path):
    done = repair(annotated, tmp_path / "fixed")
    assert not [step for step in done if step["what"].startswith("dropped")]
    said = " ".join(step["what"] for step in done)
    assert all(f"column {name} left out" in said for name in DAMAGED)
    fixed = Dataset(tmp_path / "fixed")
    assert len(fixed) == 5 and validate(tmp_path / "fixed") == []
    assert not {*DAMAGED} & fixed.meta.features.keys()
    table = pq.read_table(tmp_path / "fixed" / DATA)
    assert table["language_persistent"].to_pylist() == persistent(60).to_pylist()  # held as it is
    assert table["language_events"].to_pylist() == events(60).to_pylist()
    assert np.array_equal(table["action"].to_pylist(), pq.read_table(recorded / DATA)["action"].to_pylist())


def test_two_columns_of_one_name_harm_nobody_who_asks_for_neither(recorded, tmp_path):
    root = tmp_path / "twice"
    shutil.copytree(recorded, root)
    table = pq.read_table(root / DATA)
    for values in (np.arange(60.0), np.ones(60)):
        table = table.append_column("extra", pa.array(values))
    pq.write_table(table, root / DATA)
    dataset = Dataset(root)
    assert np.array_equal(dataset.columns(2)["action"], Dataset(recorded).columns(2)["action"])
    assert dataset.read_columns(2)[1] == {"extra": "2 columns of this name"}
    with pytest.raises(UserError, match=r"file-000.parquet: extra: 2 columns of this name"):
        dataset.columns(2, ["extra"])
    done = repair(root, tmp_path / "fixed")
    assert {"where": "data", "what": "column extra left out: several columns of this name"} in done
    assert validate(tmp_path / "fixed") == []
    names = ["action" if name == "extra" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), root / DATA)
    with pytest.raises(UserError, match=r"action: 3 columns of this name"):
        Dataset(root).columns(2, ["action"])
