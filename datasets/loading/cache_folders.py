"""Cache folders that processes share: each is built once, and together they stay within a budget.

A folder is built under a temporary name by one process while others wait, and renamed when whole: an
interrupted build leaves nothing that would be used, and its remains go with the next build. A process
that uses a folder holds a shared lock on a file in it, and so do its children; room for a new one is made
by removing the folders that nobody holds, those used longest ago first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import finalize

from ideomotor.control.errors import UserError

MARK = "in-use"  # the file that users of a folder lock; its time is that of the newest use
SIZE = "bytes"  # the file that says how large a folder is, or will be
TEMPORARY = ".tmp"
_FOLDER = re.compile(r".+-(columns|\d+x\d+)-[0-9a-f]{12}(\.tmp)?")
GIGABYTE = 10**9


class NoRoom(Exception):
    """A folder would not fit the budget or the disk, whatever is removed; the text says why."""


@dataclass(frozen=True, eq=False)
class Held:
    """A folder that stays while this object, or one in a child of this process, lives."""

    folder: Path
    descriptor: int

    def __post_init__(self) -> None:
        finalize(self, os.close, self.descriptor)


def default_root() -> Path:
    """Returns where caches live: $IDEOMOTOR_CACHE, or a folder in the user's cache."""
    if chosen := os.environ.get("IDEOMOTOR_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ideomotor" / "datasets"


def scenes_root() -> Path:
    """Returns where synthetic scenes live: in $IDEOMOTOR_CACHE, or beside the caches in the user's."""
    root = default_root()
    return (root if os.environ.get("IDEOMOTOR_CACHE") else root.parent) / "scenes"


def default_budget() -> int | None:
    """Returns the bytes that all caches may take, $IDEOMOTOR_CACHE_GB; None: what the disk has room for."""
    text = os.environ.get("IDEOMOTOR_CACHE_GB")
    if not text:
        return None
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < 1e9:
        raise UserError(f"IDEOMOTOR_CACHE_GB: got {text!r}, expected a number of gigabytes")
    return int(gigabytes * GIGABYTE)


def take(
    root: Path,
    name: str,
    key: str,
    needed: Callable[[], int],
    build: Callable[[Path], None],
    budget: int | None = None,
) -> Held:
    """Returns the folder `name-key`, after building it if needed. Folders of other keys are outdated.

    Args:
        needed: gives the bytes of the folder; called only if it has to be built.
        build: fills a folder.
        budget: bytes that all folders may take; None: what the disk has room for.

    Raises:
        NoRoom: it is not there, and does not fit.
        OSError: it cannot be written.
    """
    folder = root / f"{name}-{key}"
    if held := _hold(folder):
        return held
    root.mkdir(parents=True, exist_ok=True)
    with _exclusive(root / f"{name}.lock"):  # one process builds, the others wait here
        if held := _hold(folder):
            return held
        temporary = folder.with_name(folder.name + TEMPORARY)
        with _exclusive(root / "store.lock"):  # the size is known before others look for room
            for other in _folders(root):
                if other == folder or other.name.startswith(f"{name}-"):
                    _remove([other])
            size = needed()
            _make_room(root, size, budget)
            temporary.mkdir()
            held = _new_mark(temporary)
            (temporary / SIZE).write_text(str(size))
        try:
            build(temporary)
            _sync(temporary)
            os.rename(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return held


def used_bytes(root: Path) -> int:
    """Returns the size of all folders together."""
    return sum(_size(folder) for folder in _folders(root))


def _make_room(root: Path, needed: int, budget: int | None) -> None:
    """Removes folders that nobody uses until a new one fits; all or none of what that takes."""
    used, free = used_bytes(root), shutil.disk_usage(root).free
    excess = needed - free if budget is None else max(needed - free, used + needed - budget)
    if excess <= 0:
        return
    if budget is not None and needed > budget:
        raise NoRoom(f"{_gb(needed)} needed, budget {_gb(budget)}")
    going: list[tuple[Path, int]] = []
    freed = 0
    try:
        for folder in sorted(_folders(root), key=_last_use):
            if freed >= excess:
                break
            descriptor = _lock_idle(folder)
            if descriptor is not None:
                going.append((folder, descriptor))
                freed += _size(folder)
        if freed < excess:
            limit = f"{_gb(free)} free" + ("" if budget is None else f", {_gb(used)} of {_gb(budget)} used")
            raise NoRoom(f"{_gb(needed)} needed, {limit}")
        for folder, _ in going:
            _delete(folder)
    finally:
        for _, descriptor in going:
            os.close(descriptor)


def _hold(folder: Path) -> Held | None:
    """Takes a folder into use; None when it is not there."""
    try:
        descriptor = os.open(folder / MARK, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits while it is being removed
    held = Held(folder, descriptor)
    try:
        if os.stat(folder / MARK).st_ino != os.fstat(descriptor).st_ino:
            return None
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):  # a cache that others may only read
        os.utime(folder / MARK)
    return held


def _new_mark(folder: Path) -> Held:
    descriptor = os.open(folder / MARK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return Held(folder.with_name(folder.name.removesuffix(TEMPORARY)), descriptor)


def _lock_idle(folder: Path) -> int | None:
    """Locks a folder against use, if nobody uses it; the descriptor is to be closed."""
    try:
        descriptor = os.open(folder / MARK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # half removed, or of an older layout: nobody's
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove(folders: list[Path]) -> None:
    """Removes those that nobody uses."""
    for folder in folders:
        descriptor = _lock_idle(folder)
        if descriptor is not None:
            _delete(folder)
            os.close(descriptor)


def _delete(folder: Path) -> None:
    (folder / MARK).unlink(missing_ok=True)  # from now on it is not there for others
    shutil.rmtree(folder, ignore_errors=True)


def _folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if _FOLDER.fullmatch(path.name) and path.is_dir()]


def _size(folder: Path) -> int:
    """Bytes of a folder: what it will have, if it is being built, and what users have put beside it."""
    files = [path for path in folder.glob("*") if path.is_file() and path.name not in (MARK, SIZE)]
    there = sum(path.stat().st_size for path in files)
    try:
        return max(there, int((folder / SIZE).read_text()))
    except (OSError, ValueError):
        return there


def _last_use(folder: Path) -> float:
    for path in (folder / MARK, folder):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _sync(folder: Path) -> None:
    """Waits until a folder and its files are on the disk."""
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _gb(count: int) -> str:
    return f"{count / GIGABYTE:.3g} GB"


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Waits until no other process is in the same section."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
