"""The cache's folders: shared, bounded, safe to interrupt; and images without it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import video
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading import cache_folders
from ideomotor.datasets.loading.loader import WindowLoader


def fill(size):
    def build(folder):
        (folder / "content").write_bytes(b"x" * size)

    return build


def names(root):
    return sorted(path.name.split("-")[0] for path in root.iterdir() if path.is_dir())


def take(root, name, size=100, budget=None, key="0" * 12):
    return cache_folders.take(root, f"{name}-columns", key, lambda: size, fill(size), budget)


def test_a_folder_is_built_once(tmp_path):
    first = take(tmp_path, "a")
    again = cache_folders.take(
        tmp_path, "a-columns", "0" * 12, lambda: 1 // 0, lambda _: pytest.fail("built twice")
    )
    assert first.folder == again.folder
    assert (first.folder / "content").read_bytes() == b"x" * 100


def test_the_folders_used_longest_ago_make_room(tmp_path):
    for age, name in enumerate("abc"):
        held = take(tmp_path, name)
        os.utime(held.folder / cache_folders.MARK, (1000 + age, 1000 + age))
        del held
    take(tmp_path, "a")  # used again: b is now the oldest
    take(tmp_path, "d", 150, budget=300)
    assert names(tmp_path) == ["a", "d"]
    assert cache_folders.used_bytes(tmp_path) == 250
    (take(tmp_path, "d", 150).folder / "plans.npy").write_bytes(bytes(90))
    assert cache_folders.used_bytes(tmp_path) == 340  # what users put beside it counts too


def test_what_is_in_use_stays_and_nothing_goes_in_vain(tmp_path):
    held = take(tmp_path, "a")
    take(tmp_path, "b")
    with pytest.raises(cache_folders.NoRoom, match="needed"):
        take(tmp_path, "c", 150, budget=200)
    assert names(tmp_path) == ["a", "b"]
    take(tmp_path, "c", 90, budget=200)
    assert names(tmp_path) == ["a", "c"]
    assert held.folder.is_dir()


def test_other_folders_are_never_touched(tmp_path):
    (tmp_path / "holiday-pictures").mkdir()
    take(tmp_path, "a")
    take(tmp_path, "b", 150, budget=200)
    assert names(tmp_path) == ["b", "holiday"]


def test_a_child_keeps_what_its_parent_opened(tmp_path):
    held = take(tmp_path, "a")
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    del held
    try:
        with pytest.raises(cache_folders.NoRoom):
            take(tmp_path, "b", 150, budget=200)
    finally:
        child.kill()
        child.join()
    take(tmp_path, "b", 150, budget=200)


BUILDER = """
import sys, time
from pathlib import Path
from ideomotor.datasets.lerobot import video
from ideomotor.datasets.loading import cache_folders

def build(folder):
    (folder / "content").write_bytes(b"x" * 50)
    print("building", flush=True)
    time.sleep(60)

cache_folders.take(Path(sys.argv[1]), "a-columns", "0" * 12, lambda: 100, build)
"""


def test_a_build_that_was_killed_is_taken_up_by_the_next(tmp_path):
    with subprocess.Popen([sys.executable, "-c", BUILDER, str(tmp_path)], stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None and builder.stdout.readline() == b"building\n"
        with pytest.raises(cache_folders.NoRoom):  # its part of the budget is taken while it lives
            take(tmp_path, "b", 150, budget=200)
        builder.send_signal(signal.SIGKILL)
    take(tmp_path, "b", 150, budget=200)
    assert names(tmp_path) == ["b"]
    assert (take(tmp_path, "a").folder / "content").stat().st_size == 100


def test_removing_that_was_killed_leaves_nothing_that_is_used(tmp_path):
    folder = take(tmp_path, "a").folder
    (folder / cache_folders.MARK).unlink()  # where it begins
    (folder / "content").write_bytes(b"")
    assert (take(tmp_path, "a").folder / "content").read_bytes() == b"x" * 100


@pytest.mark.parametrize("text", ["many", "-1", "nan"])
def test_a_budget_that_is_none(text, monkeypatch):
    monkeypatch.setenv("IDEOMOTOR_CACHE_GB", text)
    with pytest.raises(UserError, match="IDEOMOTOR_CACHE_GB: got"):
        cache_folders.default_budget()


@pytest.fixture
def loaders(recorded, so101, tmp_path):
    """One with decoded images and one without, which its budget has no room for."""
    cached = WindowLoader([recorded], so101, 10, 16, cache_root=tmp_path / "cached")
    decoding = WindowLoader([recorded], so101, 10, 16, cache_root=tmp_path / "none", cache_budget=1_500_000)
    assert not cached.notes
    assert "decoded from the videos each time" in decoding.notes[0]
    return cached, decoding


def same(a, b):
    return all(
        np.array_equal(one.images[camera], other.images[camera])
        for one, other in ((a.now, b.now), (a.at_plan, b.at_plan))
        for camera in ("front", "wrist")
    )


def test_without_room_images_are_decoded_and_the_same(loaders):
    cached, decoding = loaders
    assert all(same(cached.batch(step), decoding.batch(step)) for step in range(4))
    rows = np.array([7, 3, 7, 59])
    assert np.array_equal(cached.row_images(rows)["wrist"], decoding.row_images(rows)["wrist"])


def test_the_budget_of_the_environment_counts(recorded, so101, tmp_path, monkeypatch):
    monkeypatch.setenv("IDEOMOTOR_CACHE_GB", "0.0015")
    assert WindowLoader([recorded], so101, 10, 4, cache_root=tmp_path).notes
    monkeypatch.setenv("IDEOMOTOR_CACHE_GB", "0.000001")
    with pytest.raises(UserError, match="no room for the cache"):
        WindowLoader([recorded], so101, 10, 4, cache_root=tmp_path / "other")


def test_forked_workers_decode_for_themselves(loaders):
    _, decoding = loaders
    expected = [decoding.batch(step).now.images["front"] for step in range(12)]  # decoders are open now
    results = multiprocessing.get_context("fork").SimpleQueue()

    def work(steps):
        for step in steps:
            got = decoding.batch(step).now.images["front"]
            results.put((step, bool(np.array_equal(got, expected[step]))))

    workers = [
        multiprocessing.get_context("fork").Process(target=work, args=(range(k, 12, 2),)) for k in range(2)
    ]
    for worker in workers:
        worker.start()
    answers = dict(results.get() for _ in range(12))
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert all(answers[step] for step in range(12))
    assert same(decoding.batch(0), loaders[0].batch(0))


def test_opening_a_cache_reads_nothing_of_the_dataset(loaders, recorded, so101, tmp_path, monkeypatch):
    monkeypatch.setattr(Dataset, "__init__", lambda *_: pytest.fail("opened"))
    again = WindowLoader([recorded], so101, 10, 16, cache_root=tmp_path / "cached")
    assert same(again.batch(3), loaders[0].batch(3))


def test_a_damaged_cache_is_named(loaders, recorded, so101, tmp_path):
    for path in (tmp_path / "cached").glob("*96x96*/image.front.npy"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"image\.front\.npy"):
        WindowLoader([recorded], so101, 10, 16, cache_root=tmp_path / "cached")


def test_reading_does_not_keep_columns_in_memory(loaders):
    loader = loaders[0]
    before = loader.batch(0)
    loader.caches[0].maps.release()
    assert np.array_equal(loader.batch(0).actions, before.actions)


def test_frames_far_from_key_frames_are_decoded_forwards(tmp_path, make_episode, monkeypatch):
    path = tmp_path / "long.mp4"
    images = np.repeat(make_episode(0, 1).images["front"], 60, axis=0)
    images[:, 40:48, 40:48] = 4 * np.arange(60)[:, None, None, None]  # so little that no scene ends
    path.write_bytes(video.encode(images, 30, gop=25))
    whole = list(video.decode(path, 30))
    begun = []
    original = video.VideoFile._played
    monkeypatch.setattr(video.VideoFile, "_played", lambda self, *a: begun.append(a[0]) or original(self, *a))
    with video.VideoFile(path, 30) as opened:
        wanted = np.array([59, 3, 20, 3, 30, 52])
        frames = opened.frames(wanted)
    assert all(np.array_equal(frame, whole[number]) for frame, number in zip(frames, wanted, strict=True))
    assert begun == [3, 30, 52]  # 20 and 59 lie behind no further key frame
