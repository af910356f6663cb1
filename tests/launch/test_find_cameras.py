"""`ideomotor find-cameras`: the kernel's lists as its header has them, and films in place of cameras."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ideomotor.launch.commands.bring_up.find_cameras import LABEL, TILE, contact_sheet
from ideomotor.launch.commands.video import VideoWriter
from ideomotor.launch.runtime.cameras.video_devices import (
    ENUM_FMT,
    ENUM_FRAMEINTERVALS,
    ENUM_FRAMESIZES,
    QUERYCAP,
    VideoMode,
    video_devices,
)

FORMATS = {"MJPG": {(640, 480): [(1, 30), (1, 15)], (1280, 720): [(1, 30)]}, "YUYV": {(640, 480): [(2, 15)]}}


def kernel(capabilities: int, stepwise: bool = False) -> Callable[[int, int, bytearray], int]:
    """Answers as linux/videodev2.h says, for a camera with FORMATS."""

    def refuse() -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    def ioctl(file: int, request: int, data: bytearray) -> int:
        if request == QUERYCAP:
            struct.pack_into(
                "16s32s32sIII", data, 0, b"uvcvideo", b"Some Camera", b"usb-1", 1, 0x80000000, capabilities
            )
        elif request == ENUM_FMT:
            index, kind = struct.unpack_from("II", data)
            if kind != 1 or index >= len(FORMATS):
                refuse()
            struct.pack_into("III32sI", data, 0, index, 1, 0, b"", *pixel(list(FORMATS)[index]))
        elif request == ENUM_FRAMESIZES:
            index, letters = struct.unpack_from("I4s", data)
            sizes = list(FORMATS[letters.decode()])
            if index >= (1 if stepwise else len(sizes)):
                refuse()
            if stepwise:
                struct.pack_into("IIIIIII", data, 8, 3, 160, 1920, 8, 120, 1080, 8)
            else:
                struct.pack_into("III", data, 8, 1, *sizes[index])
        elif request == ENUM_FRAMEINTERVALS:
            index, letters, width, height = struct.unpack_from("I4sII", data)
            rates = FORMATS[letters.decode()].get((width, height), [])
            if index >= len(rates):
                refuse()
            struct.pack_into("III", data, 16, 1, *rates[index])
        else:
            refuse()
        return 0

    return ioctl


def pixel(letters: str) -> tuple[int]:
    return struct.unpack("I", letters.encode())


def test_modes_are_read_from_the_kernel_and_the_path_that_stays_is_given(tmp_path: Path) -> None:
    for name in ("video0", "video10", "video2", "videoX"):
        (tmp_path / name).touch()
    (tmp_path / "by-path").mkdir()
    (tmp_path / "by-path" / "pci-usb-0:2-video-index0").symlink_to(tmp_path / "video2")
    found = video_devices(tmp_path, (tmp_path / "by-path",), kernel(capabilities=1))
    assert [device.device for device in found] == ["/dev/video0", "/dev/video2", "/dev/video10"]
    assert found[1].path.endswith("pci-usb-0:2-video-index0") and found[1].index == 2
    assert found[0].name == "Some Camera"
    assert found[0].modes == (
        VideoMode("MJPG", 640, 480, (30.0, 15.0)),
        VideoMode("MJPG", 1280, 720, (30.0,)),
        VideoMode("YUYV", 640, 480, (7.5,)),
    )


def test_files_that_do_not_capture_and_ranges_of_sizes(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    assert video_devices(tmp_path, (), kernel(capabilities=0x00800000)) == []  # metadata only
    [device] = video_devices(tmp_path, (), kernel(capabilities=1, stepwise=True))
    assert device.modes[0] == VideoMode("MJPG", 1920, 1080, ())

    def not_a_camera(*_: Any) -> None:
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    assert video_devices(tmp_path, (), not_a_camera) == []


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / "front.mp4", folder / "wrist.mp4"]
    for path, grey in zip(paths, (60, 200), strict=True):
        with VideoWriter(path, fps=30) as video:
            for _ in range(10):
                video.write(np.full((96, 128, 3), grey, np.uint8))
    return paths


def test_what_each_one_gives_and_sees(in_process, films: list[Path], tmp_path: Path) -> None:
    sources = [part for path in films for part in ("--source", str(path))]
    done = in_process(
        "find-cameras", *sources, "--seconds", "0.2", "--sheet", tmp_path / "all.png", "--json", "-"
    )
    assert done.returncode == 0
    measured = [camera["measured"] for camera in done.json["cameras"]]
    assert [(one["width"], one["height"], one["why"]) for one in measured] == [(128, 96, "")] * 2
    sheet = cv2.imread(str(tmp_path / "all.png"))
    assert sheet is not None and sheet.shape == (240 + LABEL, 2 * TILE, 3)
    assert abs(int(sheet[100, 100].mean()) - 60) < 5 and abs(int(sheet[100, TILE + 100].mean()) - 200) < 5


def test_a_camera_without_pictures_is_a_fault_and_wrong_options_are_refused(
    in_process, tmp_path: Path
) -> None:
    done = in_process("find-cameras", "--source", tmp_path / "none.mp4")
    assert done.returncode == 1 and "gives no picture" in done.stdout
    in_process("find-cameras", "--sheet", tmp_path / "all.jpg").assert_refused("sheet", ".png")
    in_process("find-cameras", "--seconds", "0", "--sheet", tmp_path / "all.png").assert_refused("sheet")
    in_process("find-cameras", "--seconds", "-1").assert_refused("seconds: got -1")


def test_a_sheet_has_a_place_for_each_and_grey_where_there_is_no_picture() -> None:
    pictures = [np.full((10, 20, 3), 255, np.uint8), None, np.zeros((40, 20, 3), np.uint8)]
    sheet = contact_sheet(["a", "b", "c"], pictures)
    assert sheet.shape == (2 * (640 + LABEL), 2 * TILE, 3)
    assert sheet[80, 160].tolist() == [255] * 3 and sheet[80, TILE + 160].tolist() == [128] * 3
