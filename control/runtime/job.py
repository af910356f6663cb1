"""A process beside the control process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """What it runs."""

    role: str  # one of `HEARTBEATS`
    target: Callable[..., None]  # a module-level function that keeps the heartbeat of its role
    args: tuple[Any, ...] = ()
    again: bool = False  # started anew when it dies: control waits for it
