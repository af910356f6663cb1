"""The twin of a webcam, by a clock of the test's: its rate, late and lost pictures, its cable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.video import encode
from ideomotor.launch.runtime.cameras.cameras import CameraMode, film_sizes, parse_sources
from ideomotor.launch.runtime.cameras.captures import open_capture
from ideomotor.launch.runtime.cameras.film_camera import FilmCamera, FilmSource, parse_film

ROBOT = load_embodiment("so101")
HZ = 25


class Clock:
    def __init__(self) -> None:
        self.time = 7.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds


@pytest.fixture
def film(tmp_path: Path) -> str:
    """Ten pictures of 160 x 120 pixels, each brighter than the one before."""
    path = tmp_path / "take.mp4"
    path.write_bytes(encode([np.full((120, 160, 3), 20 * i, np.uint8) for i in range(10)], HZ))
    return str(path)


def shots(camera: FilmCamera, clock: Clock, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(times [s], shades) of so many pictures."""
    times, shades = [], []
    for _ in range(count):
        ok, picture = camera.read()
        assert ok and picture is not None and picture.shape == (120, 160, 3)
        times.append(clock.time)
        shades.append(picture.mean())
    return np.array(times), np.array(shades)


def opened(source: FilmSource) -> tuple[FilmCamera, Clock]:
    clock = Clock()
    return FilmCamera(source, clock.now, clock.sleep), clock


def test_it_gives_each_picture_when_it_is_due_and_begins_anew(film):
    camera, clock = opened(FilmSource(film))
    times, shades = shots(camera, clock, 23)
    np.testing.assert_allclose(times, 7 + np.arange(1, 24) / HZ)
    np.testing.assert_allclose(shades, 20 * (np.arange(23) % 10), atol=3)
    assert np.diff(shots(*opened(FilmSource(film, hz=50)), 5)[0]) == pytest.approx(0.02)


def test_pictures_are_late_and_some_do_not_come_the_same_ones_each_time(film):
    source = FilmSource(film, jitter=0.01, drop=0.3, seed=4)
    times, shades = shots(*opened(source), 200)
    periods = (times - 7) * HZ
    late = (periods - np.floor(periods + 1e-9)) / HZ
    assert 0 <= late.min() and 0.008 < late.max() <= 0.01 + 1e-9
    missing = np.round(periods[-1]) - 200
    assert 60 < missing < 115  # 0.3 of about 286
    again = shots(*opened(source), 200)
    np.testing.assert_array_equal(times, again[0])
    np.testing.assert_array_equal(shades, again[1])
    np.testing.assert_allclose(
        shades, 20 * ((np.floor(periods + 1e-9) - 1) % 10), atol=3
    )  # none is shown later


def test_a_machine_that_stalls_loses_pictures_and_is_not_flooded_with_them(film):
    camera, clock = opened(FilmSource(film))
    shots(camera, clock, 3)
    clock.time += 10.0
    times, _ = shots(camera, clock, 4)
    assert (np.diff(times)[1:] > 0.9 / HZ).all()


def test_without_its_cable_it_gives_nothing_and_cannot_be_opened(film, tmp_path):
    cable = tmp_path / "pulled"
    camera, clock = opened(FilmSource(film, pulled=str(cable)))
    assert camera.isOpened()
    shots(camera, clock, 2)
    cable.touch()
    assert camera.read() == (False, None)
    source = f"film:{film}?pulled={cable}"
    assert open_capture(source, ROBOT.camera("front")) is None
    cable.unlink()
    back = open_capture(source, ROBOT.camera("front"))
    assert back is not None
    back.release()


def test_what_it_is_told_is_read_and_mistakes_are_refused():
    read = parse_film("film:/a b/take.mp4?jitter=0.005&drop=0.1&pulled=/tmp/x&hz=25&seed=3")
    assert read == FilmSource("/a b/take.mp4", 25.0, 0.005, 0.1, "/tmp/x", 3)
    assert parse_film("film:x.mp4") == FilmSource("x.mp4")
    with pytest.raises(UserError, match="unknown name 'jiter'"):
        parse_sources(("front=film:x.mp4?jiter=1", "wrist=0"), ROBOT)
    with pytest.raises(UserError, match="drop: got 'some', expected a number"):
        parse_film("film:x.mp4?drop=some")
    with pytest.raises(UserError, match="expected drop below 1"):
        parse_film("film:x.mp4?drop=1")


def test_a_recording_has_pictures_whole_and_a_log_as_the_policy_sees_them():
    modes = {"front": CameraMode(0, 640, 480, "MJPG"), "wrist": CameraMode(1, 321, 241, "")}
    assert film_sizes(modes, ROBOT, whole=True) == (("front", 480, 640), ("wrist", 240, 320))
    assert film_sizes(modes, ROBOT) == (("front", 480, 480), ("wrist", 240, 240))
