"""Benches of control for the tests of its ticks (tests/control/tick_bench.py)."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ideomotor.control import capabilities
from ideomotor.control.runtime import person, shared_state, tick

OWN = (
    "speed",
    "robot",
    "staleness",
    "peers",
    "driver",
    "drivers",
)  # options of a bench and not of its servos


@pytest.fixture
def tick_bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("tick_bench")


@pytest.fixture
def clock(tick_bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A `Clock` that what happens in a tick goes by, and nothing else does."""
    clock = tick_bench.Clock()
    for module in (tick, person, shared_state, capabilities):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def make_bench(tick_bench: Any, clock: Any) -> Iterator[Callable[..., Any]]:
    """make_bench(speed=..., robot=..., staleness=..., **servos): a `Bench` of its own, closed at the end.

    Its robot is `Servos(**servos)`.
    """
    made = []

    def make(**options: Any) -> Any:
        own = {name: options.pop(name) for name in OWN if name in options}
        servos, shared = tick_bench.Servos(**options), shared_state.create(tick_bench.ROBOT)
        made.append(tick_bench.Bench(clock, servos, shared, **own))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Any]) -> Any:
    return make_bench()


@pytest.fixture
def impatient(make_bench: Callable[..., Any], tick_bench: Any) -> Any:
    """One that calls a joint stuck early."""
    return make_bench(robot=tick_bench.NEAR)
