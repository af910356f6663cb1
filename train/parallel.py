"""What makes several processes train as one would on the whole batch.

All random numbers of a step are drawn for the whole batch, the same in every process, and each process takes
those of its own rows: process r of W has rows r b to (r + 1) b of W b. Losses are divided by what counts in
the whole batch. The gradients' mean over the processes is then the gradient of one process with the whole
batch, but for the order in which floats are added.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.loading.window_batch import WindowBatch

PATIENCE = timedelta(hours=3)  # the others wait for the first process while it examines and judges


def join_processes() -> None:
    """Joins the processes that torchrun has started beside this one, once; in one process nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)


def own_device() -> torch.device:
    """Where this process computes."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def wait_for_all() -> None:
    """Returns when every process has come here."""
    if processes()[1] > 1:
        dist.barrier()


@contextmanager
def first_process_first() -> Iterator[None]:
    """The others enter the with-block when the first process has left it, and find what it has made."""
    if processes()[0] > 0:
        wait_for_all()
    yield
    if processes()[0] == 0:
        wait_for_all()


def data_parallel(module: nn.Module) -> nn.Module:
    """The module, whose gradients are the means over the processes where there are several."""
    if processes()[1] == 1:
        return module
    device = own_device()
    return DistributedDataParallel(module, device_ids=[device.index] if device.type == "cuda" else None)


def of_the_first(value: float) -> float:
    """The first process's number. Every process has to ask."""
    if processes()[1] == 1:
        return value
    number = torch.tensor([value], dtype=torch.float64, device=own_device())
    dist.broadcast(number, 0)
    return float(number)


def processes() -> tuple[int, int]:
    """(which one this is, how many there are)."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def own_rows(whole: int) -> slice:
    """This process's rows of a whole batch; the remainder of an uneven division is nobody's."""
    rank, world = processes()
    each = whole // world
    return slice(rank * each, (rank + 1) * each)


def shard_of_random(draw: Callable[[tuple[int, ...]], torch.Tensor], shape: Sequence[int]) -> torch.Tensor:
    """This process's part of what `draw` gives for a whole batch.

    Args:
        draw: from a shape, its first axis the rows, to a tensor of random numbers.
        shape: of this process's part.
    """
    rank, world = processes()
    rows, rest = shape[0], tuple(shape[1:])
    return draw((world * rows, *rest))[rank * rows : (rank + 1) * rows]


def global_count(count: torch.Tensor) -> torch.Tensor:
    """What to divide this process's sum by: the count of all processes together over their number, at least
    one in all. Takes no gradient."""
    _, world = processes()
    if world > 1:
        count = count.detach().clone()
        dist.all_reduce(count)
    return count.clamp_min(1.0) / world if world > 1 else count.clamp_min(1.0)


def gathered(rows: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, for a loss that every process takes of the whole batch.

    Only its own rows lead back to a process's weights, with a gradient that is as many times too large as
    there are processes: the mean over them is then the gradient of the whole batch.
    """
    rank, world = processes()
    if world == 1:
        return rows
    constant = rows.detach().contiguous()
    parts = [torch.empty_like(constant) for _ in range(world)]
    dist.all_gather(parts, constant)
    parts[rank] = constant + world * (rows - constant)
    return torch.cat(parts)


def mean_of_all(metrics: dict[str, float]) -> dict[str, float]:
    """Means over the processes, of each figure over those that have it. Every process has to ask."""
    _, world = processes()
    if world == 1:
        return metrics
    all_metrics: list[Any] = [None] * world
    dist.all_gather_object(all_metrics, metrics)
    names = dict.fromkeys(name for one in all_metrics for name in one)
    return {name: float(np.mean([one[name] for one in all_metrics if name in one])) for name in names}


class OwnWindows(WindowLoader):
    """A loader whose batches are drawn as one process draws them, of which this process reads its own rows.

    Made with the `batch_size` of all processes together, rank 0 and a world of 1.
    """

    _drawing = False

    def batch(self, step: int) -> WindowBatch:
        """This process's rows of a whole batch, see `WindowLoader.batch`."""
        self._drawing = True
        try:
            return super().batch(step)
        finally:
            self._drawing = False

    def windows(self, rows: np.ndarray, ages: np.ndarray, prefix_length: np.ndarray) -> WindowBatch:
        """As `WindowLoader.windows`; of a whole batch only this process's rows."""
        if self._drawing:
            mine = own_rows(len(rows))
            rows, ages, prefix_length = rows[mine], ages[mine], prefix_length[mine]
        return super().windows(rows, ages, prefix_length)
