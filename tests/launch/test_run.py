"""`ideomotor run` with the scripted expert and the bundled policy."""

import json

import av
import pytest


def test_run_with_the_expert_says_what_happened(ideomotor, in_process):
    result = ideomotor("run", "lift", "--expert", "--seed", 3, "--json", "-").json
    assert result["task"] == "lift" and result["seed"] == 3 and result["policy"] == "expert"
    assert result["success"] is True
    assert 0 < result["seconds"] < 30
    assert result["control_hz"] == 120
    assert isinstance(result["interventions"], int)
    assert "now: " in result["plan_text"]

    shown = in_process("run", "lift", "--expert", "--seed", 3)
    assert shown.returncode == 0
    for word in (result["instruction"], result["plan_text"], "solved", "rendering", "achieved"):
        assert word in shown.stdout


def test_the_bundled_policy_says_how_sure_it_is_and_does_the_same(in_process, tmp_path):
    plain = in_process("run", "reach", "--seed", 3, "--json", "-").json
    shown = in_process("run", "reach", "--seed", 3, "--confidence", "--json", tmp_path / "sure.json")
    sure = json.loads((tmp_path / "sure.json").read_text())
    assert plain["confidence"] is None and 0 < sure["confidence"] <= 1
    assert f"confidence   {sure['confidence']:.0%} on average, lowest" in shown.stdout
    assert (sure["seconds"], sure["plan_text"]) == (plain["seconds"], plain["plan_text"])


def test_a_video_shows_both_cameras_and_plays_in_a_browser(in_process, tmp_path):
    path = tmp_path / "film.mp4"
    result = in_process("run", "reach", "--expert", "--record", path, "--json", "-").json
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.width > 2 * 384 and stream.height > 384
        assert stream.frames == round(result["seconds"] * 30)
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.realtime
def test_realtime_is_paced_by_the_wall_clock(ideomotor):
    result = ideomotor("run", "reach", "--expert", "--realtime", "--json", "-").json
    assert 90 < result["achieved_hz"] < 125


def test_an_instruction_in_own_words_is_judged(in_process):
    result = in_process(
        "run", "lift", "--expert", "--seed", 3, "--instruction", "take the purple cube", "--json", "-"
    )
    assert result.json["instruction"] == "take the purple cube"
    assert result.json["success"] is True


def test_any_sentence_is_obeyed_and_where_nobody_can_judge_it_that_is_said(in_process, tmp_path):
    said = "could you do something about the cubes, please?"
    shown = in_process("run", "reach", "--seed", 0, "--instruction", said, "--json", tmp_path / "result.json")
    assert shown.returncode == 0, shown.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["instruction"], result["success"], result["progress"]) == (said, None, None)
    assert result["judged"] is False and result["goal"] is None and result["seconds"] == 4.0
    assert result["not_judged_because"] and len(result["possible_goals"]) > 1
    for words in (
        "success      not judged: ",
        result["possible_goals"][0],
        "result       not judged",
        "4.00 s",
    ):
        assert words in shown.stdout
    assert "solved" not in shown.stdout


def test_a_sentence_that_names_one_thing_is_judged_by_it(in_process):
    shown = in_process("run", "lift", "--expert", "--seed", 3, "--instruction", "Grab that purple block!")
    assert "success      is judged by: lift the purple cube" in shown.stdout and "solved" in shown.stdout
    options = ("--instruction", "get hold of the cube that is purple", "--json", "-")
    result = in_process("run", "lift", "--expert", "--seed", 3, *options).json
    assert result["success"] is True and result["judged"] is True and result["goal"] == "lift the purple cube"
    assert result["not_judged_because"] is None and result["possible_goals"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["litf", "--expert"], ["task", "'litf'", "did you mean 'lift'?"]),
        (["lift", "--expert", "--instruction", "sing a song"], ["instruction", "sing a song", "not judged"]),
        (["lift", "--instruction", ""], ["instruction", "''"]),
        (["lift", "--expert", "--instruction", " "], ["instruction", "' '"]),
        (["lift", "--expert", "--robot", "nobody"], ["nobody", "so101"]),
        (["lift", "--expert", "--delay", "-5"], ["delay", "-5"]),
        (["lift", "--expert", "--delay", "inf"], ["delay", "inf"]),
        (["lift", "--expert", "--delay", "100"], ["delay", "100 ms", "expert"]),
        (["lift", "--delay", "1000"], ["delay: got 1000 ms", "0 to 250", "30 committed commands at 120 Hz"]),
        (["lift", "--expert", "--seed", "-1"], ["seed", "-1"]),
        (["lift", "--expert", "--record", "film.avi"], ["record", "film.avi", ".mp4"]),
        (["lift", "--expert", "--record", "no/such/film.mp4"], ["record", "no/such"]),
        (["lift", "--expert", "--policy", "x"], ["--expert", "--policy"]),
        (["lift", "--expert", "--confidence"], ["confidence", "expert"]),
        (["lift", "--cameras", "side"], ["cameras", "'side'", "front, wrist"]),
        (["lift", "--expert", "--no-text"], ["cameras, text", "expert"]),
        (["lift", "--policy", "no/such/folder"], ["policy", "no/such/folder"]),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, words, in_process, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    in_process("run", *arguments, "--json", "-").assert_refused(*words)
    assert not list(tmp_path.iterdir())
