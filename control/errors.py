"""The exception that means "the user's input is wrong", and the one that means "there is no room left".

It lives in `control` because every room may import `control`. The command line prints its message as
one line and exits with code 2; anything else that escapes is a defect and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input: the message names the field, the value and what was expected, on one line."""


class MotorsOnError(UserError):
    """A robot refused, and motors of it are on or may be: whoever is there must hold it."""


class NoAnswer(Exception):
    """A policy that is asked over a network gave no answer in time; nothing is wrong with what it was asked.

    Where a robot is driven, whatever it has is executed until it is too old, and the policy is asked again.
    """


class DiskFull(UserError):
    """There is no room left where something is written: as one line too, but a fault, so exit code 1."""


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that is not in a list, with the valid names and a near match.

    Args:
        kind: what the name stands for, e.g. "task".
        name: what the user gave.
        valid: the names that exist.
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UserError(f"{kind}: unknown name {name!r}{hint} (valid: {', '.join(names)})")
