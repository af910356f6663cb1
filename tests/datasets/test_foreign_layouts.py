"""Datasets of other tools, in every layout: what was written is read, and damage is named."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import info, validate
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.cache import open_cache

LAYOUTS = {
    "v2.0": ("write_v2", {"version": "v2.0"}),
    "v2.1": ("write_v2", {"version": "v2.1"}),
    "v2.1 with images": ("write_v2", {"version": "v2.1", "inline": True}),
    "v3.0": ("write_v3", {}),
    "v3.0 with images": ("write_v3", {"inline": True}),
}


@pytest.fixture(scope="module")
def made(foreign):
    return foreign.recordings()


@pytest.fixture(scope="module")
def layouts(foreign, made, tmp_path_factory):
    """{name: a folder in that layout}; not to be changed."""
    root = tmp_path_factory.mktemp("layouts")
    return {
        name: getattr(foreign, writer)(root / name.replace(" ", "_"), made, **options)
        for name, (writer, options) in LAYOUTS.items()
    }


@pytest.fixture(scope="module", params=LAYOUTS)
def folder(request, layouts):
    return layouts[request.param]


def test_values_are_those_that_were_written(folder, made):
    dataset = Dataset(folder)
    assert len(dataset) == 3
    assert dataset.starts.tolist() == [0, 7, 16, 21]
    for episode in (2, 0, 1):
        columns = dataset.columns(episode)
        assert np.array_equal(columns["observation.state"], made[episode].state)
        assert np.array_equal(columns["action"], made[episode].action)
        assert dataset.tasks[columns["task_index"][0]] == made[episode].task
        assert not [name for name in columns if "images" in name]


def test_frames_are_those_that_were_written(folder, made):
    dataset = Dataset(folder)
    tolerance = 0 if "images" in folder.name else 8  # the codec's
    assert dataset.cameras == ["top", "side"]
    for episode, recording in enumerate(made):
        for camera, images in recording.images.items():
            order = np.random.default_rng(episode).permutation(len(images))
            found = dataset.frames(episode, camera, order).astype(int)
            assert np.abs(found - images[order]).max() <= tolerance


def test_the_cache_holds_all_frames_in_order(folder, made, tmp_path):
    cache = open_cache(Dataset(folder), 48, 64, cache_root=tmp_path)
    for camera in ("top", "side"):
        images = np.concatenate([recording.images[camera] for recording in made]).astype(int)
        assert np.abs(cache.images[camera][np.arange(21)] - images).max() <= 8
    assert np.array_equal(cache.columns["action"], np.concatenate([r.action for r in made]))


def test_statistics_are_those_of_the_values(folder, made):
    found = Dataset(folder).stats["action"]
    actions = np.concatenate([recording.action for recording in made])
    assert np.allclose(found["mean"], actions.mean(0), atol=1e-6)
    assert np.allclose(found["std"], actions.std(0), atol=1e-6)
    assert np.allclose(found["max"], actions.max(0))
    assert found["count"] == 21


def test_info_says_what_there_is(folder):
    found = info(folder)
    assert found["format"] == f"LeRobot {folder.name[:4]}"
    assert (found["episodes"], found["frames"], found["fps"], len(found["tasks"])) == (3, 21, 10, 2)
    json.dumps(found)


def test_a_whole_dataset_has_no_problems_but_statistics_of_images(folder, hashes):
    before = hashes(folder)
    assert {problem["where"] for problem in validate(folder)} <= {
        "meta/stats.json",
        "meta/episodes_stats.jsonl",
    }
    assert hashes(folder) == before


def test_counters_that_are_missing_are_made_up(foreign, made, tmp_path):
    drop = ("timestamp", "frame_index", "episode_index", "index", "task_index")
    dataset = Dataset(foreign.write_v2(tmp_path / "bare", made, drop=drop))
    columns = dataset.columns(1)
    assert np.array_equal(columns["index"], np.arange(7, 16))
    assert np.array_equal(columns["frame_index"], np.arange(9))
    assert np.allclose(columns["timestamp"], np.arange(9) / 10)
    assert dataset.tasks[columns["task_index"][0]] == made[1].task


def test_instructions_without_a_file_are_those_of_the_episodes(foreign, made, tmp_path):
    root = foreign.write_v2(tmp_path / "a", made)
    (root / "meta/tasks.jsonl").unlink()
    assert Dataset(root).tasks == ["pick up the cube", "open the drawer"]


def test_episodes_may_be_missing_in_the_middle(foreign, made, tmp_path):
    """As left by people who delete a bad episode's files and its line."""
    root = foreign.write_v2(tmp_path / "a", made)
    found = json.loads((root / "meta/info.json").read_text())
    found |= {"total_episodes": 2, "total_frames": 12}
    (root / "meta/info.json").write_text(json.dumps(found))
    kept = [line for i, line in enumerate((root / "meta/episodes.jsonl").read_text().splitlines()) if i != 1]
    (root / "meta/episodes.jsonl").write_text("\n".join(kept))
    (root / "data/chunk-000/episode_000001.parquet").unlink()
    dataset = Dataset(root)
    assert np.array_equal(dataset.columns(1)["action"], made[2].action)
    frames = dataset.frames(1, "side", [4])[0].astype(int)
    assert np.abs(frames - made[2].images["side"][4]).max() <= 8


def test_shapes_with_channels_first_and_names_in_an_object(foreign, made, tmp_path):
    root = foreign.write_v2(tmp_path / "a", made, names={"motors": list(foreign.JOINTS)})
    found = json.loads((root / "meta/info.json").read_text())
    for name in ("top", "side"):
        picture = {"shape": [3, 48, 64], "names": ["channels", "height", "width"]}
        found["features"][f"observation.images.{name}"] |= picture
    (root / "meta/info.json").write_text(json.dumps(found))
    assert info(root)["features"]["observation.images.top"]["shape"] == [48, 64, 3]
    assert not [problem for problem in validate(root) if "stats" not in problem["where"]]


def test_depth_maps_are_not_cameras(foreign, made, tmp_path):
    root = foreign.write_v2(tmp_path / "a", made)
    found = json.loads((root / "meta/info.json").read_text())
    found["features"]["observation.images.side"]["info"] = {"video.is_depth_map": True}
    (root / "meta/info.json").write_text(json.dumps(found))
    assert Dataset(root).cameras == ["top"]


def test_an_image_may_lie_in_a_file_of_the_dataset_only(foreign, made, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = foreign.write_v2(tmp_path / "a", made[:1], inline=True)
    path = root / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(path)
    (root / "one.png").write_bytes(table["observation.images.top"][0].as_py()["bytes"])
    at = table.column_names.index("observation.images.top")
    kind = table.schema.field(at).type
    for name, message in (("one.png", ""), ("../secret.png", "leads out"), ("two.png", "cannot be read")):
        values = pa.array([{"bytes": None, "path": name}] * 7, kind)
        pq.write_table(table.set_column(at, "observation.images.top", values), path)
        if message:
            with pytest.raises(UserError, match=message):
                Dataset(root).frames(0, "top", [3])
        else:
            assert np.array_equal(Dataset(root).frames(0, "top", [3])[0], made[0].images["top"][0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("meta/episodes.jsonl", "", "episodes.jsonl: 0 episodes, expected 3"),
        ("meta/episodes.jsonl", "{", "episodes.jsonl: line 1: not readable as JSON"),
        ("meta/episodes.jsonl", "[]", "line 1: got list, expected a JSON object"),
        ("meta/episodes.jsonl", '{"episode_index": 0}', "line 1: length: got None"),
        ("meta/episodes.jsonl", '{"episode_index": -1, "length": 7}', "line 1: episode_index: got -1"),
        ("meta/episodes.jsonl", '{"episode_index": 0, "length": 7}\n' * 3, "an episode is listed twice"),
        ("meta/tasks.jsonl", '{"task_index": 1, "task": "a"}', "task_index: expected 0 to 0, each once"),
        ("meta/episodes_stats.jsonl", '{"episode_index": 0, "stats": 3}', "expected statistics of features"),
        ("meta/modality.json", "[]", "modality.json: got list"),
        ("data/chunk-000/episode_000001.parquet", "PAR1", "episode_000001.parquet: not readable as parquet"),
    ],
)
def test_a_damaged_file_is_named(layouts, tmp_path, name, text, message):
    root = shutil.copytree(layouts["v2.1"], tmp_path / "copy")
    (root / name).write_text(text)
    problems = [f"{problem['where']}: {problem['what']}" for problem in validate(root)]
    assert any(message in problem for problem in problems), problems


def test_a_data_file_of_another_length_is_named(layouts, made, foreign, tmp_path):
    root = shutil.copytree(layouts["v2.1"], tmp_path / "copy")
    data = root / "data/chunk-000"
    (data / "episode_000001.parquet").write_bytes((data / "episode_000000.parquet").read_bytes())
    problems = [problem["what"] for problem in validate(root)]
    assert any("are not those of episode 1" in problem for problem in problems), problems


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_anywhere_never_escapes_as_another_error(data, layouts, tmp_path_factory):
    """Truncated and bit-flipped files: problems are listed, nothing else is raised."""
    layout = data.draw(st.sampled_from(["v2.0", "v2.1", "v2.1 with images"]))
    root = tmp_path_factory.mktemp("fuzz") / "copy"
    shutil.copytree(layouts[layout], root)
    path = data.draw(st.sampled_from(sorted(p for p in root.rglob("*") if p.is_file())))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    for problem in validate(root):
        assert problem.keys() == {"where", "what"}
    shutil.rmtree(root)
