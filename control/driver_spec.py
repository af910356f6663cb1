"""The section `driver` of an embodiment file: who drives a robot that is not on a bus of servos we know.

    driver: {name: circle_bot, options: {radius: 0.1}}

`name` is an entry point of an installed package (`control/plugins.py`), or `lerobot` for one of its robots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ideomotor.control.fields import Field


@dataclass(frozen=True)
class DriverSpec:
    """Who drives it, and what that driver is given."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)  # text, numbers, flags, lists and mappings


def parse_driver(item: Field) -> DriverSpec:
    """Returns the section; `UserError` names the bad field."""
    fields = item.record(("name",), ("options",))
    options = fields["options"].value if "options" in fields else {}
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise fields["options"].fail("a mapping of names to values")
    return DriverSpec(fields["name"].text(), options)
