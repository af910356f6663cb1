"""Runs the installed `ideomotor` command as a user does."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.launch import cli


class Finished(subprocess.CompletedProcess):
    """What the command did; `json` is its standard output read as one JSON object."""

    @property
    def json(self) -> dict[str, Any]:
        assert self.returncode == 0, self.stderr
        return json.loads(self.stdout)

    def assert_refused(self, *words: str, code: int = 2) -> None:
        """Exit code 2, nothing on standard output, and one line on standard error that has the words."""
        assert self.returncode == code, (self.returncode, self.stderr)
        assert self.stdout == ""
        lines = self.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), self.stderr
        for word in words:
            assert word in lines[0]


@pytest.fixture
def in_process(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """As `ideomotor`, but without a new process, which for torch takes seconds to start."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Finished:
        capfd.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        shown = capfd.readouterr()
        return Finished(arguments, code, shown.out, shown.err)

    return run


@pytest.fixture(scope="session")
def command() -> Path:
    """The installed program."""
    return Path(sys.executable).with_name("ideomotor")


@pytest.fixture(scope="session")
def ideomotor(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """ideomotor("run", "lift", ...) runs the command line and returns what it did."""
    cache = str(tmp_path_factory.mktemp("cache"))

    def run(*arguments: object, **options: Any) -> Finished:
        done = subprocess.run(
            [command, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200", "IDEOMOTOR_CACHE": cache},
            **options,
        )
        return Finished(done.args, done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def swaying_policy() -> Iterator[str]:
    """The address of a policy server of an SO-101, for `--policy`, see swaying_policy.py."""
    here = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        for folder in (here, here / "serving"):
            patch.syspath_prepend(folder)
        sways = importlib.import_module("swaying_policy")
        made = importlib.import_module("scripted_server").ScriptedServer
    with made(sways.answer, sways.metadata(load_embodiment("so101"))).listening() as server:
        yield server.url


@pytest.fixture
def runtime_fakes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """runtime_fakes.py, which the processes that it starts import too."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("runtime_fakes")


@pytest.fixture
def start(runtime_fakes: ModuleType, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """start(**options): a supervised robot that swings, a `Running` of runtime_fakes.py."""
    running: list[Any] = []

    def start(**options: Any) -> Any:
        running.append(runtime_fakes.Running(tmp_path, **options))
        return running[-1]

    yield start
    for each in running:
        each.close()
