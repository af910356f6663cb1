"""Several processes train as one: each has its rows of what one process draws, and sums are of all of them.

The processes are played one after the other in this one; test_pipeline.py trains with two that are real.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control.embodiment import load_embodiment
from ideomotor.train import parallel
from ideomotor.train.parallel import (
    OwnWindows,
    data_parallel,
    first_process_first,
    gathered,
    global_count,
    join_processes,
    mean_of_all,
    of_the_first,
    own_rows,
    shard_of_random,
    wait_for_all,
)

As = Callable[[int, int], None]


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> As:
    """playing(rank, world): from now on this is that process."""

    def play(rank: int, world: int) -> None:
        monkeypatch.setattr(parallel, "processes", lambda: (rank, world))

    return play


@pytest.mark.parametrize(("whole", "world", "left"), [(8, 1, 0), (8, 2, 0), (8, 4, 0), (9, 4, 1)])
def test_every_row_is_of_one_process(playing: As, whole: int, world: int, left: int) -> None:
    rows: list[int] = []
    for rank in range(world):
        playing(rank, world)
        rows += range(whole)[own_rows(whole)]
    assert rows == list(range(whole - left))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_random_numbers_are_those_that_one_process_draws(playing: As, world: int) -> None:
    def drawn(rank: int, processes: int) -> torch.Tensor:
        playing(rank, processes)
        torch.manual_seed(7)
        return shard_of_random(torch.rand, (6 // processes, 4))

    parts = torch.cat([drawn(rank, world) for rank in range(world)])
    assert torch.equal(parts, drawn(0, 1))


def test_sums_divided_by_the_global_count_have_the_mean_of_the_whole_batch(
    playing: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, counts = torch.tensor([3.0, 5.0, 10.0]), [2, 1]  # of two processes
    monkeypatch.setattr(parallel.dist, "all_reduce", lambda count: count.fill_(sum(counts)))
    losses = []
    for rank, part in enumerate((values[:2], values[2:])):
        playing(rank, 2)
        losses.append(part.sum() / global_count(torch.tensor(float(counts[rank]))))
    assert torch.stack(losses).mean() == values.mean()  # as gradients are
    counts[:] = [0, 0]
    assert global_count(torch.tensor(0.0)) == 0.5  # nothing counts in any: no division by 0
    playing(0, 1)
    assert global_count(torch.tensor(0.0)) == 1.0 and global_count(torch.tensor(3.0)) == 3.0


def test_the_gradient_of_gathered_rows_is_that_of_the_whole_batch(
    playing: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))

    def gradient(rows: torch.Tensor, mine: slice) -> torch.Tensor:
        scale = torch.ones(3, requires_grad=True)
        found = gathered(rows[mine] * scale)
        assert torch.equal(found.detach(), whole)
        (found @ found.T).softmax(-1).diagonal().sum().backward()
        assert scale.grad is not None
        return scale.grad

    def all_gather(parts: list[torch.Tensor], own: torch.Tensor) -> None:
        for number, part in enumerate(parts):
            part.copy_(whole[2 * number : 2 * number + 2])

    alone = gradient(whole, slice(0, 4))
    monkeypatch.setattr(parallel.dist, "all_gather", all_gather)
    found = []
    for rank in range(2):
        playing(rank, 2)
        found.append(gradient(whole, slice(2 * rank, 2 * rank + 2)))
    torch.testing.assert_close(torch.stack(found).mean(0), alone)


def test_figures_are_means_over_the_processes_that_have_them(
    playing: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = [{"loss": 1.0, "far": 0.5}, {"loss": 3.0}]
    assert mean_of_all(figures[0]) is figures[0]
    monkeypatch.setattr(
        parallel.dist, "all_gather_object", lambda found, own: found.__setitem__(slice(2), figures)
    )
    playing(1, 2)
    assert mean_of_all(figures[1]) == {"loss": 2.0, "far": 0.5}


def test_the_first_process_goes_first(playing: As, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(parallel.dist, "barrier", lambda: done.append("waits"))
    for rank in range(2):
        playing(rank, 2)
        with first_process_first():
            done.append(f"works {rank}")
    assert done == ["works 0", "waits", "waits", "works 1"]


def test_alone_nothing_is_waited_for_and_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    join_processes()
    wait_for_all()
    module = torch.nn.Linear(2, 2)
    assert data_parallel(module) is module and of_the_first(0.25) == 0.25
    assert not torch.distributed.is_initialized()


def test_a_process_reads_its_own_windows_of_the_whole_batch(playing: As, data: Path, tmp_path: Path) -> None:
    loader = OwnWindows([data], load_embodiment("so101"), 96, 6, cache_root=tmp_path)
    whole, parts = loader.batch(3), []
    for rank in range(2):
        playing(rank, 2)
        parts.append(loader.batch(3))
    assert [len(part) for part in parts] == [3, 3]
    for name in ("actions", "past_commands", "prefix_length", "plan_age"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    assert np.array_equal(np.concatenate([part.now.index for part in parts]), whole.now.index)
    rows = np.arange(5)
    assert len(loader.windows(rows, 0 * rows, 0 * rows)) == 5  # what is asked for by row is not shared out
