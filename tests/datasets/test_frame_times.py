"""Frame n is the one whose time stamp is nearest to n / fps: cached or not, random or in order.

LeRobot asks a file for the frame nearest to `from_timestamp + timestamp`; these are its answers too.
"""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking import check_videos
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.importing.convert import convert
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.video import VideoFile, decode
from ideomotor.datasets.loading.cache import open_cache

FPS = 10
LENGTHS = (12, 9)


def stamped(images, times):
    """An mp4 whose frames have these times [s], with B-frames and a few key frames as others make them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "8", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = images.shape[2], images.shape[1], "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for image, time in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def uneven(count):
    """A variable rate: the third frame is late, the sixth is not there, the eighth is early."""
    times = np.arange(count) / FPS
    times[2] += 0.04
    times[5:] += 1 / FPS
    times[7] -= 0.03
    return times


# how the frames lie: {name: times of n frames [s]}
KINDS = {
    "does not start at 0": lambda n: np.arange(n) / FPS + 0.2,
    "a variable rate": uneven,
    "a lower rate": lambda n: np.arange(n) / (0.57 * FPS),
    "29.97 for 30": lambda n: np.arange(n) / (FPS * 1.05),
}


def level(image):
    return round(float(image.mean()))


def written(foreign, root, times):
    """A v2.1 dataset of two episodes whose first camera has these times; (folder, recordings)"""
    made = foreign.recordings(LENGTHS)
    foreign.write_v2(root, made)
    for episode, recording in enumerate(made):
        path = root / f"videos/chunk-000/observation.images.top/episode_{episode:06d}.mp4"
        path.write_bytes(stamped(recording.images["top"], times(recording.length)))
    return root, made


def expected(images, times):
    """The pictures of all rows, by their times alone."""
    return [level(images[np.abs(times - row / FPS).argmin()]) for row in range(len(images))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_the_nearest_in_time_however_it_is_read(foreign, tmp_path, kind):
    root, made = written(foreign, tmp_path / "a", KINDS[kind])
    images, times = made[0].images["top"], KINDS[kind](LENGTHS[0])
    last = int(np.floor(times[-1] * FPS + 0.4))  # number of the last frame there is
    wanted = [level(images[np.abs(times - n / FPS).argmin()]) for n in range(last + 1)]
    with VideoFile(root / "videos/chunk-000/observation.images.top/episode_000000.mp4", FPS) as video:
        played = [level(frame) for frame in video.iterate()]
        order = np.random.default_rng(0).permutation(last + 1)
        jumped = [level(frame) for frame in video.frames(order)]
        one_by_one = [level(video.frames([n])[0]) for n in range(last + 1)]
        assert [level(frame) for frame in video.iterate(3, 4)] == pytest.approx(wanted[3:7], abs=2)
        with pytest.raises(UserError, match=f"ends before frame {last + 1}"):
            video.frames([last + 1])
    assert played == pytest.approx(wanted, abs=2)
    assert jumped == pytest.approx([wanted[n] for n in order], abs=2)
    assert one_by_one == played


@pytest.mark.parametrize("kind", KINDS)
def test_training_refuses_what_validate_names_whether_it_fits_or_not(foreign, tmp_path, kind):
    root, _ = written(foreign, tmp_path / "a", KINDS[kind])
    named = [p for p in validate(root) if "observation.images.top" in p["where"]]
    assert named and all("expected" in problem["what"] for problem in named)
    for budget in (None, 1_200_000):
        with pytest.raises(
            UserError, match=r"episode_000000.mp4: episode 0: .*expected.*data convert"
        ) as said:
            open_cache(root, 48, 64, cache_root=tmp_path / f"cache {budget}", budget=budget)
        assert "\n" not in str(said.value)
    cache = open_cache(root, 48, 64, cameras=["side"], cache_root=tmp_path / "other")  # asks for another
    assert len(cache.images["side"][np.arange(21)]) == 21


def test_cached_and_decoded_pictures_are_the_same_where_times_are_off(foreign, tmp_path, monkeypatch):
    """Were it not refused: one rule, not two."""
    monkeypatch.setattr("ideomotor.datasets.loading.cache.check_times", lambda *_: None)
    root, made = written(foreign, tmp_path / "a", uneven)
    rows = np.arange(sum(LENGTHS))
    fits = open_cache(root, 48, 64, cache_root=tmp_path / "cache").images["top"]
    tight = open_cache(root, 48, 64, cache_root=tmp_path / "none", budget=1_200_000)
    assert tight.notes
    shuffled = np.random.default_rng(1).permutation(rows)
    assert np.array_equal(fits[shuffled], tight.images["top"][shuffled])
    wanted = [value for r in made for value in expected(r.images["top"], uneven(r.length))]
    assert [level(image) for image in fits[rows]] == pytest.approx(wanted, abs=2)


def test_a_conversion_is_the_way_out(foreign, tmp_path, so101):
    root, made = written(foreign, tmp_path / "a", uneven)
    convert(root, tmp_path / "out")
    assert validate(tmp_path / "out") == []
    found = Dataset(tmp_path / "out").frames(0, "top", np.arange(LENGTHS[0]))
    wanted = expected(made[0].images["top"], uneven(LENGTHS[0]))
    assert [level(image) for image in found] == pytest.approx(wanted, abs=3)
    open_cache(tmp_path / "out", 48, 64, cache_root=tmp_path / "cache")


def test_a_whole_multiple_of_the_rate_has_a_frame_for_each_row(foreign, tmp_path):
    """LeRobot takes it too: at 20 frames a second, every second frame is at the time of a row."""
    made = foreign.recordings(LENGTHS, cameras=("top",))
    root = foreign.write_v2(tmp_path / "a", made)
    for episode, recording in enumerate(made):
        path = root / f"videos/chunk-000/observation.images.top/episode_{episode:06d}.mp4"
        double = np.repeat(recording.images["top"], 2, axis=0)
        double[1::2] = 255  # flashes between the rows
        path.write_bytes(stamped(double, np.arange(len(double)) / (2 * FPS)))
    assert not [p for p in validate(root) if "mp4" in p["where"]]
    images = open_cache(root, 48, 64, cache_root=tmp_path / "cache").images["top"][np.arange(21)]
    levels = [level(image) for recording in made for image in recording.images["top"]]
    assert [level(image) for image in images] == pytest.approx(levels, abs=4)


def test_own_videos_of_any_rate_are_taken_by_their_times(tmp_path):
    images = np.stack([np.full((32, 48, 3), 8 * i, np.uint8) for i in range(30)])
    (tmp_path / "a.mp4").write_bytes(stamped(images, np.arange(30) / 30))
    found = [level(frame) for frame in decode(tmp_path / "a.mp4", FPS)]
    assert found == pytest.approx([24 * i for i in range(10)], abs=2)


def test_times_are_told_without_decoding(foreign, tmp_path, monkeypatch):
    root, _ = written(foreign, tmp_path / "a", lambda n: np.arange(n) / FPS)
    monkeypatch.setattr(VideoFile, "_played", lambda *_: pytest.fail("decoded"))
    check_videos.check_times(Dataset(root), ["top", "side"])
    assert check_videos.nearest(np.array([0.5]), np.array([0.0, 9.0])).tolist() == [0, 0]
