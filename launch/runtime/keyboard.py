"""Keys from a terminal, one by one."""

from __future__ import annotations

import contextlib
import os
import re
import select
import termios
import tty
from collections.abc import Generator

ARROWS = {"\x1b[C": "right", "\x1b[D": "left", "\x1bOC": "right", "\x1bOD": "left"}  # as terminals send them
REST_S = 0.02  # that the rest of a code may come later
ESCAPE = re.compile(r"\x1b(?:[\[O][0-9;]*[A-Za-z~])?")


def read_keys(descriptor: int) -> str:
    """What has been typed, not cut within an arrow's code; empty, or an OSError, if the terminal is gone."""
    typed = os.read(descriptor, 64).decode(errors="ignore")
    if typed.endswith("\x1b") and select.select([descriptor], [], [], REST_S)[0]:
        typed += os.read(descriptor, 64).decode(errors="ignore")
    return typed


def keys_in(typed: str) -> list[str]:
    """The keys of what a terminal sent: characters, right, left and escape; of others with a code, none."""
    keys = []
    while typed:
        code = match[0] if (match := ESCAPE.match(typed)) else typed[0]
        typed = typed[len(code) :]
        name = {**ARROWS, "\x1b": "escape"}.get(code, code)
        keys += [name] if len(code) == 1 or name != code else []
    return keys


def in_foreground(descriptor: int) -> bool:
    """Whether a terminal may be used: the kernel stops a background job that changes its terminal."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True  # it is not the terminal that controls this job


@contextlib.contextmanager
def each_key(descriptor: int) -> Generator[int]:
    """Lets keys through one by one, unseen; Ctrl-C still is a signal."""
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield descriptor
    finally:
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
