"""`ideomotor data edit`, as the command line shows it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def data(ideomotor, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "data"
    assert ideomotor("record", "press", "--episodes", 3, "--out", out).returncode == 0
    return out


def test_a_plan_is_shown_before_anything_and_alone_with_dry_run(in_process, data, tmp_path) -> None:
    command = ("data", "edit", data, "--out", tmp_path / "new", "--delete", "1", "--trim", "0=0:20")
    shown = in_process(*command, "--dry-run")
    assert shown.returncode == 0 and not (tmp_path / "new").exists()
    for line in ("2 of 3 episodes", "left out: 1", "episode 0: frames 0 to 19 of"):
        assert line in shown.stdout
    done = in_process(*command, "--json", "-").json
    assert not done["dry_run"] and done["datasets"][0]["problems"] == []
    assert in_process("data", "info", tmp_path / "new", "--json", "-").json["episodes"] == 2
    again = in_process(*command, "--json", "-").json
    assert again["datasets"][0]["episodes"] == 2  # the same command finds it done


def test_splitting_takes_every_episode_once(in_process, data, tmp_path) -> None:
    command = ("data", "edit", data, "--out", tmp_path / "parts", "--split", "train=0-1")
    in_process(*command).assert_refused("split: episode 2 is in none of them")
    in_process(*command, "--split", "val=1-2").assert_refused("split: episode 1 is in 'train' and in 'val'")
    in_process(*command, "--split", "../x=2").assert_refused("split: got '../x=2'")
    assert not (tmp_path / "parts").exists()
    done = in_process(*command, "--split", "val=2", "--json", "-").json
    assert [one["episodes"] for one in done["datasets"]] == [2, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--delete", "3"], ["delete: got 3", "0 to 2"]),
        (["--delete", "0-2"], ["no episode would be left"]),
        (["--keep", "0", "--delete", "1"], ["keep: given together with --delete"]),
        (["--trim", "1=0:9999"], ["trim: episode 1: got 0:9999"]),
        (["--delete", "1", "--trim", "1=0:5"], ["trim: episode 1 is left out"]),
        (["--trim", "x"], ["trim: got 'x'", "EPISODE=START:STOP"]),
        (["--instruction", "0="], ["instruction: empty"]),
        (["--rename", "frnt=top"], ["rename", "did you mean 'front'"]),
        (["--drop", "observation.state"], ["no demonstration without it"]),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_written(in_process, data, tmp_path, options, words) -> None:
    in_process("data", "edit", data, "--out", tmp_path / "new", *options).assert_refused(*words)
    assert not (tmp_path / "new").exists()


def test_the_output_is_never_the_source(in_process, data) -> None:
    in_process("data", "edit", data, "--out", data, "--delete", "0").assert_refused("out")
    in_process("data", "edit", data, "--out", data / "inside", "--delete", "0").assert_refused("out")
