"""No test outside the real-time step may depend on the clock: on a busy machine it would fail for nothing.

`make test` runs what is marked `realtime` one after the other (`session` and `dialogue`: a few at once), and
the rest on all cores beside each other.
So whatever reads a clock or gives up after a time carries the mark, its file's `pytestmark` or its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time", "time_ns"}  # of `time`
WAITS = {"wait", "join", "communicate", "poll", "get", "acquire", "recv", "result", "run", "check_output"}


def clock_uses(source: str) -> Iterator[tuple[int, str]]:
    """(line, what) for each use of the clock in functions and statements that are not marked `realtime`."""
    tree = ast.parse(source)
    if any("realtime" in ast.unparse(node) for node in tree.body if _is_mark(node)):
        return
    for node in tree.body:
        marks = [ast.unparse(mark) for mark in getattr(node, "decorator_list", ())]
        if not any("mark.realtime" in mark for mark in marks):
            yield from _uses(node)


def _is_mark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"


def _uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called = node.func
        if isinstance(called.value, ast.Name) and called.value.id == "time" and called.attr in CLOCKS:
            yield node.lineno, f"time.{called.attr}"
        limits = [each for each in node.keywords if each.arg == "timeout"]
        limits = [
            each for each in limits if not (isinstance(each.value, ast.Constant) and not each.value.value)
        ]
        if called.attr in WAITS and limits:
            yield node.lineno, f"{called.attr}(timeout=…)"
        first = node.args[0] if node.args else None
        seconds = first.value if isinstance(first, ast.Constant) else None
        if called.attr in {"wait", "join"} and isinstance(seconds, int | float):
            yield node.lineno, f"{called.attr}({seconds!r})"


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_what_depends_on_the_clock_is_marked(path: Path) -> None:
    found = list(clock_uses(path.read_text()))
    assert not found, (
        f"{path.relative_to(TESTS)}: {found}: mark it realtime, or wait without an end (make test has one)"
    )


def test_the_check_sees_clocks_and_time_outs() -> None:
    source = """
import time, subprocess
def a(): assert time.monotonic() < 3
def b(): subprocess.run([], timeout=5)
def c(): process.wait(60)
@pytest.mark.realtime
def d(): time.perf_counter()
def e(): ",".join([]); video.join([], 30); process.wait(); queue.get(timeout=None)
"""
    assert [what for _, what in clock_uses(source)] == ["time.monotonic", "run(timeout=…)", "wait(60)"]
    assert not list(clock_uses("pytestmark = pytest.mark.realtime\n" + source))
    assert not list(clock_uses("pytestmark = [pytest.mark.slow, pytest.mark.realtime]\n" + source))
