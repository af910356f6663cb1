"""What a user names as an output, whatever lies there: a file, a link, a device, a FIFO, a shell's `>(…)`.

A regular file is replaced whole, by a rename; links are followed to the file they lead to. What is no
regular file is written into, since a rename would put a file in its place. A folder, a socket or a disk is
refused, by `check_output`, before the work begins.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ideomotor.control.errors import UserError
from ideomotor.datasets import files

LINKS = 40  # that are followed, as by the kernel
_DESCRIPTOR = re.compile(r"/proc/(\d+)/fd/(\d+)")


def check_output(name: str, path: Path, suffixes: Sequence[str] = ()) -> None:
    """To be asked before the work that ends in writing a file.

    Args:
        name: of the option, for messages.
        suffixes: that a regular file's name may have; () is any. What is no regular file keeps its name.

    Raises:
        UserError: it cannot be written: a folder, a socket or a disk; in no folder; not permitted; or of
            another suffix.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        raise UserError(f"{name}: cannot write {str(path)!r}: {error.strerror}") from None
    for is_kind, kind in ((stat.S_ISDIR, "folder"), (stat.S_ISSOCK, "socket"), (stat.S_ISBLK, "disk")):
        if is_kind(mode):
            raise UserError(f"{name}: {str(path)!r} is a {kind}, expected a file")
    descriptor = _descriptor(path)
    if descriptor is not None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise UserError(f"{name}: {str(path)!r} is open for reading only")
    elif stat.S_ISREG(mode):
        if suffixes and path.suffix not in suffixes:
            raise UserError(f"{name}: got {str(path)!r}, expected a name that ends in {', '.join(suffixes)}")
        target = _followed(path)
        if not target.parent.is_dir():
            raise UserError(f"{name}: the folder of {str(path)!r} does not exist")
        if not os.access(target if target.exists() else target.parent, os.W_OK):
            raise UserError(f"{name}: no permission to write {str(path)!r}")
    elif not os.access(path, os.W_OK):
        raise UserError(f"{name}: no permission to write {str(path)!r}")


def check_output_folder(name: str, path: Path) -> None:
    """To be asked before the work that fills a folder, which need not exist.

    Raises:
        UserError: it is no folder, or cannot be made or written.
    """
    there = path.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UserError(f"{name}: {str(there)!r} is not a folder, expected one to write to")
    if not os.access(there, os.W_OK):
        raise UserError(f"{name}: no permission to write {str(there)!r}")


def check_apart(name: str, out: Path, sources: Iterable[Path]) -> None:
    """Raises UserError for a folder to write to that is one of those that are read, or lies in one."""
    inside = out.resolve()
    for source in sources:
        around = source.resolve()
        if inside == around or around in inside.parents:
            raise UserError(f"{name}: {str(out)!r} lies in {str(source)!r}, expected a folder of its own")


@contextmanager
def writing(path: Path) -> Generator[Path]:
    """Gives the path of a new file, whose contents become the output `path` when the block ends well.

    If the block makes no file, or fails, nothing is touched.
    """
    if not _is_replaced(path):
        with tempfile.TemporaryDirectory(prefix="ideomotor-") as folder:
            temporary = Path(folder) / "output"
            yield temporary
            _copy_into(temporary, path)
        return
    target = _followed(path)
    temporary = target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if temporary.exists():
            with suppress(FileNotFoundError):
                _keep_permissions(os.stat(target), temporary)
            try:
                files.put_in_place(temporary, target)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                _copy_into(temporary, target)  # a file that is mounted where it lies, as into a container
    finally:
        temporary.unlink(missing_ok=True)


def write_output(path: Path, data: bytes) -> None:
    """Writes an output, whole or not at all where a regular file can be."""
    with writing(path) as temporary:
        files.write_synced(temporary, data)


def _is_replaced(path: Path) -> bool:
    """Whether there is a regular file, or will be one, in whose folder another can be made."""
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True
    return regular and _descriptor(path) is None and os.access(_followed(path).parent, os.W_OK)


def _followed(path: Path) -> Path:
    """Where links lead to in the end, whether or not a file is there."""
    return Path(os.path.realpath(path))


def _descriptor(path: Path) -> int | None:
    """Of `/dev/stdout`, `/dev/fd/N` or a link to one: our own descriptor, which is somewhere in its file."""
    where = os.path.abspath(path)
    for _ in range(LINKS):
        where = os.path.join(os.path.realpath(os.path.dirname(where)), os.path.basename(where))
        found = _DESCRIPTOR.fullmatch(where)
        if found and int(found[1]) == os.getpid():
            return int(found[2])
        if not os.path.islink(where):
            return None
        where = os.path.join(os.path.dirname(where), os.readlink(where))
    return None


def _copy_into(source: Path, path: Path) -> None:
    if source.exists():
        with open(source, "rb") as data, _opened(path) as sink:
            shutil.copyfileobj(data, sink)


def _opened(path: Path) -> BinaryIO:
    descriptor = _descriptor(path)
    if descriptor is None:
        return open(path, "wb")
    if descriptor == 1 and sys.stdout:
        sys.stdout.flush()  # what was printed before comes before
    return os.fdopen(os.dup(descriptor), "wb")


def _keep_permissions(before: os.stat_result, temporary: Path) -> None:
    os.chmod(temporary, stat.S_IMODE(before.st_mode))
    now = os.stat(temporary)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        with suppress(PermissionError):
            os.chown(temporary, before.st_uid, before.st_gid)
