"""Benches of control for the tests of its ticks (tests/control/tick_bench.py)."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ideomotor.control.runtime import shared_state


@pytest.fixture
def tick_bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("tick_bench")


@pytest.fixture
def make_bench(tick_bench: Any) -> Iterator[Callable[..., Any]]:
    """make_bench(speed=..., robot=..., **servos): a `Bench` with `Servos(**servos)`, closed at the end."""
    made = []

    def make(**options: Any) -> Any:
        own = {name: options.pop(name) for name in ("speed", "robot") if name in options}
        made.append(
            tick_bench.Bench(tick_bench.Servos(**options), shared_state.create(tick_bench.ROBOT), **own)
        )
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
