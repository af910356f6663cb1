"""Asking a person whether what another program left in the servos may be put back, before anything else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.control.calibration import Calibration
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.control.robots.drivers import Driver
    from ideomotor.control.robots.settings import Difference


def settle(
    driver: Driver,
    embodiment: Embodiment,
    port: str,
    calibration: Calibration,
    output: Output,
    yes: bool,
    only_look: bool,
) -> list[str]:
    """Shows what differs in the servos, and resets it if somebody agrees.

    Args:
        yes: nobody is asked.
        only_look: nothing may be written.

    Returns:
        What still differs, one line each; only if `only_look`.

    Raises:
        UserError: it was not agreed to, or not taken.
    """
    found = driver.differences(embodiment, port, calibration)
    if not found:
        return []
    output.text.print(table(found))
    if only_look:
        return [f"settings: {difference}" for difference in found]
    agree(found, yes, output, typed_yes)
    driver.reset(embodiment, port, found)
    if left := driver.differences(embodiment, port, calibration):
        raise UserError(f"{left[0]}: the servo did not keep it")
    output.text.print(f"{len(found)} settings were reset.")
    return []


def agree(
    found: Sequence[Difference], yes: bool, output: Output, asks: Callable[[Output, str], bool]
) -> None:
    """Returns if the settings may be reset; UserError if not."""
    first = f"{found[0]}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
    if yes:
        return
    if not sys.stdin or not sys.stdin.isatty():
        raise UserError(f"{first}: another program left it; --yes resets it")
    if not asks(output, f"Another program left this in the servos. Reset {len(found)} settings?"):
        raise UserError(f"{first}: not reset, so the arm does not move")


def typed_yes(output: Output, question: str) -> bool:
    """Asks somebody at a terminal; an end of the input is a no."""
    output.text.print(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def table(found: Sequence[Difference]) -> Table:
    """The differences for people."""
    rows = Table("joint", "id", "setting", "is", "expected", "what it does", box=None, pad_edge=False)
    for difference in found:
        servo, setting = difference.servo, difference.setting
        numbers = (str(servo.id), setting.name, str(difference.got), difference.expected)
        rows.add_row(servo.joint, *numbers, setting.why)
    return rows
