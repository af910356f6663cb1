"""The serial ports of this computer, and which of them look like a servo adapter.

USB ids are those of the chips that servo adapters are built with, as http://www.linux-usb.org/usb.ids names
them. An id tells the chip, not what hangs on it: two arms have two equal adapters, so each port is given with
the path that stays its own (`/dev/serial/by-id`, by-path where two are alike).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ideomotor.control.device_paths import stable_path
from ideomotor.control.errors import UserError

# {(vendor, product): chip and where it is used}; a product of None is any of the vendor's
ADAPTERS: dict[tuple[int, int | None], str] = {
    (0x1A86, 0x55D3): "CH343, of Feetech and Waveshare bus adapters",
    (0x1A86, 0x55D4): "CH9102, of Feetech and Waveshare bus adapters",
    (0x1A86, 0x7523): "CH340, of Feetech and Waveshare bus adapters",
    (0x0403, 0x6014): "FT232H, of the U2D2",
    (0x2F5D, None): "ROBOTIS, such as OpenRB-150",
}
STABLE = (Path("/dev/serial/by-id"), Path("/dev/serial/by-path"))


@dataclass(frozen=True)
class SerialPort:
    """One port."""

    device: str  # such as /dev/ttyACM0; another one after the next reboot
    path: str  # one that stays; the device where there is none
    usb_id: str  # "1a86:55d3"; empty where it is not on USB
    description: str
    serial_number: str
    adapter: str  # what it looks like; empty where no servo adapter is known to have this id


def serial_ports(stable: tuple[Path, ...] = STABLE) -> list[SerialPort]:
    """Every serial port that is there, servo adapters first.

    Args:
        stable: folders of links to devices, the better first.

    Raises:
        UserError: pyserial is not installed.
    """
    try:
        from serial.tools.list_ports import comports
    except ImportError:
        raise UserError(
            "find-port: pyserial is not installed, expected pip install 'ideomotor[feetech]' or [dynamixel]"
        ) from None
    found = []
    for port in comports():
        on_usb = port.vid is not None and port.pid is not None
        found.append(
            SerialPort(
                device=port.device,
                path=stable_path(port.device, stable),
                usb_id=f"{port.vid:04x}:{port.pid:04x}" if on_usb else "",
                description=port.description if port.description != "n/a" else "",
                serial_number=port.serial_number or "",
                adapter=_adapter(port.vid, port.pid),
            )
        )
    return sorted(found, key=lambda port: (not port.adapter, port.device))


def _adapter(vendor: int | None, product: int | None) -> str:
    if vendor is None:
        return ""
    return ADAPTERS.get((vendor, product)) or ADAPTERS.get((vendor, None)) or ""
