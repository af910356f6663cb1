"""`ideomotor run --web`: what it refuses, and a run that is watched and ended from its page."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ideomotor.control.errors import UserError
from ideomotor.launch.commands.run import RunOptions
from ideomotor.launch.commands.run_watched import check_watched
from ideomotor.launch.dashboard.options import WebArguments


@pytest.mark.parametrize(
    "given", [{"expert": True}, {"delay": 50.0}, {"record": Path("a.mp4")}, {"env": "reacher"}]
)
def test_run_with_a_page_refuses_what_a_policy_by_the_wall_clock_has_not(given: dict[str, Any]) -> None:
    check_watched(RunOptions("press", page=WebArguments(":0")))
    with pytest.raises(UserError, match=f"{next(iter(given))}: --web shows a policy"):
        check_watched(RunOptions("press", page=WebArguments(":0"), **given))


@pytest.mark.realtime
def test_run_with_a_page_is_watched_and_ended_from_it(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    options = "run press --seed 1000001 --web :0 --confidence --json".split()
    command = [sys.executable, "-P", "-m", "ideomotor.launch", *options, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout
            line = next(line for line in run.stdout if line.startswith("web: "))
            host, port = line.split("http://")[1].strip(" /\n").split(":")
            seen: dict[str, Any] = {}
            while seen.get("confidence") is None and run.poll() is None:
                connection = http.client.HTTPConnection(host, int(port), timeout=60)
                connection.request("GET", "/status")
                seen = json.loads(connection.getresponse().read())
                connection.close()
            assert 0 < seen["confidence"] <= 1 and seen["instruction"] == "press down on the red button"
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            connection.request("POST", "/request/finish", headers={"X-Ideomotor": "1"})
            assert connection.getresponse().status == 200
            connection.close()
            assert run.wait() == 0
        finally:
            run.kill()
    assert json.loads(out.read_text())["faults"] == []
