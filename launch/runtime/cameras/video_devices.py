"""The cameras of this computer as the kernel knows them: names that stay, sizes, rates, formats.

Video4Linux2's own questions (linux/videodev2.h): VIDIOC_QUERYCAP, _ENUM_FMT, _ENUM_FRAMESIZES and
_ENUM_FRAMEINTERVALS. Nothing is opened for pictures here. A camera has several device files, of which those
that capture are given; numbers change at reboot, the path through the USB sockets does not.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ideomotor.control.device_paths import stable_path

DEVICES = Path("/dev")
STABLE = (Path("/dev/v4l/by-path"), Path("/dev/v4l/by-id"))  # by-path: two alike share their id
QUERYCAP, ENUM_FMT = 0x80685600, 0xC0405602
ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
CAN_CAPTURE, HAS_DEVICE_CAPS = 0x00000001, 0x80000000
DISCRETE = 1  # of sizes and intervals; other kinds are ranges, whose largest is given
MOST = 64  # entries of one list: a broken driver must not answer for ever

Ioctl = Callable[[int, int, bytearray], object]  # (file, request, structure that is filled in)


@dataclass(frozen=True)
class VideoMode:
    """One size in one format."""

    format: str  # four letters, such as MJPG
    width: int  # [pixels]
    height: int
    rates: tuple[float, ...]  # [pictures a second], the highest first


@dataclass(frozen=True)
class VideoDevice:
    """A device file that gives pictures."""

    device: str  # such as /dev/video0
    path: str  # one that stays; the device where there is none
    name: str
    modes: tuple[VideoMode, ...]

    @property
    def index(self) -> int:
        """What `--camera NAME=INDEX` takes."""
        return int(self.device.removeprefix("/dev/video"))


def video_devices(
    devices: Path = DEVICES, stable: tuple[Path, ...] = STABLE, ioctl: Ioctl = fcntl.ioctl
) -> list[VideoDevice]:
    """Every device file that captures, by its number; those that may not be opened are left out."""
    found = []
    numbered = sorted(
        (path for path in devices.glob("video*") if path.name[5:].isdecimal()),
        key=lambda path: int(path.name[5:]),
    )
    for path in numbered:
        try:
            file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            name = _captures(file, ioctl)
            if name is not None:
                modes = tuple(_modes(file, ioctl))
                found.append(VideoDevice(f"/dev/{path.name}", stable_path(path, stable), name, modes))
        except OSError:
            continue  # no Video4Linux device after all
        finally:
            os.close(file)
    return found


def _captures(file: int, ioctl: Ioctl) -> str | None:
    """The camera's name; None where this file of it gives no pictures."""
    answer = bytearray(104)
    ioctl(file, QUERYCAP, answer)
    _, card, _, _, capabilities, device = struct.unpack_from("16s32s32sIII", answer)
    mine = device if capabilities & HAS_DEVICE_CAPS else capabilities
    return card.split(b"\0")[0].decode(errors="replace") if mine & CAN_CAPTURE else None


def _modes(file: int, ioctl: Ioctl) -> Iterator[VideoMode]:
    for letters in _listed(file, ioctl, ENUM_FMT, 64, lambda n: struct.pack("II", n, CAPTURE), 44, "I"):
        pixel = letters[0]
        sizes = _listed(
            file, ioctl, ENUM_FRAMESIZES, 44, lambda n, p=pixel: struct.pack("II", n, p), 8, "IIIIIII"
        )
        for kind, *size in sizes:
            # A discrete size is (width, height); a range (least, most, step) of both.
            width, height = size[:2] if kind == DISCRETE else (size[1], size[4])
            rates = _listed(
                file,
                ioctl,
                ENUM_FRAMEINTERVALS,
                52,
                lambda n, p=pixel, w=width, h=height: struct.pack("IIII", n, p, w, h),
                16,
                "III",
            )
            seconds = {(up, down) for _, up, down in rates if up and down}
            found = tuple(sorted({down / up for up, down in seconds}, reverse=True))
            yield VideoMode(struct.pack("I", pixel).decode("ascii", "replace").strip(), width, height, found)


def _listed(
    file: int, ioctl: Ioctl, request: int, size: int, asked: Callable[[int], bytes], offset: int, form: str
) -> Iterator[tuple[int, ...]]:
    """The entries of one of the kernel's lists, up to the first that is refused."""
    for number in range(MOST):
        entry = bytearray(size)
        beginning = asked(number)
        entry[: len(beginning)] = beginning
        try:
            ioctl(file, request, entry)
        except OSError:
            return
        yield struct.unpack_from(form, entry, offset)
