"""`ideomotor bench loop`: the keys that others rely on, and a picture that is one."""

import contextlib
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime.report import ControlReport
from ideomotor.control.runtime.tick_profile import PARTS
from ideomotor.launch.bench import control_loop
from ideomotor.launch.bench.control_loop import CHUNK_TICKS, stream
from ideomotor.launch.runtime.figures.floor import Floor
from ideomotor.launch.runtime.figures.lateness_histogram import lateness_svg

ROBOT = load_embodiment("so101")


@pytest.mark.realtime
@pytest.mark.session
def test_a_short_run_reports_the_loop_and_the_floor(ideomotor, tmp_path):
    picture = tmp_path / "lateness.svg"
    result = ideomotor(
        "bench", "loop", "--load", "none", "--seconds", "0.5", "--json", "-", "--picture", picture
    ).json
    assert result["ticks"] == 60
    assert 0 < result["achieved_hz"] <= 120.01
    assert result["no_fresh_command_ticks"] == 0  # the stream has every tick, however late they come
    for name in ("lateness_us", "floor_us", "busy_us"):
        assert set(result[name]) == {"p50", "p99", "p999", "max"}
        assert 0 <= result[name]["p50"] <= result[name]["p99"] <= result[name]["max"]
    assert 0 <= result["late_share"] <= 1 and result["missed_ticks"] >= 0
    assert tuple(result["parts_us"]) == PARTS
    assert 0 < result["parts_us"]["filter"]["p50"] <= result["busy_us"]["p50"]
    assert 0 < result["cpu_us"]["p50"] and result["page_faults"] >= 0
    worst = [sum(tick["parts_us"].values()) for tick in result["worst_ticks"]]
    assert worst == sorted(worst, reverse=True) and worst[0] <= result["busy_us"]["max"]
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


@pytest.mark.realtime
@pytest.mark.session
@pytest.mark.slow
def test_a_policy_drives_meanwhile(ideomotor):
    result = ideomotor("bench", "loop", "--seconds", "2", "--json", "-").json
    assert result["ticks"] >= 240 and result["handovers"] > 3
    assert result["stops"][-1]["reason"] == "finished"
    assert 0 < result["chunk_age_ms"]["p50"] < result["plan_age_ms"]["p50"]
    assert all(result["parts_us"][part]["p50"] > 0 for part in PARTS) and result["ended_early"] is None


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--seconds", "0"], "seconds"),
        (["--priority", "100"], "priority"),
        (["--picture", "x.png"], "picture"),
        (["--picture", "/nowhere/x.svg"], "picture"),
        (["--robot", "so102"], "so102"),
        (["--handover", "rct"], "did you mean 'rtc'"),
        (["--load", "none", "--policy", "x"], "policy"),
        (["--task", "litf"], "did you mean 'lift'"),
        (["--policy", "no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_input_is_refused(in_process, arguments, word):
    in_process("bench", "loop", *arguments).assert_refused(word)


def test_the_stream_it_measures_with_is_within_the_limits():
    chunks = np.concatenate([stream(ROBOT, tick, 16) for tick in range(0, 600, 16)]).astype(float)
    np.testing.assert_array_equal(chunks[:CHUNK_TICKS], stream(ROBOT, 0, CHUNK_TICKS))
    assert (chunks >= ROBOT.lower).all() and (chunks <= ROBOT.upper).all()
    for order, limit in enumerate((ROBOT.max_velocity, ROBOT.max_acceleration), 1):
        assert (np.abs(np.diff(chunks, order, axis=0)) * ROBOT.control_hz**order <= limit).all()


def test_the_picture_counts_every_tick():
    svg = lateness_svg("a <title>", {"loop": np.array([0.0, 50.0, 5e6]), "floor": np.array([])}, 4166.0)
    ElementTree.fromstring(svg)
    assert "loop, 3 ticks" in svg and "floor, 0 ticks" in svg and "a &lt;title&gt;" in svg


def report(ticks: int, reasons: list[str]) -> ControlReport:
    nothing = np.zeros(0)
    faults = [(ticks, reason) for reason in reasons]
    return ControlReport(
        *(ticks, 120.0, 0, 0, 0, {}, faults, "off", False, "", False),
        *(np.zeros(ticks), np.zeros(ticks), nothing, nothing, np.zeros((ticks, 6))),
    )


@pytest.mark.parametrize(
    ("ticks", "faults", "reasons", "expected"),
    [
        (7200, [], ["finished"], None),
        (7636, [], ["stale chunk: none covers this tick", "finished"], None),
        (
            1057,
            [],
            ["stale plan: its observation is 1.60 s old"],
            "stale plan: its observation is 1.60 s old",
        ),
        (1057, ["decoder died: exit code 1"], ["decoder died"], "decoder died: exit code 1; decoder died"),
        (1057, [], [], "gave no reason"),
        (None, ["control died: killed by SIGKILL"], [], "control died: killed by SIGKILL"),
    ],
)
def test_a_benchmark_that_did_not_measure_says_why(in_process, monkeypatch, ticks, faults, reasons, expected):
    what = None if ticks is None else report(ticks, reasons)
    monkeypatch.setattr(control_loop, "floor_beside", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(control_loop, "measured", lambda *_, **__: Floor(np.array([3.0]), 2))
    monkeypatch.setattr(control_loop, "beside_policy", lambda *_: (what, faults))
    done = in_process("bench", "loop", "--seconds", "60", "--json", "-")
    result = json.loads(done.stdout)
    assert result["wanted_ticks"] == 7200 and result["ticks"] == ticks
    if expected is None:
        assert done.returncode == 0 and result["ended_early"] is None
        assert result["floor_missed_ticks"] == 2 and result["missed_beyond_floor"] == 0
    else:
        assert done.returncode == 1 and expected in result["ended_early"]
        assert f"ended after {ticks or 0} of 7200 ticks" in done.stderr
