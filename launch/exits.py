"""How a command ends: its exit code, and the one line that says why."""

from __future__ import annotations

import errno
import os
import re
import sys

from ideomotor.control.ctrl_c import INTERRUPTED, loading
from ideomotor.control.errors import DiskFull, NoAnswer, UserError
from ideomotor.launch.streams import failure

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL = {  # modules of the extra `full`
    "daqp",
    "diffusers",
    "gymnasium",
    "mink",
    "mujoco",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
}
NOT_USABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}  # a path


def printed(code: int) -> int:
    """The exit code of a command that is done: 1 instead of 0 if not all that it printed could be written."""
    error = failure()
    return code if error is None or code else refuse(f"standard output: {error.strerror}", 1)


def interrupted() -> int:
    with loading():
        print("interrupted", file=sys.stderr)
    return INTERRUPTED


def explained(error: Exception) -> int | None:
    """Says in one line what was wrong and returns the exit code; None for a defect."""
    if isinstance(error, DiskFull | NoAnswer):
        return refuse(str(error), 1)
    if isinstance(error, UserError):
        return refuse(str(error), 2)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in FULL:
        what = (error.name or "").partition(".")[0]
        return refuse(f"this needs {what}, which is not installed: pip install 'ideomotor[full]'", 2)
    if isinstance(error, BrokenPipeError):
        return 0  # whoever read an output that was a pipe has seen enough
    number = _system_error(error)
    where = getattr(error, "filename", None) or "while writing"
    if number in DISK_FULL:
        return refuse(f"disk: {os.strerror(number)} ({where})", 1)
    if number in NOT_USABLE:
        return refuse(f"path: {os.strerror(number)} ({where})", 2)
    return None


def means_full_disk(error: Exception) -> bool:
    return isinstance(error, DiskFull) or _system_error(error) in DISK_FULL


def _system_error(error: Exception) -> int:
    """The operating system's number of an error, 0 if it is none; some libraries only write it out."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if type(error).__name__ == "SafetensorError":  # "(os error 28)", in older releases "Os { code: 28, …"
        found = re.search(r"\(os error (\d+)\)|Os { code: (\d+)", str(error))
        return int(found[1] or found[2]) if found else 0
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", str(error)):
        return errno.ENOSPC  # numpy
    return 0


def refuse(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
