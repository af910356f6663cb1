"""Sounds of a recording: spoken where something speaks, else the bell; never in the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.launch.runtime.recording.episode_companion import EpisodeCompanion
from ideomotor.launch.runtime.recording.episode_flow import EpisodePlan, Phase
from ideomotor.launch.runtime.recording.sound import Sound

ROBOT = load_embodiment("so101")


def test_words_are_spoken_by_what_is_installed() -> None:
    started: list[Sequence[str]] = []
    sound = Sound(lambda name: f"/bin/{name}" if name == "espeak" else None, started.append, pytest.fail)
    sound.say("saved", 3)
    sound.say("over", 3)
    assert started == [["/bin/espeak", "episode 3 saved"], ["/bin/espeak", "over"]]


def test_the_bell_rings_where_nothing_speaks() -> None:
    rung: list[str] = []
    sound = Sound(lambda name: None, pytest.fail, rung.append)
    for what in ("recording", "saved", "dropped"):
        sound.say(what, 0)
    assert rung == ["\a", "\a\a", "\a\a\a"]


def test_a_speaker_that_cannot_be_started_or_never_ends_fails_nothing(tmp_path: Any) -> None:
    Sound(lambda name: str(tmp_path / "gone")).say("saved", 1)
    endless = tmp_path / "endless"
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)
    sound = Sound(lambda name: str(endless))
    sound.say("recording", 1)
    first = sound._speaking
    sound.say("saved", 1)  # gives up the first
    assert first and first.wait() != 0
    assert sound._speaking
    sound._speaking.kill()
    sound._speaking.wait()


@pytest.fixture
def companion() -> Iterator[Any]:
    shared = shared_state.create(ROBOT)
    sounds: list[tuple[str, int]] = []
    log: Any = SimpleNamespace(episodes=4)
    plan = EpisodePlan("lift it", 2, 30.0, None, None)
    made = EpisodeCompanion(shared, ROBOT, log, plan, lambda what, number: sounds.append((what, number)))
    flow = SimpleNamespace(phase=Phase.RESET, done=0, dropped=[], poll=lambda now: None)
    made._flow = flow  # pyright: ignore[reportAttributeAccessIssue]
    yield SimpleNamespace(made=made, flow=flow, sounds=sounds)
    shared.close()


def test_each_end_of_an_episode_is_heard_once(companion: Any) -> None:
    def becomes(phase: Phase, done: int = 0, dropped: int = 0) -> None:
        companion.flow.phase, companion.flow.done = phase, done
        companion.flow.dropped = ["again"] * dropped
        companion.made.poll(0.0)
        companion.made.poll(0.0)

    becomes(Phase.RESET)
    becomes(Phase.RECORD)
    becomes(Phase.RESET, dropped=1)
    becomes(Phase.RECORD, dropped=1)
    becomes(Phase.SAVE, dropped=1)
    becomes(Phase.RESET, done=1, dropped=1)
    becomes(Phase.OVER, done=1, dropped=1)
    assert companion.sounds == [
        ("recording", 4), ("dropped", 4), ("recording", 4), ("saved", 4), ("over", 5),
    ]  # fmt: skip
