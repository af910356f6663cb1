"""Devices without a pose that a person jogs an arm with: the keys of this terminal, a gamepad."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.teleop import gamepad, keyboard
from ideomotor.control.teleop.gamepad import Gamepad
from ideomotor.control.teleop.keyboard import Keyboard
from ideomotor.control.teleop.teleoperator import Teleoperator


@dataclass(frozen=True)
class Device:
    """One that is there and whole.

    Attributes:
        make: the teleoperator, not connected; picklable.
        about: what it is, and how it is used, for people.
        on_keys: takes the keys of the terminal that mean nothing to the session itself.
    """

    make: Callable[[], Teleoperator]
    about: str
    on_keys: Callable[[str], None] | None = None


@contextlib.contextmanager
def open_keyboard(embodiment: Embodiment, path: str | None) -> Generator[Device]:
    """The keys of this terminal, passed on by whoever reads it, or another terminal at `path`.

    Raises:
        UserError: there is no terminal, or the robot cannot be jogged.
    """
    if path is not None:
        make = functools.partial(Keyboard, embodiment, path)
        _probe(make)
        yield Device(make, f"keyboard at {path}: {keyboard.HELP}")
        return
    if not sys.stdin or not sys.stdin.isatty():
        raise UserError(
            "leader: keyboard: standard input is no terminal, expected one, or keyboard@DEV, e.g. "
            "keyboard@/dev/pts/3"
        )
    with tempfile.TemporaryDirectory(prefix="ideomotor-keys-") as folder:
        pipe = str(Path(folder) / "keys")
        os.mkfifo(pipe, 0o600)
        make = functools.partial(Keyboard, embodiment, pipe)
        _probe(make)
        writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)

        def pass_on(keys: str) -> None:
            with contextlib.suppress(BlockingIOError):  # nobody reads them: they are void
                os.write(writer, keys.encode())

        try:
            yield Device(make, f"keyboard: {keyboard.HELP}", pass_on)
        finally:
            os.close(writer)


@contextlib.contextmanager
def open_gamepad(embodiment: Embodiment, path: str | None) -> Generator[Device]:
    """The gamepad at `path`, which may be a recording of one, or the one that there is.

    Raises:
        UserError: there is none, or several, or the robot cannot be jogged.
    """
    make = functools.partial(Gamepad, embodiment, path)
    _probe(make)
    yield Device(make, f"gamepad{f' at {path}' if path else ''}: {gamepad.HELP}")


# {NAME of `--leader NAME[@DEV]`: opens it}
JOG_DEVICES: Mapping[str, Callable[[Embodiment, str | None], contextlib.AbstractContextManager[Device]]] = {
    "keyboard": open_keyboard,
    "gamepad": open_gamepad,
}


def _probe(make: Callable[[], Teleoperator]) -> None:
    """Opens and closes it once, so that whatever is wrong is said before anything else begins."""
    teleoperator = make()
    teleoperator.connect()
    teleoperator.disconnect()
