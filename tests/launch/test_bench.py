"""The benchmarks have the rows that others read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.launch.bench import data, inference, rendering, training
from ideomotor.launch.bench.lerobot_peer import PYTHON

KEYS = {"name", "value", "unit", "peer", "peer_value", "ratio"}
PEER = """
import json, sys
print(json.dumps({"version": "0.0", "backend": "none"}), flush=True)
for line in sys.stdin:
    count = len(json.loads(line)["rows"])
    print(json.dumps({"cpu_s": 1.0 * count, "wall_s": 2.0 * count}), flush=True)
"""


def test_rows_have_the_documented_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(rendering, "ROUNDS", 3)
    result = rendering.bench_render(tmp_path / "render.json")
    assert json.loads((tmp_path / "render.json").read_text()) == result
    for row in result["rows"]:
        assert set(row) == KEYS
        assert row["value"] > 0
        assert (row["peer"] is None) == (row["peer_value"] is None) == (row["ratio"] is None)
    assert "2 cameras, fast" in capsys.readouterr().out


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "ROUNDS", 1)
    monkeypatch.setattr(data, "BATCH", 4)


def test_the_loader_is_measured_alone_where_there_is_no_peer(few, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(PYTHON, raising=False)
    result = data.bench_data(tmp_path / "data.json", episodes=2, frames=12)
    assert json.loads((tmp_path / "data.json").read_text()) == result
    assert result["peer"] is None
    names = {row["name"] for row in result["rows"]}
    assert {"random sample, decoding", "random sample + chunk, cached", "batches + chunk, cached"} <= names
    for row in result["rows"]:
        assert set(row) == KEYS
        assert row["value"] > 0
        assert row["peer"] is row["peer_value"] is row["ratio"] is None
    assert f"{PYTHON} does not name a Python" in capsys.readouterr().out


def stand_in(tmp_path: Path, script: str) -> str:
    """A program that is started in the place of lerobot's Python."""
    (tmp_path / "peer.py").write_text(script)
    (tmp_path / "python").write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/peer.py\n")
    (tmp_path / "python").chmod(0o755)
    return str(tmp_path / "python")


def test_ratios_say_how_many_times_better_ours_is(few, tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON, stand_in(tmp_path, PEER))
    result = data.bench_data(episodes=1, frames=12)
    assert result["peer"] == "lerobot 0.0 with none"
    for row in result["rows"]:
        peer = {"CPU ms": 1000.0, "batches/CPU s": 1 / 4, "batches/s": 1 / 8}[row["unit"]]
        assert row["peer_value"] == pytest.approx(peer)
        better = peer / row["value"] if row["unit"] == "CPU ms" else row["value"] / peer
        assert row["ratio"] == pytest.approx(better)
        assert row["ratio"] > 1


def test_a_peer_that_fails_is_named_with_its_last_words(few, tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON, stand_in(tmp_path, "raise SystemExit('no lerobot here')"))
    with pytest.raises(UserError, match="lerobot failed: no lerobot here"):
        data.bench_data(episodes=1, frames=12)
    monkeypatch.setenv(PYTHON, str(tmp_path / "absent"))
    with pytest.raises(UserError, match="cannot run"):
        data.bench_data(episodes=1, frames=12)


POLICIES = """
import json, sys
facts = {name: {"parameters": 10**9, "flops": 10**12, "settings": "none"} for name in ("ACT", "diffusion")}
print(json.dumps({"version": "0.0", "policies": facts}), flush=True)
for line in sys.stdin:
    times = json.loads(line)["times"]
    print(json.dumps({"cpu_s": [1000.0] * times, "wall_s": [2000.0] * times}), flush=True)
"""
STAGES = {"plan: interpreter prefill", "plan: readable text", "plan without its text"} | {
    "chunk: picture preparation",
    "chunk: context",
    "chunk: one flow step",
    "chunk: smoothing",
    "chunk",
}


@pytest.mark.slow
def test_every_stage_of_inference_has_its_rows_and_both_peers_theirs(tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON, stand_in(tmp_path, POLICIES))
    result = inference.bench_inference(tmp_path / "inference.json", rounds=2)
    assert json.loads((tmp_path / "inference.json").read_text()) == result
    rows = result["rows"]
    for row in rows:
        assert set(row) == KEYS
        assert row["value"] > 0
        assert (row["peer"] is None) == (row["peer_value"] is None) == (row["ratio"] is None)
    assert {f"{stage}, {share}" for stage in STAGES for share in ("p50", "p99")} <= {r["name"] for r in rows}
    beside = {(row["name"], row["unit"], row["peer"]): row for row in rows if row["peer"]}
    for peer in ("LeRobot ACT", "LeRobot diffusion"):
        assert beside["chunk, p50", "CPU ms", peer]["peer_value"] == pytest.approx(1e6)
        assert beside["chunk, p50", "ms", peer]["peer_value"] == pytest.approx(2e6)
        assert beside["parameters", "M", peer]["peer_value"] == pytest.approx(1000)
        assert beside["operations, chunk", "GFLOP", peer]["ratio"] > 1
    decoder = next(row for row in rows if row["name"] == "operations, chunk" and not row["peer"])
    assert (
        0.1 < decoder["value"] < 2
    )  # 2.2 M weights of blocks, 12 tokens, 5 steps, 2 operations: 0.27 and visual encoders


@pytest.mark.slow
def test_both_stages_of_training_are_measured_in_the_real_loop(tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON, stand_in(tmp_path, POLICIES))
    result = training.bench_training(config="smoke", steps=3)
    assert [row["name"] for row in result["rows"]] == ["stage 1, interpreter", *["stage 2, policy"] * 4]
    for row in result["rows"]:
        assert set(row) == KEYS
        assert row["value"] > 0
        if row["peer"]:
            if row["peer"].startswith("LeRobot"):
                assert row["peer_value"] == pytest.approx(8 / 1000)
            assert row["ratio"] == pytest.approx(row["value"] / row["peer_value"])


def test_benches_refuse_what_cannot_be_measured():
    with pytest.raises(UserError, match="rounds: got 1"):
        inference.bench_inference(rounds=1)
    with pytest.raises(UserError, match="steps: got 2"):
        training.bench_training(steps=2)
