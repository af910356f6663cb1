"""A damaged or odd dataset always has a way out, and messages name the file and the cause."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.checking.repair import repair
from ideomotor.datasets.importing.convert import convert
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.cache import open_cache
from ideomotor.datasets.loading.loader import WindowLoader

LENGTHS = (7, 9, 5, 8)


@pytest.fixture(scope="module")
def made(foreign):
    return foreign.recordings(LENGTHS)


@pytest.fixture
def old(foreign, made, tmp_path):
    """A v2.1 dataset of four episodes."""
    return foreign.write_v2(tmp_path / "old", made)


def data(root, episode):
    return root / f"data/chunk-00{episode // 2}/episode_{episode:06d}.parquet"


def film(root, episode):
    return root / f"videos/chunk-00{episode // 2}/observation.images.top/episode_{episode:06d}.mp4"


def change(path, name, values):
    table = pq.read_table(path)
    at = table.column_names.index(name)
    pq.write_table(table.set_column(at, name, pa.array(values(table), table.schema[at].type)), path)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def lost_film(root):
    film(root, 1).unlink()


def cut_film(root):
    film(root, 1).write_bytes(film(root, 1).read_bytes()[:900])


def lost_rows(root):
    data(root, 1).unlink()


def cut_rows(root):
    data(root, 1).write_bytes(data(root, 1).read_bytes()[:700])


def not_a_number(root):
    change(data(root, 1), "action", lambda table: [[np.nan] * 6, *table["action"].to_pylist()[1:]])


def too_many_rows(root):
    """More rows than pictures."""
    table = pq.read_table(data(root, 1))
    pq.write_table(pa.concat_tables([table, table]), data(root, 1))


def wrong_length(root):
    rows = lines(root / "meta/episodes.jsonl")
    rows[1]["length"] += 2
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def cut_lines(root):
    path = root / "meta/episodes.jsonl"
    path.write_text(path.read_text()[:-20])


def lost_tasks(root):
    (root / "meta/tasks.jsonl").unlink()


def wrong_counts(root):
    path = root / layout.INFO
    path.write_text(json.dumps(json.loads(path.read_text()) | {"total_episodes": 7, "total_frames": -1}))


def lost_statistics(root):
    (root / "meta/episodes_stats.jsonl").unlink()


def twice(root):
    """An episode repeats another."""
    shutil.copy(data(root, 1), data(root, 3))
    change(data(root, 3), "episode_index", lambda table: [3] * len(table))
    for camera in ("top", "side"):
        source, target = (film(root, number) for number in (1, 3))
        name = f"observation.images.{camera}"
        shutil.copy(source.parent.with_name(name) / source.name, target.parent.with_name(name) / target.name)


# damage: (the episodes that are left, words of what was done)
OLD = {
    lost_film: (
        [0, 2, 3],
        "episode 1: dropped: videos/chunk-000/observation.images.top/episode_000001.mp4: no",
    ),
    cut_film: ([0, 2, 3], "episode 1: dropped: videos/chunk-000/observation.images.top/episode_000001.mp4"),
    lost_rows: ([0, 2, 3], "episode 1: dropped: data/chunk-000/episode_000001.parquet: no such file"),
    cut_rows: ([0, 2, 3], "episode 1: dropped: data/chunk-000/episode_000001.parquet: not readable"),
    not_a_number: ([0, 2, 3], "episode 1: dropped: action: not finite at frame 0"),
    too_many_rows: ([0, 2, 3], "episode_000001.mp4: ends at frame 9, expected 18 frames"),
    wrong_length: ([0, 1, 2, 3], "episode 1: length: was 11, has 9 rows"),
    cut_lines: ([0, 1, 2, 3], "meta/episodes.jsonl: left out: line 4: not readable as JSON"),
    lost_tasks: ([0, 1, 2, 3], "meta/tasks.jsonl: made again from meta/episodes.jsonl: no such file"),
    wrong_counts: ([0, 1, 2, 3], ""),
    lost_statistics: ([0, 1, 2, 3], ""),
    # renumbered, and back again
    twice: ([0, 1, 2], "episode 3: dropped: a duplicate of episode 1"),
}


@pytest.mark.parametrize("damage", OLD, ids=lambda damage: damage.__name__)
def test_a_damaged_old_dataset_becomes_a_whole_one(damage, old, made, tmp_path, hashes):
    kept, words = OLD[damage]
    damage(old)
    before = hashes(old)
    done = repair(old, tmp_path / "fixed")
    said = [f"{step['where']}: {step['what']}" for step in done]
    assert any(words in line for line in said) or not words, said
    assert not any(str(tmp_path) in line for line in said), said
    assert validate(tmp_path / "fixed") == []
    dataset = Dataset(tmp_path / "fixed")
    assert dataset.info["codebase_version"] == "v3.0" and len(dataset) == len(kept)
    for episode, number in enumerate(kept):
        columns = dataset.columns(episode)
        assert np.array_equal(columns["action"], made[number].action)
        assert dataset.tasks[columns["task_index"][0]] == made[number].task
        found = dataset.frames(episode, "top", range(made[number].length)).astype(int)
        assert np.abs(found - made[number].images["top"]).mean() < 3
    assert hashes(old) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fixed", "old"]


def test_an_old_dataset_without_a_usable_episode_leaves_nothing(old, tmp_path):
    shutil.rmtree(old / "videos")
    with pytest.raises(UserError, match=r"no episode of it can be used .*no such video file"):
        repair(old, tmp_path / "fixed")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("damage", [lost_film, cut_rows, not_a_number, too_many_rows])
def test_a_conversion_stops_at_a_damaged_episode_or_skips_it(damage, old, made, tmp_path):
    damage(old)
    with pytest.raises(UserError, match=r"(episode 1|episode_000001).*--skip-damaged leaves such an episode"):
        convert(old, tmp_path / "out")
    assert len(Dataset(tmp_path / "out")) == 1
    result = convert(old, tmp_path / "out", skip_damaged=True)  # goes on
    assert (result["episodes"], result["frames"]) == (3, 20)
    assert [item["what"] for item in result["left_out"]] == [f"{old}: episode 1"]
    again = convert(old, tmp_path / "out", skip_damaged=True)
    assert (again["episodes"], again["left_out"]) == (3, [])
    dataset = Dataset(tmp_path / "out")
    assert validate(tmp_path / "out") == []
    assert dataset.episodes["source_episode"].to_pylist() == [0, 2, 3]
    assert np.array_equal(dataset.columns(1)["action"], made[2].action)


def test_names_may_be_an_object_of_numbers(foreign, made, so101, tmp_path):
    numbers = {name: i for i, name in reversed(list(enumerate(foreign.JOINTS)))}
    root = foreign.write_v2(tmp_path / "a", made, names=numbers)
    assert layout.component_names(Dataset(root).meta.features["action"]) == list(foreign.JOINTS)
    convert(root, tmp_path / "out", embodiment=so101, mapping=["top=front", "side=wrist"])
    assert layout.component_names({"shape": [2], "names": {"axes": ["x", "y"]}}) == ["x", "y"]
    assert layout.component_names({"shape": [2], "names": {"x": 0, "y": 2}}) != ["x", "y"]


@pytest.fixture
def without_tasks(foreign, tmp_path):
    """A v3.0 dataset whose tasks.parquet is lost, and whose episodes do not begin with task 0."""
    made = foreign.recordings((7, 9, 5, 8))
    root = foreign.write_v3(tmp_path / "a", made)
    for path in root.glob("data/*/*.parquet"):
        change(path, "task_index", lambda table: [1 - i for i in table["task_index"].to_pylist()])
    (root / layout.TASKS).unlink()
    return root, made


def test_instructions_are_those_of_the_episode_table_where_their_file_is_lost(without_tasks, tmp_path):
    root, made = without_tasks
    dataset = Dataset(root)
    assert dataset.tasks == ["open the drawer", "pick up the cube"]
    for episode, recording in enumerate(made):
        assert dataset.tasks[dataset.columns(episode)["task_index"][0]] == recording.task
    said = {problem["where"]: problem["what"] for problem in validate(root)}
    assert said["meta/tasks.parquet"] == "no such file; its texts are those of the episode table"
    cache = open_cache(root, 48, 64, cache_root=tmp_path / "cache")
    assert list(cache.vocabulary["task"]) == dataset.tasks
    for out in (tmp_path / "converted", tmp_path / "fixed"):
        convert(root, out) if out.name == "converted" else repair(root, out)
        found = Dataset(out)
        tasks = [found.tasks[found.columns(e)["task_index"][0]] for e in range(4)]
        assert tasks == [recording.task for recording in made]
        assert validate(out) == []


def test_instructions_that_cannot_be_told_are_not_guessed(without_tasks):
    root, _ = without_tasks
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    change(path, "tasks", lambda table: [["pick up the cube", "open the drawer"]] * len(table))
    for file in root.glob("data/*/*.parquet"):
        change(file, "task_index", lambda table: [i % 2 for i in range(len(table))])
    with pytest.raises(UserError, match=r"tasks.parquet: no such file, and the episode table does not tell"):
        Dataset(root)
    change(path, "tasks", lambda table: [[]] * len(table))
    with pytest.raises(UserError, match=r"tasks.parquet: no such file, and the episodes do not name"):
        Dataset(root)


def test_a_broken_rate_trains_and_converts(foreign, made, so101, tmp_path):
    root = foreign.write_v2(tmp_path / "a", made, names=tuple(foreign.JOINTS))
    path = root / layout.INFO
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fps": 29.97}))
    for episode in range(4):
        change(data(root, episode), "timestamp", lambda table: [i / 29.97 for i in range(len(table))])
        for camera in ("top", "side"):
            name = film(root, episode).name
            chunk = film(root, episode).parent.with_name(f"observation.images.{camera}")
            (chunk / name).write_bytes(rewritten(made[episode].images[camera], 29.97))
    assert not [p for p in validate(root) if "mp4" in p["where"]]
    convert(root, tmp_path / "out", embodiment=so101, mapping=["top=front", "side=wrist"])
    dataset = Dataset(tmp_path / "out")
    assert dataset.fps == 29.97 and validate(tmp_path / "out") == []
    for episode, recording in enumerate(made):
        found = dataset.frames(episode, "front", range(recording.length)).astype(int)
        assert np.abs(found - recording.images["top"]).mean() < 3
    batch = WindowLoader([tmp_path / "out"], so101, 10, 4, cache_root=tmp_path / "cache").batch(0)
    assert batch.actions.shape == (4, 10, 6)


def rewritten(images, fps):
    from ideomotor.datasets.lerobot.video import encode

    return encode(images, fps, quantizer=8)


@pytest.mark.parametrize(
    ("damage", "where", "what"),
    [
        (lambda root: (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": " "}\n'),
         "meta/tasks.jsonl", "task 0 is empty"),
        (lambda root: lost_tasks(root), "meta/tasks.jsonl", "no such file"),
        (lambda root: (root / "meta/episodes_stats.jsonl").write_text("{"),
         "meta/episodes_stats.jsonl", "line 1: not readable as JSON"),
        (lambda root: lost_statistics(root), "meta/stats.json", "no such file"),
    ],
)  # fmt: skip
def test_problems_of_old_layouts_name_files_that_there_are(old, damage, where, what):
    damage(old)
    said = [(problem["where"], problem["what"]) for problem in validate(old)]
    assert any(place == where and what in text for place, text in said), said
    assert not [place for place, _ in said if place == "meta/tasks.parquet"]


def test_a_lost_episode_table_is_said_to_be_lost(foreign, made, tmp_path):
    root = foreign.write_v3(tmp_path / "a", made)
    (root / "meta/episodes/chunk-000/file-000.parquet").unlink()
    [problem] = validate(root)
    assert "meta/episodes/chunk-000/file-000.parquet: no such file" in problem["what"]
