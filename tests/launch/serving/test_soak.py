"""Several clients, some of which die, garbage, and a network that fails: nobody gets a wrong answer."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import NoAnswer
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.launch.serving.remote_policy import RemotePolicy
from ideomotor.launch.serving.remote_source import RemoteSource

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SO101 = load_embodiment("so101")


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_a_short_soak(server, connect, ask, plan_body) -> None:
    import serve_soak  # pyright: ignore[reportMissingImports] (found by the path above)

    asked = itertools.count()
    counts = serve_soak.soak(f"ws://127.0.0.1:{server[1]}", 3, lambda: next(asked) < 60)
    assert counts["answers"] > 5 and counts["garbage"] > 0
    assert (counts["wrong"], counts["refused"], counts["none"]) == (0, 0, 0)
    assert ask(connect(server[1]), plan_body)["type"] == "plan"


def test_what_comes_through_a_failing_network_is_right_or_nothing(server, seen) -> None:
    """Every second message lost, doubled or damaged: whatever is answered is what the server meant."""
    from faulty_proxy import Faults, FaultyProxy  # pyright: ignore[reportMissingImports]

    faults = Faults(loss=0.15, duplicate=0.3, damage=0.15)
    upstream, proxy = f"ws://127.0.0.1:{server[1]}", None
    proxy = FaultyProxy(upstream, faults, seed=3)
    with proxy.running() as address:
        source = chosen_policy(address, SO101)
        assert isinstance(source, RemoteSource)
        policy, right = source.load(("decoder",)), source.load(("interpreter",))
        right_plan = None
        answers = 0
        while answers < 8:
            try:
                right_plan = right_plan or right.plan(seen)
                chunk = policy.act(seen, right_plan, seen.past_commands[:5])
            except NoAnswer:
                continue
            assert (
                chunk.starts_at == seen.tick and abs(chunk.actions[:5] - seen.past_commands[:5]).max() < 1e-6
            )
            answers += 1
        for each in (policy, right):
            assert isinstance(each, RemotePolicy)
            each._link.close()
    assert proxy.forwarded > 2 * answers
