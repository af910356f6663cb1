"""Figures go into JSON lines and TensorBoard's event files, and nothing is said twice."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.train.reporting.metrics import Metrics
from ideomotor.train.reporting.page import PAGE
from ideomotor.train.reporting.trackers import summary_writer, trackio


def write(out: Path, start: int, steps: list[int], loss: float) -> None:
    with Metrics(out, "stage", start, tensorboard=True) as metrics:
        for step in steps:
            metrics.write({"step": step, "loss": loss + step, "rate": 0.5})


def test_event_files_hold_what_the_lines_hold_and_nothing_twice(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write(tmp_path, 0, [10, 20, 30], 0.0)
    with (tmp_path / "stage.jsonl").open("a") as lines:
        lines.write('{"step": 40, "lo')  # as a kill leaves it
    write(tmp_path, 20, [30, 40], 100.0)  # goes on from a state of step 20
    events = EventAccumulator(str(tmp_path / "tensorboard" / "stage"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "rate"}
    values = [(event.step, event.value) for event in events.Scalars("loss")]
    assert values == [(10, 10.0), (20, 20.0), (30, 130.0), (40, 140.0)]
    lines = [json.loads(line) for line in (tmp_path / "stage.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == values


def test_a_new_training_starts_with_no_lines_and_a_silent_one_has_none(tmp_path: Path) -> None:
    (tmp_path / "stage.jsonl").write_text('{"step": 3}\n')
    with Metrics(tmp_path, "stage", 0):
        pass
    assert (tmp_path / "stage.jsonl").read_text() == ""
    with Metrics(tmp_path, "other", 0, tensorboard=True, silent=True) as metrics:
        metrics.write({"step": 1, "loss": 1.0})
    assert {path.name for path in tmp_path.iterdir()} == {"stage.jsonl", PAGE}


def test_trackio_has_what_the_lines_have_and_nothing_twice(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    script = """
import json, sys
from pathlib import Path
from ideomotor.train.reporting.metrics import Metrics
out = Path(sys.argv[1])
for start, steps, loss in ((0, (10, 20, 30), 0.0), (20, (30, 40), 100.0)):  # goes on from a state of step 20
    with Metrics(out, "decoder", start, trackio=True) as log:
        for step in steps:
            log.write({"step": step, "loss": loss + step})
"""
    out = tmp_path / "mine"
    out.mkdir()
    place = {"TRACKIO_DIR": str(tmp_path / "kept"), "HF_HUB_OFFLINE": "1"}
    values = subprocess.run(  # Trackio decides where it keeps things when it is imported
        [sys.executable, "-P", "-c", script, str(out)], env=os.environ | place, capture_output=True, text=True
    )
    assert values.returncode == 0, values.stderr
    assert values.stdout == ""  # which may be carrying JSON
    with closing(sqlite3.connect(tmp_path / "kept" / "ideomotor.db")) as database:
        kept = database.execute("select run_name, step, metrics from metrics order by step").fetchall()
    assert [(name, step, json.loads(figures)["loss"]) for name, step, figures in kept] == [
        ("mine-decoder", 10, 10.0),
        ("mine-decoder", 20, 20.0),
        ("mine-decoder", 30, 130.0),
        ("mine-decoder", 40, 140.0),
    ]


def test_without_trackio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(UserError, match=r"ideomotor\[trackio\]"):
        trackio()


def test_without_tensorboard_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"ideomotor\[tensorboard\]"):
        summary_writer()
