"""Files that are whole or absent: several are staged, then put in place together; and the folder lock."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from ideomotor.control.errors import DiskFull, UserError

TEMPORARY = ".tmp"  # suffix of a file that is not in place yet


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Writes all files, each under a temporary name and synced, and then renames them in this order.

    When one cannot be written (a full disk), none has been touched. The last is renamed when the others
    are in place for good: also after a power cut, it is never newer than they are.
    """
    staged: list[tuple[Path, Path]] = []
    folders = {path.parent for path in contents}
    try:
        for path, data in contents.items():
            folders |= {folder.parent for folder in path.parents if not folder.exists()}
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(path.name + TEMPORARY)
            staged.append((temporary, path))
            write_synced(temporary, data)
        for temporary, path in staged[:-1]:
            os.replace(temporary, path)
        for folder in folders:
            sync_folder(folder)
        for temporary, path in staged[-1:]:
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file and waits until it is on the disk."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def put_in_place(temporary: Path, path: Path) -> None:
    """Renames a file that was written under another name, so that it is whole even after a power cut."""
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    sync_folder(path.parent)


def cannot_write(where: Path | str, error: OSError, note: str = "") -> UserError:
    """What to raise for an error of the system while writing there: one line that says why."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else f"cannot write: {error.strerror or error}"
    kind = DiskFull if full or error.errno == errno.EFBIG else UserError
    return kind(f"{where}: {reason}{note}")


def lock_folder(folder: Path) -> int:
    """Takes the folder for one writer; close the descriptor that is returned to give it back.

    Raises:
        UserError: another process is writing there.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise UserError(f"{folder}: another process is writing there") from None
    return descriptor


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
