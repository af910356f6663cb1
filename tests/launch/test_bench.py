"""The rendering benchmark has the rows that others read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ideomotor.launch import bench


def test_rows_have_the_documented_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(bench, "ROUNDS", 3)
    result = bench.bench_render(tmp_path / "render.json")
    assert json.loads((tmp_path / "render.json").read_text()) == result
    for row in result["rows"]:
        assert set(row) == {"name", "value", "unit", "peer", "peer_value", "ratio"}
        assert row["value"] > 0
        assert (row["peer"] is None) == (row["peer_value"] is None) == (row["ratio"] is None)
    assert "2 cameras, fast" in capsys.readouterr().out
