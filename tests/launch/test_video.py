"""Videos that browsers play, and pictures whose size does not depend on what is written on them."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ideomotor.control.errors import UserError
from ideomotor.launch.commands.video import VideoWriter, compose_frame, save_animation

CAMERAS = {
    "front": np.full((96, 96, 3), (200, 40, 40), np.uint8),
    "wrist": np.full((96, 96, 3), (40, 40, 200), np.uint8),
}


def frames(count: int, height: int = 60, width: int = 80) -> list[np.ndarray]:
    """A white bar that moves to the right on red."""
    result = []
    for i in range(count):
        frame = np.full((height, width, 3), (200, 30, 30), np.uint8)
        frame[:, 4 * i : 4 * i + 8] = 255
        result.append(frame)
    return result


def test_a_video_decodes_to_the_frames_that_were_written(tmp_path: Path):
    path = tmp_path / "episode.mp4"
    with VideoWriter(path, fps=30) as video:
        for frame in frames(15):
            video.write(frame)
        assert not path.exists()  # until it is whole
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 30)
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert [frame.shape for frame in decoded] == [(60, 80, 3)] * 15
    for ours, theirs in zip(frames(15), decoded, strict=True):
        assert np.abs(ours.astype(int) - theirs.astype(int)).mean() < 12
    assert [entry.name for entry in tmp_path.iterdir()] == ["episode.mp4"]


def test_the_index_comes_before_the_pictures_so_that_browsers_start_at_once(tmp_path: Path):
    with VideoWriter(tmp_path / "a.mp4", fps=30) as video:
        for frame in frames(5):
            video.write(frame)
    boxes = re.findall(rb"moov|mdat", (tmp_path / "a.mp4").read_bytes())
    assert boxes[0] == b"moov"


def test_odd_sides_grow_by_a_pixel(tmp_path: Path):
    with VideoWriter(tmp_path / "odd.mp4", fps=10) as video:
        video.write(frames(1, 61, 81)[0])
    with av.open(str(tmp_path / "odd.mp4")) as container:
        assert (container.streams.video[0].height, container.streams.video[0].width) == (62, 82)


def test_an_episode_that_breaks_off_leaves_no_file(tmp_path: Path):
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "a.mp4", fps=30) as video:
        video.write(frames(1)[0])
        raise RuntimeError("fault")
    with VideoWriter(tmp_path / "b.mp4", fps=30):
        pass  # not a single frame
    with pytest.raises(ValueError, match="expected"), VideoWriter(tmp_path / "c.mp4", fps=30) as video:
        video.write(frames(1)[0])
        video.write(frames(1, 10, 10)[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_an_animation_keeps_its_frames_and_its_speed(tmp_path: Path, suffix: str):
    path = tmp_path / f"demo{suffix}"
    save_animation(path, frames(12), fps=25)
    with Image.open(path) as image:
        assert image.size == (80, 60)
        total_ms = 0
        for i in range(12):
            image.seek(i)
            image.load()
            total_ms += image.info["duration"]
            shown = np.asarray(image.convert("RGB"))
            assert shown[30, 4 * i + 4].min() > 200 and shown[30, (4 * i + 40) % 80, 1] < 90
        with pytest.raises(EOFError):
            image.seek(12)
    assert total_ms == 12 * 40
    with pytest.raises(UserError, match="expected a name that ends in .webp or .gif"):
        save_animation(tmp_path / "demo.avi", frames(1), fps=25)


def test_a_composed_frame_shows_the_cameras_from_left_to_right_under_text():
    frame = compose_frame(CAMERAS, "lift the red cube", "grasping", height=192)
    assert frame.dtype == np.uint8 and frame.shape[0] % 2 == 0 and frame.shape[1] % 2 == 0
    band = frame.shape[0] - 192
    assert (frame[band + 96, 96] == (200, 40, 40)).all()
    assert (frame[band + 96, -96] == (40, 40, 200)).all()
    assert frame[:band].max() > 200  # the text


def test_its_size_never_depends_on_the_text():
    long = "put the small purple cylinder that stands behind the yellow ball into the bowl " * 4
    shapes = {
        compose_frame(CAMERAS, instruction, caption, height=193).shape
        for instruction in ("lift it", long, "")
        for caption in ("", "grasp", long, "x" * 500)
    }
    assert len(shapes) == 1


def test_long_text_stays_inside_the_picture():
    long = "put the small purple cylinder that stands behind the yellow ball into the bowl " * 4
    band = compose_frame(CAMERAS, long, "W" * 500, height=192)[:40]
    assert np.ptp(band[:, -8:].reshape(-1, 3), axis=0).max() == 0
