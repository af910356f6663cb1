"""The benchmarks have the rows that others read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.launch import bench, bench_data
from ideomotor.launch.peer import PYTHON

KEYS = {"name", "value", "unit", "peer", "peer_value", "ratio"}
PEER = """
import json, sys
print(json.dumps({"version": "0.0", "backend": "none"}), flush=True)
for line in sys.stdin:
    count = len(json.loads(line)["rows"])
    print(json.dumps({"cpu_s": 1.0 * count, "wall_s": 2.0 * count}), flush=True)
"""


def test_rows_have_the_documented_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(bench, "ROUNDS", 3)
    result = bench.bench_render(tmp_path / "render.json")
    assert json.loads((tmp_path / "render.json").read_text()) == result
    for row in result["rows"]:
        assert set(row) == KEYS
        assert row["value"] > 0
        assert (row["peer"] is None) == (row["peer_value"] is None) == (row["ratio"] is None)
    assert "2 cameras, fast" in capsys.readouterr().out


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_data, "ROUNDS", 1)
    monkeypatch.setattr(bench_data, "BATCH", 4)


def test_the_loader_is_measured_alone_where_there_is_no_peer(few, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(PYTHON, raising=False)
    result = bench_data.bench_data(tmp_path / "data.json", episodes=2, frames=12)
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
    result = bench_data.bench_data(episodes=1, frames=12)
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
        bench_data.bench_data(episodes=1, frames=12)
    monkeypatch.setenv(PYTHON, str(tmp_path / "absent"))
    with pytest.raises(UserError, match="cannot run"):
        bench_data.bench_data(episodes=1, frames=12)
