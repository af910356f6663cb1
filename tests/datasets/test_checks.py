import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import info, validate
from ideomotor.datasets.lerobot.file_group import parquet_bytes
from ideomotor.datasets.lerobot.reader import Dataset

DATA = "data/chunk-000/file-000.parquet"
FRONT = "videos/observation.images.front/chunk-000/file-000.mp4"


@pytest.fixture
def copy(tmp_path, recorded) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "copy"))


def change_column(root, name, change):
    """Rewrites one column of the data file, keeping its row groups."""
    path = root / DATA
    file = pq.ParquetFile(path)
    groups = []
    for i in range(file.num_row_groups):
        table = file.read_row_group(i)
        values = table[name].to_pylist()
        column = pa.array(change(values, i), table.schema.field(name).type)
        groups.append(table.set_column(table.column_names.index(name), name, column))
    path.write_bytes(parquet_bytes(groups))


def test_a_whole_dataset_has_no_problems(recorded, hashes):
    before = hashes(recorded)
    assert validate(recorded) == []
    assert hashes(recorded) == before


def test_info_says_what_there_is(recorded):
    found = info(recorded)
    assert found["format"] == "LeRobot v3.0"
    assert (found["robot"], found["episodes"], found["frames"], found["fps"]) == ("so101", 5, 60, 30)
    assert found["features"]["action"]["names"][0] == "shoulder_pan"
    assert len(found["tasks"]) == 2
    json.dumps(found)


def test_a_missing_video_is_named(copy):
    (copy / FRONT).unlink()
    assert validate(copy) == [{"where": str(copy / FRONT), "what": "no such video file"}]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_video_is_named(copy, share):
    data = (copy / FRONT).read_bytes()
    (copy / FRONT).write_bytes(data[: int(share * len(data))])
    assert {problem["where"] for problem in validate(copy)} == {str(copy / FRONT)}


def test_a_video_of_too_few_frames_is_named(copy, recorded, so101, make_episode, tmp_path):
    from ideomotor.datasets.lerobot import video

    (copy / FRONT).write_bytes(video.encode(make_episode(0, 55).images["front"], 30))
    problems = validate(copy)
    assert {"where": str(copy / FRONT), "what": "55 frames, expected 60"} in problems


def test_numbers_that_cannot_be_are_named(copy):
    change_column(copy, "observation.state", lambda rows, i: [[np.nan] * 6, *rows[1:]] if i == 2 else rows)
    change_column(copy, "action", lambda rows, i: [*rows[:-1], [9.0] * 6] if i == 0 else rows)
    change_column(copy, "timestamp", lambda rows, i: [t + 0.01 for t in rows] if i == 1 else rows)
    change_column(copy, "index", lambda rows, i: rows[::-1] if i == 3 else rows)
    change_column(copy, "task_index", lambda rows, i: [5] * len(rows) if i == 4 else rows)
    found = {problem["where"]: problem["what"] for problem in validate(copy)}
    assert found["episode 2: observation.state"] == "not finite at frame 0"
    assert found["episode 0: action"].startswith("gripper 9.0000 rad at frame 9, limits")
    assert found["episode 1: timestamp"].startswith("0.0100 s from frame_index / 30")
    assert found["episode 3: index"] == "expected 33 to 45 in steps of 1"
    assert found["episode 4: task_index"] == "outside of the 2 tasks"
    assert len(found) == 5


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("meta/info.json", "{", "meta/info.json: not readable as JSON"),
        ("meta/info.json", "[]", "got list, expected a JSON object"),
        ("meta/info.json", '{"codebase_version": "v1.6"}', "codebase_version: got 'v1.6', expected 'v3.0'"),
        ("meta/tasks.parquet", "PAR1", "meta/tasks.parquet: not readable as parquet"),
        ("meta/episodes/chunk-000/file-000.parquet", "", "file-000.parquet: not readable as parquet"),
        ("meta/stats.json", "{}", "meta/stats.json: no statistics of"),
        (DATA, "PAR1", "data/chunk-000/file-000.parquet: not readable as parquet"),
    ],
)
def test_a_damaged_file_is_named(copy, name, text, message):
    (copy / name).write_text(text)
    problems = validate(copy)
    assert len(problems) == 1
    assert message in f"{problems[0]['where']}: {problems[0]['what']}"
    assert "\n" not in problems[0]["what"]


def test_paths_that_lead_out_of_the_dataset_are_refused(copy):
    found = json.loads((copy / "meta/info.json").read_text())
    (copy / "meta/info.json").write_text(json.dumps(found | {"data_path": "../{chunk_index}.parquet"}))
    with pytest.raises(UserError, match="data_path: .* leads out of the dataset"):
        Dataset(copy)
