"""Several episodes at once with one policy: whatever most of them are waiting for is computed as one batch.

Weights are read once for all of them, so on a CPU a batch of eight costs about four times what one does. Each
episode keeps its own world, controller and randomness. Only the rounding of float32 differs from running them
one by one (about 1e-6 in a command), which now and then tips an episode that stands on the edge.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from ideomotor.control.types import ActionChunk, LatentPlan
from ideomotor.eval.drivers import PolicyRequest, Requests, Result

if TYPE_CHECKING:
    from ideomotor.vla.policy import EpisodePolicy

GROUP = 3  # episodes that a process is given at a time, for each that it may have at once


@dataclass
class _Slot(Generic[Result]):
    """One episode under way."""

    number: int
    policy: EpisodePolicy
    requests: Requests[Result]
    request: PolicyRequest


def play_batched(
    play: Callable[[int, EpisodePolicy], Requests[Result]], count: int, policy: EpisodePolicy, slots: int
) -> list[Result]:
    """Plays episodes 0 to count - 1, as many at once as there are slots, and returns what they return.

    Args:
        play: begins an episode with a policy of its own.
        policy: with the networks of all of them.
        slots: the largest batch.

    Raises:
        Whatever an episode raises; the others are closed.
    """
    from ideomotor.vla.policy import EpisodePolicy

    results: dict[int, Result] = {}
    waiting, free = iter(range(count)), [EpisodePolicy(policy.networks) for _ in range(min(slots, count))]
    under_way: list[_Slot[Result]] = []
    try:
        while True:
            under_way += _begun(play, waiting, free, results)
            if not under_way:
                return [results[number] for number in range(count)]
            for slot, answer in _answered(_most_alike(under_way)):
                try:
                    slot.request = slot.requests.send(answer)
                except StopIteration as end:
                    results[slot.number] = end.value
                    under_way.remove(slot)
                    free.append(slot.policy)
    finally:
        for slot in under_way:
            with contextlib.suppress(Exception):  # one that has raised is closed already
                slot.requests.close()


def _begun(
    play: Callable[[int, EpisodePolicy], Requests[Result]],
    waiting: Iterator[int],
    free: list[EpisodePolicy],
    results: dict[int, Result],
) -> Iterable[_Slot[Result]]:
    """Begins an episode for every free policy, up to what it first asks for."""
    while free and (number := next(waiting, None)) is not None:
        policy = free.pop()
        requests = play(number, policy)
        try:
            request = next(requests)
        except StopIteration as end:  # it was over before it asked
            results[number] = end.value
            free.append(policy)
            continue
        yield _Slot(number, policy, requests, request)


def _most_alike(slots: list[_Slot[Result]]) -> list[_Slot[Result]]:
    """The largest group that one batch can answer; of equal ones that of the earliest episode."""
    groups: dict[tuple[frozenset[str], int], list[_Slot[Result]]] = {}
    for slot in sorted(slots, key=lambda slot: slot.number):
        wanted = -1 if slot.request.plan is None else len(slot.request.prefix)
        groups.setdefault((slot.policy.without, wanted), []).append(slot)
    return max(groups.values(), key=len)


def _answered(slots: list[_Slot[Result]]) -> list[tuple[_Slot[Result], LatentPlan | ActionChunk]]:
    from ideomotor.vla.policy import chunks, plans

    policies, seen = [slot.policy for slot in slots], [slot.request.observation for slot in slots]
    latent = [slot.request.plan for slot in slots if slot.request.plan is not None]
    if latent:
        made: list[LatentPlan] | list[ActionChunk] = chunks(
            policies, seen, latent, [slot.request.prefix for slot in slots]
        )
    else:
        made = plans(policies, seen)
    return list(zip(slots, made, strict=True))
