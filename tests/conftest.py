"""Settings shared by every test: the same on a laptop and in CI, one thread, no network, no randomness."""

import importlib
import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Before numpy or torch load: one thread for each process, so that timings and float sums do not move with
# the machine. (MUJOCO_GL is left alone: rendering must work with whatever the machine has.)
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# Under nohup or a shell's `&` these are ignored, and every program that a test starts would inherit it.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# Shared cores stall for longer than hypothesis's deadline; in CI the same examples are drawn every time.
hypothesis.settings.register_profile("here", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: none of them runs alone at the end of `-n 2 --dist loadfile`.

    A real-time test that failed while the machine stood still is tried again, up to twice.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if item.get_closest_marker("realtime"):
            item.add_marker(pytest.mark.flaky(reruns=2, condition=_stalled))


_attempt: dict[str, Any] = {"began": 0.0, "watch": None}  # of the real-time test that runs


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("realtime"):
        _attempt["watch"] = _attempt["watch"] or _stall_watch()
        _attempt["began"] = time.monotonic()


def pytest_unconfigure() -> None:
    if _attempt["watch"]:
        _attempt["watch"].stop()
        _attempt["watch"] = None


def _stalled() -> bool:
    return _attempt["watch"] is not None and _attempt["watch"].stalled_since(_attempt["began"])


def _stall_watch() -> Any:
    spec = importlib.util.spec_from_file_location("stall_watch", Path(__file__).with_name("stall_watch.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.StallWatch()


@pytest.fixture
def open_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[int, int], Any]]:
    """open_browser(width, height): a page of browser.py."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from browser import Browser, find_browser

    if find_browser() is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with ExitStack() as opened:
        yield lambda *size: opened.enter_context(closing(Browser(tmp_path / "profile", *size)))


@pytest.fixture
def emulated_arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """emulated_arm(...): an `EmulatedArm` of control/robots/emulated_arm.py, an SO-101 at home by default."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "control" / "robots")
    made = importlib.import_module("emulated_arm").EmulatedArm
    with ExitStack() as opened:
        yield lambda *args, **kwargs: opened.enter_context(made(*args, **kwargs))
