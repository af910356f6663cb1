"""`ideomotor replay --twin`: a recorded episode over the servos' own protocol, from start to end."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.trajectory import read_trajectory
from ideomotor.launch.runtime.recording.session_recorder import TICKS

pytestmark = [pytest.mark.realtime, pytest.mark.session]

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")


def test_an_episode_is_played_over_the_twin_tick_for_tick(ideomotor, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    data, log = tmp_path / "data", tmp_path / "log"
    assert ideomotor("record", "reach", "--episodes", 1, "--out", data).returncode == 0
    result = ideomotor(
        "replay", data, "--twin", "--countdown", 0, "--log", log, "--json", "-", timeout=240
    ).json
    assert result["stop_reason"] == "finished" and result["faults"] == [] and not result["motors_on"]
    assert result["stage"] == "off" and result["recorded_success"] is True
    recorded = read_trajectory(data, 0, ROBOT).commands.astype(np.float32)
    assert result["recorded_seconds"] == pytest.approx(len(recorded) / 120)
    assert result["played_seconds"] == pytest.approx(result["recorded_seconds"])
    assert result["command_error_rad"]["p50"] < 1e-6 and result["state_error_rad"]["p50"] < 0.05
    assert result["tracking_error_rad"]["p50"] < result["tracking_error_rad"]["p99"] < 0.2
    # The log has the same commands, in order, but for a few after a hold where the machine stalls.
    sent = np.stack(pq.read_table(log / TICKS)["command"].to_numpy()).astype(np.float32)
    found = [np.flatnonzero((sent == command).all(1)) for command in recorded]
    first = [int(at[0]) for at in found if len(at)]
    assert len(first) > 0.8 * len(recorded) and first == sorted(first)
    facts = Dataset(log).episodes.to_pylist()[0]
    assert (facts["task_name"], facts["seed"], facts["success"]) == ("reach", 0, result["success"])
    assert ideomotor("data", "validate", log, "--json", "-").json["ok"]
