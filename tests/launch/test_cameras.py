"""Cameras through OpenCV, with video files in their place: rate, shape, colours."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

from ideomotor.control.embodiment import EMBODIMENTS, Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.supervisor import Job
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.video import encode
from ideomotor.launch.runtime.cameras.cameras import (
    CapturedCamera,
    film_sizes,
    fit,
    look_through,
    opencv_cameras_process,
)
from ideomotor.launch.runtime.preflight import measure_cameras
from ideomotor.launch.runtime.recording.session_log import Recorder

pytestmark = pytest.mark.realtime

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
    mode = look_through(sources, ROBOT)["front"]
    assert str(mode) == f"{video}, 160x120" and mode.difference == ""
    shared = shared_state.create(ROBOT)
    try:
        job = Job("cameras", opencv_cameras_process, (shared.spec, ROBOT, sources))
        front, wrist = measure_cameras(shared, job, ROBOT, dict.fromkeys(sources, video))
    finally:
        shared.close()
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


class Device:
    """A camera as V4L2 has them: sizes depend on the format, and what it cannot do it does not say."""

    MODES: ClassVar = {"YUYV": [(640, 480), (320, 240)], "MJPG": [(640, 480), (1280, 720)]}

    def __init__(self, source: int | str) -> None:
        self.letters, self.size = "YUYV", (640, 480)
        self.asked = self.size

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's names)
        return True

    def set(self, what: int, value: float) -> bool:
        width, height = self.asked
        if what == cv2.CAP_PROP_FOURCC:
            letters = int(value).to_bytes(4, "little").decode()
            self.letters = letters if letters in self.MODES else self.letters
        elif what == cv2.CAP_PROP_FRAME_WIDTH:
            self.asked = (int(value), height)
        elif what == cv2.CAP_PROP_FRAME_HEIGHT:
            self.asked = (width, int(value))
        sizes = self.MODES[self.letters]
        self.size = min(sizes, key=lambda s: abs(s[0] - self.asked[0]) + abs(s[1] - self.asked[1]))
        return True

    def get(self, what: int) -> float:
        assert what == cv2.CAP_PROP_FOURCC
        return int.from_bytes(self.letters.encode(), "little")

    def read(self) -> tuple[bool, np.ndarray]:
        time.sleep(0.01)
        picture = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        picture[:, : self.size[0] // 2] = RED[::-1]
        return True, picture

    def release(self) -> None: ...


def asking(tmp_path: Path, *captures: str) -> Embodiment:
    """The SO-101 with cameras that ask for something."""
    text = (EMBODIMENTS / "so101.yaml").read_text()
    for name, capture in zip(("front", "wrist"), captures, strict=False):
        text = text.replace(f"{{name: {name}, ", f"{{name: {name}, capture: {capture}, ")
    (tmp_path / "so101.yaml").write_text(text)
    return load_embodiment(tmp_path / "so101.yaml")


def test_a_device_is_set_to_what_the_robot_asks_for_and_what_it_gives_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    robot = asking(
        tmp_path,
        "{width: 1280, height: 720, format: MJPG}",
        "{width: 1280, height: 720, hz: 60, format: YUYV}",
    )
    found = look_through({"front": 0, "wrist": 2}, robot)
    assert str(found["front"]) == "0, 1280x720 MJPG" and found["front"].difference == ""
    assert str(found["wrist"]) == "2, 640x480 YUYV"
    assert found["wrist"].difference.startswith("gives 640x480 YUYV, expected 1280x720 YUYV")
    assert look_through({"front": 0}, ROBOT)["front"].difference == ""  # as it starts
    assert film_sizes(found, robot) == (("front", 720, 720), ("wrist", 480, 480))
    assert film_sizes({}, robot) == ()


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        ("{width: 640}", r"cameras\[0\]\.capture\.height: missing"),
        ("{width: 640, height: 0}", r"cameras\[0\]\.capture\.height: got 0"),
        (
            "{width: 640, height: 480, format: JPEGS}",
            r"capture\.format: got 'JPEGS', expected four letters, e.g. MJPG",
        ),
        ("{width: 640, height: 480, fps: 30}", r"capture\.field: unknown name 'fps'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(tmp_path: Path, capture: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        asking(tmp_path, capture)


def test_the_log_gets_pictures_as_large_as_they_come_and_cut_as_the_policy_sees_them(video, tmp_path) -> None:
    sources = {"front": video, "wrist": video}
    films = film_sizes(look_through(sources, ROBOT), ROBOT)
    assert films == (("front", 120, 120), ("wrist", 120, 120))
    shared = shared_state.create(ROBOT, films)
    process = multiprocessing.get_context("spawn").Process(
        target=opencv_cameras_process, args=(shared.spec, ROBOT, sources), daemon=True
    )
    process.start()
    try:
        recorder = Recorder(shared, ROBOT, tmp_path / "log", "look")
        record, until = shared.films.new(), time.monotonic() + 60
        while not shared.films.read(record):
            assert time.monotonic() < until
            time.sleep(0.01)
        tick = shared.ticks.new()
        for number in range(8):
            tick["tick"], tick["time"] = number, time.monotonic()
            tick["position"] = tick["command"] = ROBOT.home_position
            shared.ticks.write(tick)
            recorder.take()
            time.sleep(0.02)
        recorder.finish({})
        small = shared.frames.new()
        assert shared.frames.read(small) and small["front"].shape == (96, 96, 3)
    finally:
        process.kill()
        process.join()
        shared.close()
    frames = Dataset(tmp_path / "log").frames(0, "front", [0])
    assert frames.shape == (1, 120, 120, 3)
    np.testing.assert_allclose(frames[0].mean(axis=(0, 1)), RED, atol=12)
