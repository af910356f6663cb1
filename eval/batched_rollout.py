"""Several episodes at once with one policy: whatever most of them are waiting for is computed as one batch.

Weights are read once for all of them, so on a CPU a batch of eight costs about four times what one does. Each
episode keeps its own world, controller and randomness. Only the rounding of float32 differs from running them
one by one (about 1e-6 in a command), which now and then tips an episode that stands on the edge.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from ideomotor.control.types import ActionChunk, LatentPlan
from ideomotor.eval.rollout import Ask, Result

if TYPE_CHECKING:
    from ideomotor.vla.policy import IdeomotorPolicy

GROUP = 3  # episodes that a process is given at a time, for each that it may have at once
Played = Generator[Ask, Any, Result]  # is sent a LatentPlan or an ActionChunk, whichever it asked for


@dataclass
class _Lane(Generic[Result]):
    """One episode under way."""

    number: int
    policy: IdeomotorPolicy
    played: Played[Result]
    ask: Ask


def play_together(
    play: Callable[[int, IdeomotorPolicy], Played[Result]], count: int, policy: IdeomotorPolicy, lanes: int
) -> list[Result]:
    """Plays episodes 0 to count - 1, as many at once as there are lanes, and returns what they return.

    Args:
        play: begins an episode with a policy of its own.
        policy: with the networks of all of them.
        lanes: the largest batch.

    Raises:
        Whatever an episode raises; the others are closed.
    """
    results: dict[int, Result] = {}
    waiting, free = iter(range(count)), [policy.beside() for _ in range(min(lanes, count))]
    under_way: list[_Lane[Result]] = []
    try:
        while True:
            under_way += _begun(play, waiting, free, results)
            if not under_way:
                return [results[number] for number in range(count)]
            for lane, answer in _answered(_most_alike(under_way)):
                try:
                    lane.ask = lane.played.send(answer)
                except StopIteration as end:
                    results[lane.number] = end.value
                    under_way.remove(lane)
                    free.append(lane.policy)
    finally:
        for lane in under_way:
            with contextlib.suppress(Exception):  # one that has raised is closed already
                lane.played.close()


def _begun(
    play: Callable[[int, IdeomotorPolicy], Played[Result]],
    waiting: Iterator[int],
    free: list[IdeomotorPolicy],
    results: dict[int, Result],
) -> Iterable[_Lane[Result]]:
    """Begins an episode for every free policy, up to what it first asks for."""
    while free and (number := next(waiting, None)) is not None:
        policy = free.pop()
        played = play(number, policy)
        try:
            ask = next(played)
        except StopIteration as end:  # it was over before it asked
            results[number] = end.value
            free.append(policy)
            continue
        yield _Lane(number, policy, played, ask)


def _most_alike(lanes: list[_Lane[Result]]) -> list[_Lane[Result]]:
    """The largest group that one batch can answer; of equal ones that of the earliest episode."""
    groups: dict[tuple[frozenset[str], int], list[_Lane[Result]]] = {}
    for lane in sorted(lanes, key=lambda lane: lane.number):
        wanted = -1 if lane.ask.plan is None else len(lane.ask.prefix)
        groups.setdefault((lane.policy.lacks, wanted), []).append(lane)
    return max(groups.values(), key=len)


def _answered(lanes: list[_Lane[Result]]) -> list[tuple[_Lane[Result], LatentPlan | ActionChunk]]:
    from ideomotor.vla.policy import chunks, plans

    policies, seen = [lane.policy for lane in lanes], [lane.ask.observation for lane in lanes]
    latent = [lane.ask.plan for lane in lanes if lane.ask.plan is not None]
    if latent:
        made: list[LatentPlan] | list[ActionChunk] = chunks(
            policies, seen, latent, [lane.ask.prefix for lane in lanes]
        )
    else:
        made = plans(policies, seen)
    return list(zip(lanes, made, strict=True))
