"""Cameras through OpenCV, with video files in their place: rate, shape, colours."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control import board as boards
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.supervisor import Job
from ideomotor.datasets.video import encode
from ideomotor.launch.cameras import CapturedCamera, fit, look_through, opencv_cameras_process
from ideomotor.launch.preflight import measure_cameras

ROBOT = load_embodiment("so101")
RED = (200, 30, 30)


@pytest.fixture
def video(tmp_path: Path) -> str:
    """Half a second at 30 Hz of 160 x 120 pixels, red but for the left and right margins."""
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[:, 20:140] = RED
    path = tmp_path / "camera.mp4"
    path.write_bytes(encode([frame] * 15, 30))
    return str(path)


def test_a_video_plays_at_its_rate_for_ever_cut_to_the_shape_that_is_wanted(video: str) -> None:
    camera = CapturedCamera(ROBOT.camera("front"), video)
    times: set[float] = set()
    started = time.monotonic()
    while time.monotonic() - started < 1.2:
        times.add(camera.read()[0])
        time.sleep(0.003)
    _, image = camera.read()
    camera.close()
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(image.mean(axis=(0, 1)), RED, atol=12)  # RGB, and the margins are gone
    assert 20 < len(times) <= 38  # longer than the video, and no faster than it


def test_the_rate_of_cameras_is_measured_as_they_will_run(video: str) -> None:
    sources = {"front": video, "wrist": video}
    assert look_through(sources, ROBOT)["front"] == f"{video}, 160x120"
    board = boards.create(ROBOT)
    try:
        job = Job("cameras", opencv_cameras_process, (board.spec, ROBOT, sources))
        front, wrist = measure_cameras(board, job, ROBOT, dict.fromkeys(sources, video))
    finally:
        board.close()
    assert (front.name, wrist.name, front.expected_hz) == ("front", "wrist", 30)
    assert 10 < front.hz < 40 and 10 < wrist.hz < 40


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(UserError, match=r"camera: wrist: cannot open '.*text.mp4'"):
        CapturedCamera(ROBOT.camera("wrist"), str(tmp_path / "text.mp4"))


def test_pictures_of_any_shape_fit() -> None:
    for shape in ((480, 640, 3), (640, 480, 3), (50, 60, 3), (96, 96, 3)):
        assert fit(np.zeros(shape, np.uint8), 96, 96).shape == (96, 96, 3)
        assert fit(np.zeros(shape, np.uint8), 120, 160).shape == (120, 160, 3)
