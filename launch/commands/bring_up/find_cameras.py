"""`ideomotor find-cameras`: which cameras there are, what they give, and what each one sees."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.datasets.outputs import check_output
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.launch.runtime.cameras.video_devices import VideoDevice

TILE = 320  # width of a picture on the contact sheet [pixels]
LABEL = 28  # height of the line under it
FIRST_S = 5.0  # that a camera may take for its first picture


@dataclass(frozen=True)
class FindCamerasOptions:
    """Lists every camera with its modes and measured rate; --sheet shows what each one sees.

    Numbers change at reboot; give `launch --camera NAME=PATH` the path, which stays with the USB socket.
    """

    sheet: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """write one picture of every camera, with its number, on one sheet"""

    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 2.0
    """for how long the rate of each camera is measured; 0: nothing is opened"""

    source: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="INDEX|PATH")]] = ()
    """look at this one, a video file say, instead of all there are; may be given several times"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was found as JSON; - is standard output"""


def find_cameras(options: FindCamerasOptions) -> int:
    """Shows the cameras; 1 where there is none, or one gives no picture."""
    output = Output(options.json)
    if not 0 <= options.seconds <= 60:
        raise UserError(f"seconds: got {options.seconds:g}, expected 0 to 60")
    if options.sheet is not None:
        if options.sheet.suffix.lower() != ".png":
            raise UserError(f"sheet: got {str(options.sheet)!r}, expected a .png file")
        if not options.seconds:
            raise UserError("sheet: needs pictures, and --seconds 0 opens no camera")
        check_output("sheet", options.sheet)

    with loading():
        from ideomotor.launch.runtime.cameras.video_devices import VideoDevice, video_devices

    devices = [VideoDevice(source, source, "", ()) for source in options.source] or video_devices()
    seen = [_checked(device, options.seconds) for device in devices] if options.seconds else []
    result: list[dict[str, Any]] = []
    for number, device in enumerate(devices):
        result.append(asdict(device) | ({"measured": seen[number].to_json()} if seen else {}))
        output.text.print(f"{device.path}  {device.name}".rstrip(), markup=False)
        for line in _mode_lines(device):
            output.text.print(f"    {line}", markup=False)
        if seen:
            output.text.print(f"    {seen[number].sentence()}", markup=False)
    if options.sheet is not None and seen:
        _write_sheet(options.sheet, devices, seen)
        output.text.print(f"what they see: {options.sheet}", markup=False)
    output.result({"cameras": result})
    if not devices:
        output.text.print(
            "no camera: is it plugged in, and may you open /dev/video* (group video)?", markup=False
        )
    return 0 if devices and all(not one.why for one in seen) else 1


@dataclass(frozen=True)
class CameraCheck:
    """What a camera gave as it is, without asking it for a mode."""

    picture: np.ndarray | None  # (H, W, 3) uint8 RGB, the last one
    width: int = 0
    height: int = 0
    rate: float = math.nan  # [pictures a second], measured
    longest_s: float = math.nan  # between two pictures
    why: str = ""  # there is no picture

    def to_json(self) -> dict[str, Any]:
        rate, longest_s = (None if math.isnan(value) else value for value in (self.rate, self.longest_s))
        return {
            "width": self.width, "height": self.height, "rate": rate, "longest_s": longest_s, "why": self.why
        }  # fmt: skip

    def sentence(self) -> str:
        if self.why:
            return self.why
        return (
            f"gives {self.width}x{self.height}, {self.rate:.1f} pictures a second, "
            f"at most {1000 * self.longest_s:.0f} ms apart"
        )


def _checked(device: VideoDevice, seconds: float) -> CameraCheck:
    """Takes pictures for some seconds."""
    import cv2

    where = int(device.path) if device.path.isdecimal() else device.path
    capture = cv2.VideoCapture(where)
    try:
        until, times, frame = time.monotonic() + FIRST_S, list[float](), None
        while time.monotonic() < until:
            there, picture = capture.read()
            if not there:
                break
            if not times:
                until = time.monotonic() + seconds
            times.append(time.monotonic())
            frame = picture
    finally:
        capture.release()
    if frame is None:
        return CameraCheck(None, why="gives no picture: something else may be using it")
    gaps = np.diff(times)
    height, width = frame.shape[:2]
    rate = len(gaps) / float(gaps.sum()) if len(gaps) and gaps.sum() > 0 else math.nan
    return CameraCheck(
        frame[..., ::-1].copy(), width, height, rate, float(gaps.max()) if len(gaps) else math.nan
    )


def _mode_lines(device: VideoDevice) -> list[str]:
    """The modes, a line for each format, the largest size first."""
    lines = []
    for letters in dict.fromkeys(mode.format for mode in device.modes):
        own = sorted(
            (mode for mode in device.modes if mode.format == letters), key=lambda m: -m.width * m.height
        )
        sizes = [f"{m.width}x{m.height}" + (f" at {m.rates[0]:g}" if m.rates else "") for m in own]
        lines.append(f"{letters}: {', '.join(sizes[:6])}{', …' if len(sizes) > 6 else ''}")
    return lines


def contact_sheet(labels: Sequence[str], pictures: Sequence[np.ndarray | None]) -> np.ndarray:
    """All pictures beside each other, (H, W, 3) uint8 RGB, labels below; grey where there is none."""
    import cv2

    columns = math.ceil(math.sqrt(len(pictures)))
    scaled = []
    for picture in pictures:
        if picture is None:
            picture = np.full((3 * TILE // 4, TILE, 3), 128, np.uint8)
        height = max(round(picture.shape[0] * TILE / picture.shape[1]), 1)
        scaled.append(cv2.resize(picture, (TILE, height), interpolation=cv2.INTER_AREA))
    row = max(picture.shape[0] for picture in scaled) + LABEL
    sheet = np.zeros((row * math.ceil(len(scaled) / columns), TILE * columns, 3), np.uint8)
    for number, (label, picture) in enumerate(zip(labels, scaled, strict=True)):
        top, left = row * (number // columns), TILE * (number % columns)
        sheet[top : top + picture.shape[0], left : left + TILE] = picture
        at = (left + 4, top + picture.shape[0] + LABEL - 9)
        cv2.putText(sheet, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return sheet


def _write_sheet(path: Path, devices: Sequence[VideoDevice], seen: Sequence[CameraCheck]) -> None:
    import cv2

    from ideomotor.datasets.outputs import write_output

    labels = [Path(device.device).name for device in devices]
    sheet = contact_sheet(labels, [one.picture for one in seen])
    _, data = cv2.imencode(".png", sheet[..., ::-1])
    write_output(path, data.tobytes())
