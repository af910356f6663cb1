"""The training loop that every stage shares: one process or several, exact resume, averaged weights.

A stage gives a module whose forward call returns losses and a function from step number to batch. All
randomness of a step follows from (seed, step), so that training resumes exactly from its state, and is
shared out between the processes (parallel.py). While a step computes, a thread makes the next one's batch.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import uninterrupted
from ideomotor.train.metrics import Metrics
from ideomotor.train.parallel import mean_of_all
from ideomotor.train.selection import Selection
from ideomotor.train.state import Position, Training, averaged, load_state, save_state, take_average

BatchAt = Callable[[int], Any]
Examine = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Settings:
    """How a stage is optimised. Without steps and minutes it is left out."""

    steps: int = 20000
    minutes: float = 0.0  # if above 0, the schedule follows the clock and ends here instead of at `steps`
    learning_rate: float = 1e-3
    warmup: int = 200  # [steps]
    floor: float = 0.03  # last learning rate, as a share of the first
    weight_decay: float = 0.02
    clip: float = 1.0  # norm of the gradient
    average: float = 0.998  # decay of the averaged weights
    precision: str = "auto"  # "bf16", "no" (float32), or "auto": bf16 where the processor has it
    seed: int = 0
    log_every: int = 50  # [steps]
    tensorboard: bool = False  # whether metrics are also written as TensorBoard's event files
    save_every_s: float = 300.0
    examine_every_s: float = 600.0

    @property
    def left_out(self) -> bool:
        """Whether there is nothing to do."""
        return self.steps <= 0 and self.minutes <= 0


def fit(
    name: str,
    module: nn.Module,
    batch_at: BatchAt,
    samples: int,
    settings: Settings,
    out: Path,
    resume: bool = False,
    examine: Examine | None = None,
    selection: Selection | None = None,
) -> dict[str, float]:
    """Trains the module's parameters that require gradients and leaves their average in it.

    Args:
        name: of the stage; names its files in `out`.
        module: forward(batch) gives {"loss": …, parts…}.
        batch_at: this process's batch of a step, called from another thread: it must not draw from torch's
            global generator.
        samples: windows or questions in a batch of all processes together, for the figures.
        out: folder for the metrics (metrics.py) and `state/` (what resuming needs).
        resume: continue from the state if there is one.
        examine: called now and then, and at the end, with the averaged weights in the module.
        selection: judges the averaged weights now and then, and at the end.

    Returns:
        The last metrics.

    Raises:
        KeyboardInterrupt: after the state has been saved.
    """
    tune_process()
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision=chosen_precision(settings.precision),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=False)],
    )
    module.to(accelerator.device)
    learned = {key: p for key, p in module.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(_groups(learned, settings), lr=0.0, betas=(0.9, 0.95), fused=True)
    mean = {key: p.detach().clone() for key, p in learned.items()}
    training, state_file = Training(learned, mean, optimizer), out / "state" / f"{name}.safetensors"
    if resume and state_file.is_file():
        load_state(state_file, training)
    at = training.at
    wrapped, prepared = accelerator.prepare(module, optimizer)
    first = accelerator.is_main_process
    (out / "state").mkdir(parents=True, exist_ok=True)
    metrics: dict[str, float] = {}
    last_save = last_log = last_exam = time.monotonic()
    begun, before, waited, logged_at = time.monotonic(), at.elapsed, 0.0, at.step
    module.train()
    # A thread has a thread count of its own, which it would otherwise take from the number of cores.
    loading = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),))
    coming = loading.submit(batch_at, at.step)
    log = Metrics(out, name, at.step, settings.tensorboard, silent=not first)
    with log, loading, _bar(name, first) as told:
        try:
            while (share := _share(at, settings, accelerator)) < 1.0:
                if selection and first and selection.due(at):
                    wait([coming])  # it may use what judging uses
                    save_state(state_file, training)
                    with averaged(training, module):
                        log.write(selection.judge(at))
                    last_save = last_log = time.monotonic()
                    waited, logged_at = 0.0, at.step
                rate = learning_rate(settings, at.step, share)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                torch.manual_seed((settings.seed * 1_000_003 + at.step) * 64)
                asked = time.monotonic()
                batch = to_device(coming.result(), accelerator.device)
                waited += time.monotonic() - asked
                coming = loading.submit(batch_at, at.step + 1)
                losses = wrapped(batch)
                accelerator.backward(losses["loss"])
                if settings.clip:
                    accelerator.clip_grad_norm_(list(learned.values()), settings.clip)
                with uninterrupted():  # what is saved is the state between two steps
                    prepared.step()
                    prepared.zero_grad(set_to_none=True)
                    decay = min(settings.average, (1 + at.step) / (10 + at.step))
                    with torch.no_grad():
                        for key, parameter in learned.items():
                            mean[key].lerp_(parameter, 1 - decay)
                    at.step += 1
                now = time.monotonic()
                at.elapsed = before + now - begun
                if at.step % settings.log_every == 0:
                    took, done = now - last_log, at.step - logged_at
                    metrics = mean_of_all({key: float(value.detach()) for key, value in losses.items()})
                    if not math.isfinite(metrics["loss"]):
                        raise UserError(
                            f"{name}: the loss is {metrics['loss']} at step {at.step}; lower learning_rate"
                        )
                    metrics |= {
                        "step": at.step,
                        "seconds": at.elapsed,
                        "learning_rate": rate,
                        "samples_per_s": done * samples / took,
                        "loader_share": waited / took,
                    }
                    log.write(metrics)
                    told(share, metrics)
                    last_log, waited, logged_at = now, 0.0, at.step
                if first and now - last_save > settings.save_every_s:
                    save_state(state_file, training)
                    last_save = now
                if examine and first and now - last_exam > settings.examine_every_s:
                    wait([coming])  # it may use what examining uses
                    with averaged(training, module):
                        log.write({"step": at.step, **examine()})
                    last_exam = last_log = time.monotonic()
                    waited, logged_at = 0.0, at.step
        finally:
            if first and at.step:
                save_state(state_file, training)
        take_average(training)
        module.eval()
        if examine and first:
            metrics |= examine()
            log.write({"step": at.step, **metrics})
        if selection and first and not selection.judged(at):
            log.write(selection.judge(at))
    accelerator.wait_for_everyone()
    return metrics


def learning_rate(settings: Settings, step: int, share: float) -> float:
    """Linear warm-up, then half a cosine down to the floor over the whole of training (share 0 to 1)."""
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return (
        settings.learning_rate
        * min(1.0, (step + 1) / settings.warmup)
        * (settings.floor + (1 - settings.floor) * wave)
    )


def to_device(value: Any, device: torch.device) -> Any:
    """Dataclasses of tensors, moved."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_device(getattr(value, f.name), device) for f in dataclasses.fields(value)}
        return type(value)(**fields)
    return value


def chosen_precision(wanted: str) -> str:
    """Either "bf16" or "no", which is float32; UserError if something else is wanted."""
    if wanted not in ("auto", "bf16", "no"):
        raise UserError(f"precision: got {wanted!r}, expected auto, bf16 or no")
    return ("bf16" if computes_in_bf16() else "no") if wanted == "auto" else wanted


def computes_in_bf16() -> bool:
    """Whether this machine has instructions for bf16. Where torch imitates them they are 40 times slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tells = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch tells it nowhere else
    return any(getattr(torch.cpu, tell, bool)() for tell in tells)


def tune_process() -> None:
    """One thread, and memory that is kept instead of given back to the system after every operation.

    Returning large buffers costs page faults: keeping them trains about 15 % faster (glibc only).
    """
    torch.set_num_threads(1)
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, at its largest
            libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
        except (OSError, AttributeError):
            pass  # another C library


def _groups(learned: dict[str, nn.Parameter], settings: Settings) -> list[dict[str, Any]]:
    """Matrices decay, vectors do not."""
    matrices = [p for p in learned.values() if p.ndim >= 2]
    vectors = [p for p in learned.values() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _share(at: Position, settings: Settings, accelerator: Accelerator) -> float:
    """How much of training is done, 0 to 1; the same in all processes."""
    if settings.minutes <= 0:
        return at.step / settings.steps if settings.steps else 1.0
    share = torch.tensor([at.elapsed / (60 * settings.minutes)], device=accelerator.device)
    if accelerator.num_processes > 1:
        share = broadcast(share)
    return float(share)  # type: ignore[arg-type]


@contextmanager
def _bar(name: str, shown: bool) -> Iterator[Callable[[float, dict[str, float]], None]]:
    """A progress bar on stderr with the time left; gives the function that moves it."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
    ]
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not shown or not console.is_terminal) as bar:
        task = bar.add_task(name, total=1.0, told="")

        def told(share: float, metrics: dict[str, float]) -> None:
            line = (
                f"loss {metrics['loss']:.3f}  {metrics['samples_per_s']:.0f}/s"
                f"  loading {100 * metrics['loader_share']:.0f} %"
            )
            bar.update(task, completed=share, told=line)

        yield told
