import itertools
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.control.timing import PAST_COMMAND_TICKS
from ideomotor.datasets.lerobot.demonstration_writer import DemonstrationWriter, Row
from ideomotor.datasets.lerobot.layout import new_info
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter
from ideomotor.datasets.loading import cache, cache_folders, frames
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.loading.sampling import shuffled
from ideomotor.datasets.loading.window_batch import FrameBatch, WindowBatch
from ideomotor.launch.runtime.cameras.cameras import fit

HORIZON = 17


@pytest.fixture(scope="module")
def cache_root(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def second(tmp_path_factory, so101, make_episode):
    root = tmp_path_factory.mktemp("second") / "two"
    with DatasetWriter(root, so101) as writer:
        for seed in range(2):
            writer.add_episode(make_episode(seed + 50, 6, index=seed))
    return root


@pytest.fixture(scope="module")
def load(recorded, second, so101, cache_root):
    def build(*, datasets=(recorded, second), batch_size=8, **options):
        return WindowLoader(list(datasets), so101, HORIZON, batch_size, cache_root=cache_root, **options)

    return build


@given(size=st.integers(1, 3000), seed=st.integers(0, 2**32), start=st.integers(0, 5))
def test_every_epoch_has_every_row_once(size, seed, start):
    rows = shuffled(np.arange(start * size, (start + 1) * size), size, seed)
    assert np.array_equal(np.sort(rows), np.arange(size))


def test_epochs_and_seeds_differ():
    orders = [tuple(shuffled(np.arange(e * 50, e * 50 + 50), 50, s)) for e in range(3) for s in range(3)]
    assert len(set(orders)) == len(orders)


def test_windows_are_what_the_datasets_hold(load, recorded, second):
    loader = load(batch_size=66, seed=3)
    truth = []  # per row: columns of its episode, frame, episode's first row, images
    for root in (recorded, second):
        dataset = Dataset(root)
        for episode in range(len(dataset)):
            columns, first = dataset.columns(episode), len(truth)
            length = len(columns["action"])
            images = {camera: dataset.frames(episode, camera, range(length)) for camera in dataset.cameras}
            texts = [dataset.tasks[task] for task in columns["task_index"]]
            truth += [(columns, frame, first, images, texts) for frame in range(length)]
    assert loader.rows == len(truth) == 72
    batch = loader.batch(0)
    for i, row in enumerate(batch.now.index):
        columns, frame, first, images, texts = truth[row]
        old = batch.at_plan.index[i] - first
        commands = columns["action.high_rate"].reshape(-1, 6)
        ahead = np.arange(frame * 4, frame * 4 + HORIZON)
        assert 0 <= frame - old <= 9
        assert np.isclose(batch.plan_age[i], (frame - old) / 30)
        assert np.array_equal(batch.actions[i], commands[np.minimum(ahead, len(commands) - 1)])
        assert np.array_equal(batch.action_mask[i], ahead < len(commands))
        for j, tick in enumerate(range(frame * 4 - PAST_COMMAND_TICKS, frame * 4)):
            expected = commands[tick] if tick >= 0 else columns["observation.state"][0]
            assert np.array_equal(batch.past_commands[i, j], expected)
        for seen, at in ((batch.now, frame), (batch.at_plan, old)):
            assert np.array_equal(seen.state[i], columns["observation.state"][at])
            assert np.array_equal(seen.keypoints[i], columns["observation.keypoints"][at])
            assert np.array_equal(seen.referred[i], columns["observation.referred"][at])
            assert seen.progress[i] == columns["progress"][at]
            assert seen.plan_text[i] == columns["plan_text"][at]
            for camera in ("front", "wrist"):
                assert np.array_equal(seen.images[camera][i], images[camera][at])
        assert batch.instruction[i] == texts[frame]
        assert batch.subtask[i] == columns["subtask"][frame]
    assert set(batch.prefix_length) <= set(range(31))
    assert len(set(batch.prefix_length)) > 5
    images = loader.row_images(batch.at_plan.index)
    assert np.array_equal(images["front"], batch.at_plan.images["front"])


def test_where_an_expert_told_what_it_would_do_that_follows_a_row(tmp_path, so101, make_episode, cache_root):
    labels = np.random.default_rng(1).normal(size=(12, 96, 6)).astype(np.float32)
    root = tmp_path / "labelled"
    with DatasetWriter(root, so101, template=new_info(so101, 30, expert_labels=True)) as writer:
        writer.add_episode(make_episode(0, expert=labels.reshape(12, -1)))
    windows = WindowLoader([root], so101, 128, 4, cache_root=cache_root).windows(
        np.array([0, 3, 7, 11]), np.zeros(4, int), np.zeros(4, int)
    )
    assert np.array_equal(windows.actions[:, :96], labels[[0, 3, 7, 11]])
    assert np.array_equal(windows.actions[:, 96:], np.repeat(labels[[0, 3, 7, 11], -1:], 32, axis=1))
    assert windows.action_mask.all()
    sent = make_episode(0).action_high_rate.reshape(-1, 6)
    assert np.array_equal(windows.past_commands[2], sent[28 - windows.past_commands.shape[1] : 28])


def same(a, b):
    if isinstance(a, WindowBatch | FrameBatch):
        a, b = vars(a), vars(b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return np.array_equal(a, b)


def test_training_resumes_at_the_batch_where_it_stopped(load):
    first = list(itertools.islice(load(seed=5), 6))
    loader = load(seed=5)
    list(itertools.islice(loader, 3))
    again = list(itertools.islice(load(seed=5, step=loader.step), 3))
    assert all(same(a, b) for a, b in zip(first[3:], again, strict=True))
    assert not same(first[0], load(seed=6).batch(0))


def test_ranks_share_the_rows_of_an_epoch(load):
    ranks = [load(batch_size=6, rank=rank, world=3) for rank in range(3)]
    rows = np.concatenate([loader.batch(step).now.index for loader in ranks for step in range(4)])
    assert np.array_equal(np.sort(rows), np.arange(72))


def test_only_every_so_many_frames_are_used(load):
    loader, whole = load(batch_size=300, every=3), load(batch_size=300)
    starts = np.cumsum([0] + [n for cache in loader.caches for n in np.diff(cache.starts)])
    first = starts[np.searchsorted(starts, np.arange(72), side="right") - 1]
    used = np.flatnonzero((np.arange(72) - first) % 3 == 0)
    batch = loader.batch(0)
    assert set(batch.now.index) == set(used)
    assert set(batch.at_plan.index) <= set(used)
    assert np.array_equal(loader.used(whole.batch(0).now.index), batch.now.index)
    again = whole.windows(batch.now.index, batch.now.index - batch.at_plan.index, batch.prefix_length)
    assert same(again, batch)


def test_batches_do_not_share_memory(load):
    loader = load()
    before = loader.batch(0).now.state.copy()
    loader.batch(0).now.state[:] = 7
    loader.batch(0).now.images["front"][:] = 7
    assert np.array_equal(loader.batch(0).now.state, before)


def test_decoding_happens_once(load, recorded, so101, cache_root, monkeypatch):
    load()
    monkeypatch.setattr(Dataset, "open_frames", None)
    load()


def test_a_dataset_that_has_grown_gets_a_new_cache(tmp_path, so101, make_episode):
    root, caches = tmp_path / "growing", tmp_path / "caches"
    for count in (1, 2):
        with DatasetWriter(root, so101, resume=True) as writer:
            writer.add_episode(make_episode(count - 1, 5))
        loader = WindowLoader([root], so101, HORIZON, 4, cache_root=caches)
        assert loader.rows == 5 * count
        del loader  # one in use would be kept
    assert len([path for path in caches.iterdir() if path.is_dir()]) == 2  # columns and images


def test_an_interrupted_build_leaves_nothing_to_be_used(tmp_path, recorded, so101, monkeypatch):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        WindowLoader([recorded], so101, HORIZON, 4, cache_root=tmp_path, progress=interrupt)
    assert not list(tmp_path.glob("*96x96*/image.*"))
    reported = []
    WindowLoader([recorded], so101, HORIZON, 4, cache_root=tmp_path, progress=lambda *p: reported.append(p))
    assert reported[-1] == (120, 120)


def test_no_room_for_the_cache_is_said_before_it_is_built(tmp_path, recorded, so101, monkeypatch):
    monkeypatch.setattr(cache_folders.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(UserError, match="no room for the cache"):
        WindowLoader([recorded], so101, HORIZON, 4, cache_root=tmp_path)


def test_images_are_resized_on_the_way_into_the_cache(tmp_path, recorded):
    dataset = Dataset(recorded)
    small = cache.open_cache(dataset, 48, 64, cameras=["front"], cache_root=tmp_path)
    assert small.images["front"].shape == (60, 48, 64, 3)
    mean = dataset.frames(0, "front", [0]).mean()
    assert abs(small.images["front"][np.array([0])].mean() - mean) < 1


def test_wide_images_are_cut_as_a_running_arms_pictures_are(tmp_path, so101):
    """Whoever trains sees what the policy will see: the middle of the picture, not all of it squeezed."""
    front = replace(so101.camera("front"), height=96, width=160)
    wide = replace(so101, cameras=(front,))
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (4, 3, 5, 3), np.uint8).repeat(32, 1).repeat(32, 2)  # large squares
    pose = np.repeat(so101.home_position[None], 4, axis=0)
    with DemonstrationWriter(tmp_path / "data", wide, 30) as writer:
        writer.begin()
        for i, picture in enumerate(pictures):
            writer.add(Row(i / 30, {"front": picture}, {"front": i / 30}, pose, pose))
        writer.save("lift it", {})
    dataset = Dataset(tmp_path / "data")
    np.testing.assert_allclose(dataset.columns(0)["capture_time"], np.arange(4) / 30, atol=1e-6)
    found = cache.open_cache(dataset, 96, 96, cameras=["front"], cache_root=tmp_path / "cache").images[
        "front"
    ]
    stored = dataset.frames(0, "front", range(4))
    np.testing.assert_array_equal(found[np.arange(4)], stored[:, :, 32:128])
    noise = rng.integers(0, 255, (480, 640, 3), np.uint8)
    for size in ((96, 96), (48, 64), (120, 90), (600, 800)):
        np.testing.assert_array_equal(frames.resized(noise, size), fit(noise, *size))
    assert frames.is_cut((480, 640, 3), (96, 96)) and frames.is_cut((3, 480, 640), (96, 96))
    assert not frames.is_cut((480, 640, 3), (96, 128)) and not frames.is_cut((3, 96, 96), (48, 48))


def test_what_cannot_be_trained_on_is_refused(tmp_path, so101, recorded, make_episode):
    with pytest.raises(UserError, match="no dataset given"):
        WindowLoader([], so101, HORIZON, 4)
    with pytest.raises(UserError, match=r"info\.json: no such file"):
        WindowLoader([tmp_path / "absent"], so101, HORIZON, 4)
    with DatasetWriter(tmp_path / "new", so101), pytest.raises(UserError, match="no episodes"):
        WindowLoader([tmp_path / "new"], so101, HORIZON, 4)
    shutil.copytree(recorded, tmp_path / "cut")
    path = tmp_path / "cut/videos/observation.images.front/chunk-000/file-000.mp4"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"observation\.images\.front.*file-000\.mp4"):
        WindowLoader([tmp_path / "cut"], so101, HORIZON, 4, cache_root=tmp_path / "caches")
