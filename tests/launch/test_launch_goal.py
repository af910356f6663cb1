"""`ideomotor launch --goal` over the twin: planned, carried out by a skill's own policy, seen, and ended."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ideomotor.launch.runtime.recording.session_recorder import REPORT
from ideomotor.vla.checkpoint_info import bundled_checkpoint

pytestmark = [pytest.mark.realtime, pytest.mark.session]

pytest.importorskip("scservo_sdk")
GIVE_UP_S = 240.0  # for anything at all, on a busy machine


def test_a_goal_is_reached_by_the_skills_own_policy(command: Path, tmp_path, monkeypatch) -> None:
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    log = tmp_path / "log"
    words = ("--twin", "--task", "reach", "--seed", "1", "--goal", "point at the blue cube")
    how = ("--policy", f"point={bundled_checkpoint('so101')}", "--goal-seconds", "60", "--countdown", "0")
    done = subprocess.run(
        [command, "launch", "so101", *words, *how, "--log", log, "--json", "-"],
        capture_output=True, text=True, timeout=GIVE_UP_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    goal = result["goal"]
    assert goal["planner"] == "symbolic" and goal["ended"] in ("done", "give_up"), goal
    if len(result["stops"]) == 1:  # the machine kept up with the arm, which the policy needs
        assert (goal["ended"], goal["replans"]) == ("done", 0), goal
        assert goal["attempts"][-1]["perceived"] and "goal reached" in done.stderr
    assert goal["plan"] == {"sequence": [{"skill": "point", "arguments": ["blue cube"]}]}
    assert goal["attempts"][0]["specialist"] == "point"
    assert goal["attempts"][0]["call"] == "point(blue cube)"
    assert result["instruction"] == "point at the blue cube"
    assert (result["stage"], result["faults"], result["motors_on"]) == ("off", [], False)
    assert json.loads((log / REPORT).read_text())["outcome"]["goal"] == goal
