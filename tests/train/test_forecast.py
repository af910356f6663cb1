"""Before a training it is said how long it will take, and before and after it whether that is enough."""

import json
import re
from pathlib import Path

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.launch import cli
from ideomotor.launch.commands import train
from ideomotor.train.parallel import OwnWindows
from ideomotor.train.recipe import Recipe, resolve
from ideomotor.train.reporting import forecast as module
from ideomotor.train.reporting.forecast import Part, forecast
from ideomotor.train.reporting.outlook import HELP, after, before, too_little
from ideomotor.train.reporting.page import PAGE
from ideomotor.train.reporting.yardsticks import SO101

LONGER = ["interpreter.train.steps=30", "decoder.train.steps=1000"]


@pytest.fixture(scope="module")
def loader(data: Path, tmp_path_factory: pytest.TempPathFactory) -> OwnWindows:
    cache = tmp_path_factory.mktemp("cache")
    embodiment = load_embodiment("so101")
    return OwnWindows([data], embodiment, 96, 4, plan_images=False, cache_root=cache)


@pytest.fixture
def two_seconds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything is done, once, and is said to take two seconds."""

    def timed(work) -> float:
        work()
        return 2.0

    monkeypatch.setattr(module, "_timed", timed)
    monkeypatch.setattr(module, "SCENES_S", 0.0)
    monkeypatch.setenv("IDEOMOTOR_CACHE", str(tmp_path / "cache" / "datasets"))


def parts_of(loader: OwnWindows, out: Path, *changes: str, resume: bool = False) -> list[Part]:
    return forecast(resolve("smoke", [*LONGER, *changes]), loader, out, resume)


@pytest.mark.usefixtures("two_seconds")
def test_the_parts_of_a_training_take_what_their_steps_take(loader: OwnWindows, tmp_path: Path) -> None:
    rendering, first, reading, second = parts_of(loader, tmp_path)
    assert rendering.what == "rendering 32 scenes in 1 processes" and rendering.seconds > 0
    assert (first.stage, first.seconds, first.samples) == ("interpreter", 60.0, 240)
    assert (reading.what, reading.seconds) == ("reading 36 frames", 2.0)
    assert (second.stage, second.seconds, second.samples) == ("decoder", 2000.0, 4000)
    assert second.what == "stage 2, the decoder: 4,000 windows, 4 a step"


@pytest.mark.usefixtures("two_seconds")
def test_minutes_are_minutes_and_compiling_takes_some_of_them(loader: OwnWindows, tmp_path: Path) -> None:
    minutes = ("interpreter.pool.scenes=0", "interpreter.align_dim=0", "decoder.train.minutes=10")
    *_, second = parts_of(loader, tmp_path, *minutes)
    assert (second.seconds, second.samples) == (600.0, 4 * 300)
    *_, second = parts_of(loader, tmp_path, *minutes, "compile=true")
    assert (second.seconds, second.samples) == (600.0, 4 * int((600 - 180) / 1.4))


@pytest.mark.usefixtures("two_seconds")
def test_a_training_that_goes_on_takes_what_is_left_of_it(loader: OwnWindows, tmp_path: Path) -> None:
    (tmp_path / "state" / "interpreter").mkdir(parents=True)
    figures = [{"step": 900, "loss": 1.0, "seconds": 1800.0}, {"step": 900, "held_out": 1.0}]
    (tmp_path / "decoder.jsonl").write_text("".join(json.dumps(line) + "\n" for line in figures))
    (second,) = parts_of(loader, tmp_path, resume=True)
    assert (second.seconds, second.samples) == (200.0, 4000)


def test_what_is_over_in_seconds_or_cannot_be_known_is_not_measured(
    loader: OwnWindows, tmp_path: Path
) -> None:
    assert forecast(resolve("smoke"), loader, tmp_path) == []
    assert parts_of(loader, tmp_path, "interpreter.base=SOME/VLM") == []
    assert before([], resolve("smoke")) == []


def test_the_whole_is_said_with_a_shorter_way_where_it_is_long() -> None:
    parts = [Part("rendering", 1000.0), Part("stage 2", 25_000.0, "decoder", 1_920_000)]
    assert before(parts, resolve("nano")) == [
        "what this training will take, measured on this machine as it is now:",
        "      17 min  rendering",
        "  6 h 57 min  stage 2",
        "  7 h 13 min in all",
        f"--config quick takes ten minutes, --minutes N as long as you say ({HELP})",
    ]
    short = before([Part("stage 2", 60.0, "decoder", 1_920_000)], resolve("nano"))
    assert short[-1] == "  60 s in all"
    driving = before(parts, resolve("nano", ["decoder.select.tasks=lift"]))
    assert "driving take, which was not measured" in driving[3]


def test_too_little_is_warned_of_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    recipe, least = resolve("nano"), SO101[0].windows
    assert "5,120 windows are far from enough" in too_little(40 * 128, recipe)
    assert too_little(least, recipe) == ""
    assert before([Part("stage 2", 20.0, "decoder", 5120)], recipe)[-1] == too_little(5120, recipe)
    lines = after({"policy": {"step": 40.0}}, recipe)
    assert lines[0] == "the decoder has seen 5,120 windows of demonstrations"
    assert all(any(one.could in line for line in lines) for one in SO101)
    assert lines[-1] == too_little(5120, recipe)
    assert not any(line.startswith("warning") for line in after({"policy": {"step": 1e6}}, recipe))
    further: Recipe = resolve("nano", ["init.policy=runs/mine"])
    assert after({"policy": {"step": 40.0}}, further) == [] and too_little(5120, further) == ""
    assert after({"interpreter": {"step": 40.0}}, recipe) == []


def test_the_command_says_it_all_and_leaves_a_page(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    changes = ["interpreter.pool.scenes=0", "interpreter.align_dim=0", "decoder.train.steps=25"]
    command = ["train", "--data", str(data), "--out", str(out), "--config", "smoke", "--json", "-"]
    monkeypatch.setenv("IDEOMOTOR_CACHE", str(tmp_path / "cache" / "datasets"))
    assert cli.main([*command, *(part for change in changes for part in ("--set", change))]) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out)["policy"]["step"] == 25
    said = shown.err.splitlines()
    ahead = said.index("what this training will take, measured on this machine as it is now:")
    assert re.fullmatch(r" +\d+ .*  stage 2, the decoder: 100 windows, 4 a step", said[ahead + 3])
    assert re.fullmatch(r" +\d+ .* in all", said[ahead + 4])
    assert any(
        re.match(r"stage 2, decoder: 8 %, step 2 of 25, loss \d+\.\d+, .* left", line) for line in said
    )
    assert said[ahead + 5] == said[-3] == too_little(100, resolve("nano"))
    assert said[-2] == f"curves: {out / PAGE}"
    page = (out / PAGE).read_text()
    assert "http-equiv" not in page and too_little(100, resolve("nano")) in page


def test_minutes_are_shared_out_among_the_stages_that_there_are() -> None:
    halves = ["interpreter.train.minutes=4.0", "decoder.train.minutes=8.0"]
    assert train._lasting(12, ["decoder.batch=64"]) == halves
    assert train._lasting(12, ["init.interpreter=runs/mine"])[1] == "decoder.train.minutes=12.0"
    assert train._lasting(None, []) == []
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UserError, match="minutes: got .*, expected more than 0"):
            train._lasting(wrong, [])
