"""What a command adds to a running session: when it is over, keys of its own, rows to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class Companion(Protocol):
    """What goes on beside the control loop of a session, in the process that shows it."""

    def begin(self, say: Callable[[str], None]) -> None:
        """The session begins; `say` shows a line."""
        ...

    def poll(self, now: float) -> None:
        """Called many times a second, at time `now` [s]: may follow the shared state and make requests."""
        ...

    def key(self, name: str, now: float) -> bool:
        """Obeys a key: right, left, escape, or its character. False leaves it to the view."""
        ...

    def rows(self) -> Mapping[str, str]:
        """{heading: text} to be shown; "keys" takes the place of the view's own."""
        ...
