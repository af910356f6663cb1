"""Datasets of other rates, and several with weights."""

import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.control.timing import PAST_COMMAND_TICKS
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.file_group import parquet_bytes
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.loading.resample import resampled, resampler
from ideomotor.datasets.loading.sampling import mixed

HORIZON = 50


def without(root, *columns):
    """Takes columns out of a dataset, as others record them."""
    info = json.loads((root / layout.INFO).read_text())
    for name in columns:
        del info["features"][name]
    (root / layout.INFO).write_text(json.dumps(info))
    for path in root.glob("data/*/*.parquet"):
        file = pq.ParquetFile(path)
        groups = [file.read_row_group(i).drop_columns(list(columns)) for i in range(file.num_row_groups)]
        path.write_bytes(parquet_bytes(groups))


@pytest.fixture(scope="module")
def by_rate(tmp_path_factory, so101, make_episode):
    """{fps: dataset with only `action`}; 10 Hz has 24 frames, the others 12, twice."""
    found = {}
    for fps in (10, 30, 60, 120):
        root = tmp_path_factory.mktemp("rates") / str(fps)
        with DatasetWriter(root, so101, fps=fps) as writer:
            for seed in range(2):
                episode = make_episode(seed, 24 if fps == 10 else 12)
                ticks = 120 // fps
                high = np.repeat(episode.action, ticks, axis=1)
                writer.add_episode(
                    type(episode)(**(vars(episode) | {"action_high_rate": high.astype(np.float32)}))
                )
        without(root, "action.high_rate", "observation.keypoints", "observation.referred", "progress")
        without(root, "subtask", "plan_text")
        found[fps] = root
    return found


@pytest.mark.parametrize("fps", [10, 30, 60, 120])
def test_windows_go_smoothly_through_the_recorded_targets(by_rate, fps, so101, tmp_path):
    loader = WindowLoader([by_rate[fps]], so101, HORIZON, 1, cache_root=tmp_path)
    dataset, ticks = Dataset(by_rate[fps]), 120 // fps
    rows = np.arange(loader.rows)
    batch = loader.windows(rows, 0 * rows, 0 * rows)
    for episode in range(2):
        columns = dataset.columns(episode)
        action, length = columns["action"], len(columns["action"])
        for frame in range(length):
            row = frame + int(dataset.starts[episode])
            got, mask = batch.actions[row], batch.action_mask[row]
            for ahead in range(HORIZON):
                left, rest = divmod(frame * ticks + ahead, ticks)
                assert mask[ahead] == (left < length - 1 or (left == length - 1 and rest == 0))
                low, high = (action[min(left + i, length - 1)] for i in (0, 1))
                if rest == 0:  # at a frame: its target, to the bit
                    assert np.array_equal(got[ahead], low)
                assert (got[ahead] >= np.minimum(low, high) - 1e-6).all()
                assert (got[ahead] <= np.maximum(low, high) + 1e-6).all()
            before = batch.past_commands[row]
            for i in range(PAST_COMMAND_TICKS):
                tick = frame * ticks - PAST_COMMAND_TICKS + i
                if tick < 0:
                    assert np.array_equal(before[i], columns["observation.state"][0])
                elif tick % ticks == 0:
                    assert np.array_equal(before[i], action[tick // ticks])
    assert batch.instruction[0] == dataset.tasks[dataset.columns(0)["task_index"][0]]
    assert batch.now.plan_text == batch.subtask == [""] * len(rows)
    assert np.isnan(batch.now.keypoints).all() and np.isnan(batch.at_plan.progress).all()  # not recorded


def test_the_curve_is_close_to_the_motion_that_was_sampled():
    time = np.arange(40) / 10
    targets = np.stack([np.sin(time), np.cos(2 * time)], axis=1).astype(np.float32)
    how = resampler(10, 120, 0, 240)
    rows = np.array([5])
    got = resampled(how, targets, rows, 0 * rows, 0 * rows + 40)[0]
    truth = 0.5 + np.arange(240) / 120
    assert np.abs(got[:, 0] - np.sin(truth)).max() < 0.004
    jumps = (
        np.abs(np.diff(got, n=2, axis=0)).max() * 120**2
    )  # [rad/s^2]: steps of speed would be 100 times this
    assert jumps < 12


@given(fps=st.floats(5, 200), hz=st.sampled_from([80, 120]), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_curve_never_leaves_the_targets_around_it(fps, hz, seed):
    rng = np.random.default_rng(seed)
    targets = rng.normal(0, 1, (30, 3)).astype(np.float32)
    rows = rng.integers(0, 30, 8)
    starts, ends = np.where(rows < 11, 0, 11), np.where(rows < 11, 11, 30)  # two episodes
    got = resampled(resampler(fps, hz, -8, 40), targets, rows, starts, ends)
    times = rows[:, None] + np.arange(-8, 32) * fps / hz
    left = np.floor(times + 1e-6).astype(int)
    a, b = (targets[np.clip(left + i, starts[:, None], ends[:, None] - 1)] for i in (0, 1))
    assert (got >= np.minimum(a, b) - 1e-5).all()
    assert (got <= np.maximum(a, b) + 1e-5).all()


def test_datasets_of_different_rates_make_one_batch(by_rate, recorded, so101, tmp_path):
    loader = WindowLoader([by_rate[10], recorded, by_rate[120]], so101, HORIZON, 132, cache_root=tmp_path)
    batch = loader.batch(0)
    assert sorted(batch.now.index) == list(range(48 + 60 + 24))
    fps = np.array([10, 30, 120])[np.searchsorted([48, 108], batch.now.index, side="right")]
    frames = batch.now.index - batch.at_plan.index
    assert np.allclose(batch.plan_age, frames / fps)
    assert frames[fps == 10].max() <= 3 < frames[fps == 30].max() <= 9
    assert frames[fps == 120].max() > 9  # up to 0.3 s, as far as the short episodes go
    assert {text for text, rate in zip(batch.now.plan_text, fps, strict=True) if rate != 30} == {""}


@given(
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=4),
    weights=st.lists(st.floats(0.05, 10), min_size=4, max_size=4),
    count=st.integers(1, 64),
    start=st.integers(0, 10_000),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None)
def test_every_step_of_a_mixture_has_its_shares_and_no_row_twice(sizes, weights, count, start, seed):
    shares = [weight / sum(weights[: len(sizes)]) for weight in weights[: len(sizes)]]
    for step in range(start, start + 5):
        which, rows = mixed(step, count, sizes, shares, seed)
        again = mixed(step, count, sizes, shares, seed)
        assert np.array_equal(which, again[0]) and np.array_equal(rows, again[1])
        for number, (size, share) in enumerate(zip(sizes, shares, strict=True)):
            drawn = rows[which == number]
            assert abs(len(drawn) - share * count) < 1 + 1e-6
            assert ((0 <= drawn) & (drawn < size)).all()
            if size > share * count + 1:
                assert len(set(drawn)) == len(drawn)


def test_a_mixture_keeps_its_shares_and_reaches_every_row(recorded, by_rate, so101, tmp_path):
    def build(**options):
        return WindowLoader(
            [recorded, by_rate[120]], so101, 4, 5, weights=(1.0, 3.0), seed=2, cache_root=tmp_path, **options
        )

    ranks = [build(rank=rank, world=2) for rank in range(2)]
    steps = [np.concatenate([loader.batch(step).now.index for loader in ranks]) for step in range(120)]
    assert all(len(set(rows)) == 10 for rows in steps)
    counts = Counter(np.concatenate(steps).tolist())
    second = sum(count for row, count in counts.items() if row >= 60)
    assert abs(second - 900) < 45
    assert set(counts) == set(range(84))
    loader = build(rank=1, world=2, step=7)
    assert np.array_equal(next(iter(loader)).now.index, steps[7][5:])


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, float("nan")), (1.0, -1.0, 2.0)])
def test_wrong_weights_are_refused(recorded, by_rate, so101, tmp_path, weights):
    with pytest.raises(UserError, match="weights: got .* for each of 2 datasets"):
        WindowLoader([recorded, by_rate[30]], so101, 4, 5, weights=weights, cache_root=tmp_path)


def test_rows_of_several_datasets_keep_their_order(recorded, by_rate, so101, tmp_path):
    loader = WindowLoader([by_rate[30], recorded], so101, 4, 5, cache_root=tmp_path)
    rows = np.array([70, 1, 83, 23, 24])
    expected = [loader.row_instructions(rows[i : i + 1])[0] for i in range(5)]
    assert loader.row_instructions(rows) == expected
    assert loader.windows(rows, 0 * rows, 0 * rows).instruction == expected
    assert len(set(expected)) == 2
    images = loader.row_images(rows)["front"]
    assert all(np.array_equal(images[i], loader.row_images(rows[i : i + 1])["front"][0]) for i in range(5))
