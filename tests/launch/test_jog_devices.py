"""`ideomotor teleop --leader keyboard` and `gamepad`: over the twin, as a person at a terminal has it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.teleop.jog import TipKinematics
from ideomotor.datasets.lerobot.reader import Dataset

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
assert ROBOT.geometry is not None
TIP = TipKinematics(ROBOT, ROBOT.geometry)
COMMAND = ("teleop", "so101", "--twin", "--countdown", "0")


def tips(log: Path) -> np.ndarray:
    """(T, 3) [m], where the commands of a log had the tip."""
    commands = Dataset(log).columns(0)["action"]
    return np.array([TIP.tip(np.asarray(command, dtype=np.float64)) for command in commands])


@pytest.mark.realtime
@pytest.mark.session
def test_keys_of_the_terminal_move_the_tip_and_the_others_still_stop_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    log = tmp_path / "log"
    command = [Path(sys.executable).parent / "ideomotor", *COMMAND, "--leader", "keyboard", "--log", log]
    shown = importlib.import_module("terminal").Terminal([*command, "--json", tmp_path / "out.json"])
    try:
        shown.wait_for("keyboard: w/s forward, back")
        shown.wait_for("Hz of 120")
        for _ in range(8):
            shown.press("++w")
            shown.wait_for("control")
        shown.press("q")
        assert shown.wait() == 0
    finally:
        shown.close()
    path = tips(log)
    assert path[:, 0].max() - path[0, 0] > 0.02, "forward"
    outcome = json.loads((tmp_path / "out.json").read_text())
    assert outcome["leader"].startswith("keyboard")


def test_what_cannot_jog_is_refused_before_anything_begins(
    ideomotor: Callable[..., Any], in_process: Callable[..., Any], tmp_path: Path
) -> None:
    ideomotor(*COMMAND, "--leader", "keyboard").assert_refused("leader: keyboard", "no terminal")
    in_process(*COMMAND, "--leader", "gamepad@/dev/input/event99").assert_refused("leader")
    wrong = tmp_path / "pad.events"
    wrong.write_text("0 1\n")
    in_process(*COMMAND, "--leader", f"gamepad@{wrong}").assert_refused("line 1")
    in_process(*COMMAND, "--leader", "gamepat").assert_refused("unknown name 'gamepat'", "gamepad")
