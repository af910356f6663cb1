"""Paths of devices that stay when others are plugged in: links that udev keeps beside the numbered files."""

from __future__ import annotations

from pathlib import Path


def stable_path(device: str | Path, folders: tuple[Path, ...]) -> str:
    """The link that leads to a device and to no other; the device itself where there is none.

    Args:
        folders: of links, such as /dev/serial/by-id; the better first.
    """
    target = Path(device).resolve()
    for folder in folders:
        for link in sorted(folder.glob("*")) if folder.is_dir() else ():
            if link.resolve() == target:
                return str(link)
    return str(device)
