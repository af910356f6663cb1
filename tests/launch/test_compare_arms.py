"""`ideomotor calibrate --compare` with twins of a leader and a follower, one joint of which is 17° off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.calibration import calibration_path, default_calibration, load_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.drivers import opened
from ideomotor.control.robots.register_retry import write
from ideomotor.launch.commands.bring_up import compare_arms
from ideomotor.launch.commands.bring_up.compare_arms import Pair, TwinHands, dialogue
from ideomotor.launch.console import Output
from ideomotor.sim.twin.process import Twin

pytestmark = [pytest.mark.realtime, pytest.mark.dialogue]

pytest.importorskip("scservo_sdk")
FOLLOWER, LEADER = load_embodiment("so101"), load_embodiment("so101_leader")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def twins() -> Iterator[tuple[Twin, Twin]]:
    with compare_arms._twins("so101", "so101_leader", 6) as twins:
        yield twins


def pair(twins: tuple[Twin, Twin]) -> Pair:
    known = calibration_path("so101_leader", "left").exists() and load_calibration(LEADER, "left")
    return Pair(
        FOLLOWER,
        twins[0].port,
        default_calibration(FOLLOWER),
        LEADER,
        twins[1].port,
        known or default_calibration(LEADER),
    )


def test_an_offset_is_said_and_after_a_yes_the_arms_agree(
    twins: tuple[Twin, Twin], capsys: pytest.CaptureFixture[str]
) -> None:
    output = Output(None)
    assert dialogue(pair(twins), "left", TwinHands(twins, output, agree=False), output) == 1
    assert "elbow_flex: the leader is +17.1° off" in capsys.readouterr().out
    assert not calibration_path("so101_leader", "left").exists(), "nobody agreed"
    assert dialogue(pair(twins), "left", TwinHands(twins, output), output) == 0
    assert load_calibration(LEADER, "left").joints[2].zero == 2048 + compare_arms.TWIN_OFF
    assert dialogue(pair(twins), "left", TwinHands(twins, output, agree=False), output) == 0
    assert "The arms agree." in capsys.readouterr().out
    assert np.abs(twins[0].where() - twins[1].where())[:5].max() < 0.01, "they were held alike"


def test_a_motor_that_is_on_and_arms_that_are_missing_are_refused(twins, in_process) -> None:
    with opened(LEADER, twins[1].port) as (line, family, layout):
        write(line, layout.servos[0], family.torque, 1)
        output = Output(None)
    with pytest.raises(UserError, match="the motors of shoulder_pan of so101_leader are on"):
        dialogue(pair(twins), "left", TwinHands(twins, output), output)
    with opened(LEADER, twins[1].port) as (line, family, layout):
        write(line, layout.servos[0], family.torque, 0)
    compare = ("calibrate", "so101", "--compare")
    in_process(*compare, "so101_leader").assert_refused("compare: expected both arms")
    in_process(*compare, "koch_leader", "--twin").assert_refused("koch_leader leads koch")
    in_process(*compare, "so101@x", "--port", "y").assert_refused("so101 is no leader arm")
    same = (*compare, f"so101_leader@{twins[0].port}", "--port", twins[0].port)
    in_process(*same).assert_refused("the follower's port too")
