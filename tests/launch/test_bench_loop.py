"""`ideomotor bench loop`: the keys that others rely on, and a picture that is one."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.launch.bench_loop import CHUNK_TICKS, stream
from ideomotor.launch.histogram import lateness_svg

ROBOT = load_embodiment("so101")


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
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


@pytest.mark.slow
def test_a_policy_drives_meanwhile(ideomotor):
    result = ideomotor("bench", "loop", "--seconds", "3", "--json", "-").json
    assert result["ticks"] >= 360 and result["handovers"] > 5
    assert result["stops"][-1]["reason"] == "finished"
    assert 0 < result["chunk_age_ms"]["p50"] < result["plan_age_ms"]["p50"]


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
