"""What a run asks of a policy: the rest of it is neither loaded nor computed. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ideomotor.control.errors import UserError, unknown_name


@dataclass(frozen=True)
class Needed:
    """Parts of a policy. Of its embodiments it is always the one alone that it was trained for last."""

    cameras: tuple[str, ...] | None = None  # whose pictures it will be shown; None: all of its own
    text: bool = True  # whether it shall be able to write the readable plan

    def of(self, cameras: Iterable[str]) -> tuple[str, ...]:
        """Those of these cameras that it will be shown."""
        return tuple(name for name in cameras if self.cameras is None or name in self.cameras)

    def check(self, cameras: Iterable[str]) -> None:
        """Raises UserError for a camera that is none of these."""
        known = tuple(cameras)
        for name in self.cameras or ():
            if name not in known:
                raise unknown_name("cameras", name, known)

    def check_exported(self, cameras: tuple[str, ...], text: bool) -> None:
        """Raises UserError unless an exported policy has these parts and no others."""
        if self.cameras is not None and set(self.cameras) != set(cameras):
            raise UserError(
                f"cameras: got {', '.join(self.cameras) or 'none'}, expected {', '.join(cameras) or 'none'}: "
                "an exported policy has what `ideomotor export --cameras` gave it"
            )
        if text and not self.text:
            raise UserError("text: an exported policy has what `ideomotor export --no-text` left it")


EVERYTHING = Needed()
