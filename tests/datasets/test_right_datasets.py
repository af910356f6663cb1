"""`validate` calls no right dataset wrong: its tolerances follow from what was looked at."""

import json

import numpy as np
import pytest

from ideomotor.datasets.checking.check_stats import differences, mean_range
from ideomotor.datasets.checking.checks import examine, validate
from ideomotor.datasets.importing.convert import convert
from ideomotor.datasets.importing.demonstrations import Demonstration, Source, write_demonstrations
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.stats import image_stats, vector_stats


def filmed(root, *episodes):
    """Writes episodes of pictures of these levels, one a frame."""

    def read(levels):
        moving = np.linspace(0, levels[0] + len(levels), 2 * len(levels)).reshape(-1, 2)
        images = np.broadcast_to(np.array(levels)[:, None, None, None], (len(levels), 32, 48, 3))
        columns = {"observation.state": moving, "action": moving}
        return Demonstration(columns, {"front": images.astype(np.uint8)}, "push")

    write_demonstrations(root, Source("mine", 30, list(episodes), read))
    return root


BRIGHT, DIM = 220, 20
FILMS = {
    "300 bright frames and 30 dim ones": [[BRIGHT] * 300, [DIM] * 30],
    "light that goes on in between": [[DIM] * 5 + [BRIGHT] * 290 + [DIM] * 5],
    "a lamp that flashes where nobody looks": [[BRIGHT if i % 33 else DIM for i in range(100)]],
    "one frame of each": [[BRIGHT], [DIM]],
    "more than are sampled, dark at both ends": [[DIM] * 60 + [BRIGHT] * 1080 + [DIM] * 60, [DIM] * 20],
}


@pytest.mark.parametrize("films", FILMS.values(), ids=FILMS)
def test_statistics_of_pictures_that_differ_are_right(films, tmp_path):
    root = filmed(tmp_path / "a", *films)
    assert validate(root) == []
    convert(root, tmp_path / "b")
    assert validate(tmp_path / "b") == []


def with_mean(root, mean):
    stats = json.loads((root / layout.STATS).read_text())
    stats["observation.images.front"]["mean"] = np.array(mean).reshape(-1, 1, 1).tolist()
    (root / layout.STATS).write_text(json.dumps(stats))
    return [f"{p['where']}: {p['what']}" for p in validate(root)]


def test_means_that_no_weighing_of_the_frames_gives_are_named(tmp_path):
    root = filmed(tmp_path / "a", [BRIGHT] * 300, [DIM] * 30)
    by_frames = (300 * BRIGHT + 30 * DIM) / 330 / 255  # as tools that look at every frame weigh
    by_samples = (100 * BRIGHT + 30 * DIM) / 130 / 255  # as LeRobot does
    assert with_mean(root, [by_frames] * 3) == with_mean(root, [by_samples] * 3) == []
    said = with_mean(root, [(BRIGHT + DIM) / 2 / 255] * 3)  # of the two episodes alike
    assert (
        said
        == [
            "meta/stats.json: observation.images.front: mean is 0.4706, 0.4706, 0.4706, "
            f"that of some frames is {by_samples:.4g}, {by_samples:.4g}, {by_samples:.4g}"
        ]
        or "that of some frames is" in said[0]
    )
    assert with_mean(root, [0, by_frames, by_frames])


def test_the_tolerance_of_a_mean_follows_from_the_sample():
    rng = np.random.default_rng(0)
    for spread in (0.0, 0.2):
        frames = np.clip(0.5 + spread * rng.standard_normal((2000, 3)), 0, 1)
        for count in (4, 64):
            low, high, best = mean_range([frames[:: 2000 // count]], [2000])
            assert ((low <= frames.mean(axis=0)) & (frames.mean(axis=0) <= high)).all()
            assert (high - low == pytest.approx(0.1)) == (spread == 0.0)
            assert (low <= best).all() and (best <= high).all()
    wide, narrow = (np.diff(mean_range([frames[:: 2000 // n]], [2000])[:2], axis=0) for n in (4, 64))
    assert (narrow < wide).all()
    assert image_stats(np.zeros((4, 8, 8, 3), np.uint8))["mean"].max() == 0


def float32_statistics(values):
    """Statistics as E[x²] - E[x]² in float32."""
    x = values.ravel().astype(np.float32)
    mean, square = np.mean(x), np.mean(x * x)
    return vector_stats(values) | {"std": np.sqrt(np.maximum(0, square - mean * mean))[None]}


@pytest.mark.parametrize("rows", [50, 700, 20_000])
def test_a_spread_that_float32_has_lost_is_a_warning(rows):
    constant = np.full((rows, 1), 1.7, np.float32)
    lost = float32_statistics(constant)
    harms = [harmless for _, harmless in differences(lost, vector_stats(constant))]
    assert all(harms)
    [(what, harmless)] = differences(lost | {"std": np.array([0.0044])}, vector_stats(constant))
    assert harmless and what == "std is 0.0044, the data's is 0: computed in float32 from values far from 0"


def test_a_spread_that_is_wrong_is_a_problem():
    moving = np.linspace(-1, 1, 700)[:, None].astype(np.float32)
    found = vector_stats(moving)
    for std in (0.0, 0.5, 1.2):
        [(what, harmless)] = differences(found | {"std": np.array([std])}, found)
        assert not harmless and what.startswith(f"std is {std:g}, the data's is 0.578")


def test_a_warning_is_shown_and_is_no_failure(tmp_path):
    def read(_):
        columns = {
            "observation.state": np.full((400, 2), [1.7, 0.0]),
            "action": np.linspace(0, 1, 400)[:, None],
        }
        columns["observation.state"][:, 1] = np.linspace(0, 1, 400)
        return Demonstration(columns, {}, "push")

    write_demonstrations(tmp_path / "a", Source("mine", 10, [0], read))
    path = tmp_path / "a" / layout.STATS
    stats = json.loads(path.read_text())
    stats["observation.state"]["std"][0] = 0.0044
    path.write_text(json.dumps(stats))
    found = examine(tmp_path / "a")
    assert found.problems == []
    assert [warning["where"] for warning in found.warnings] == ["meta/stats.json: observation.state"]
    stats["observation.state"]["std"][0] = 0.5
    path.write_text(json.dumps(stats))
    assert examine(tmp_path / "a").warnings == [] and len(validate(tmp_path / "a")) == 1
