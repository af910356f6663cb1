"""Episodes played as one batch: who is answered with whom, and that each ends as it would alone."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ideomotor.vla
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.eval import batched_rollout
from ideomotor.eval.batched_rollout import play_batched
from ideomotor.eval.drivers import PolicyRequest, Requests
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.run import evaluate
from ideomotor.eval.suites import suite
from ideomotor.vla import policy

BUNDLED = Path(next(iter(ideomotor.vla.__path__))) / "checkpoints" / "so101"
PLAN = LatentPlan(np.zeros((1, 1), np.float32), 0.0)


class Nobody:
    """A policy without networks."""

    without = frozenset[str]()

    def __init__(self, networks: None = None) -> None:
        self.networks = networks


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The groups that were answered as one batch, by the numbers of their episodes."""
    groups: list[list[int]] = []

    def answer(slots: list[Any]) -> list[tuple[Any, Any]]:
        groups.append([slot.number for slot in slots])
        return [(slot, f"answer to {slot.number}") for slot in slots]

    monkeypatch.setattr(batched_rollout, "_answered", answer)
    monkeypatch.setattr(policy, "EpisodePolicy", Nobody)
    return groups


def asking(number: int, *wanted: bool, prefix: int = 0) -> Requests[tuple[int, list[str]]]:
    """An episode that wants plans (True) and chunks."""
    seen = Observation(0.0, 0, {}, np.zeros(6, np.float32), "do")
    answers = []
    for plan in wanted:
        answers.append(
            (yield PolicyRequest(seen) if plan else PolicyRequest(seen, PLAN, np.zeros((prefix, 6))))
        )
    return number, answers


def test_each_gets_its_own_answers_and_the_most_alike_are_answered_first(answered) -> None:
    wants = [(True, False), (True, False, True), (), (False, False), (True,)]
    results = play_batched(lambda n, _: asking(n, *wants[n]), len(wants), Nobody(), slots=3)
    assert results == [(n, [f"answer to {n}"] * len(wants[n])) for n in range(len(wants))]
    assert answered == [[0, 1], [0, 1, 3], [1, 4], [3]]


def test_chunks_with_unlike_prefixes_are_no_batch(answered) -> None:
    play_batched(lambda n, _: asking(n, False, prefix=n // 2), 3, Nobody(), slots=3)
    assert answered == [[0, 1], [2]]


def test_what_an_episode_raises_is_raised_and_the_others_are_closed(answered) -> None:
    closed = []

    def play(number: int, _: Any) -> Requests[int]:
        try:
            yield from asking(number, True)
            if number == 1:
                raise OSError("the simulator broke")
            yield from asking(number, True)
            return number
        finally:
            closed.append(number)

    with pytest.raises(OSError, match="the simulator broke"):
        play_batched(play, 3, Nobody(), slots=3)
    assert sorted(closed) == [0, 1, 2]


@pytest.mark.slow
def test_an_evaluation_in_batches_is_the_one_without() -> None:
    specs = [
        *suite("builtin", ["reach"], 2, 1_000_000),
        *suite("builtin", ["reach"], 1, 1_000_000, delay_ms=50),
        dataclasses.replace(suite("builtin", ["reach"], 1, 1_000_003)[0], without="wrist"),
    ]
    alone = evaluate(specs, PolicySpec(BUNDLED))
    batched = evaluate(specs, PolicySpec(BUNDLED), batch=4, film=True)
    assert [row.spec for row in batched] == specs and any(row.success for row in alone)
    for one, other in zip(alone, batched, strict=True):
        assert (other.success, other.instruction, other.plan) == (one.success, one.instruction, one.plan)
        assert other.seconds == pytest.approx(one.seconds, abs=0.05)
        assert other.largest_step == pytest.approx(one.largest_step, rel=0.05)
