"""What a frozen interpreter says about the recorded frames, read once and kept beside the decoded frames.

A frozen interpreter says the same about the same frame every time. In a share of the frames unknown words
are thrown into the instruction, so that a decoder gets to know plans made from words nobody expected, and
in a few the instruction is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ideomotor.control.errors import UserError
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.train.action_objective import PlanFeatures
from ideomotor.train.device import computes_in_bf16, tune_process
from ideomotor.train.instruction_augmentation import augmented_instruction
from ideomotor.train.parallel import own_device, processes, wait_for_all
from ideomotor.train.reporting.progress import Countdown
from ideomotor.train.scenes.pool import NAMES
from ideomotor.vla.images import to_pixels
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.vocabulary import PLAN_QUERIES
from ideomotor.vla.resizing import resized

Log = Callable[[str], None]
READ_AT_ONCE = 64  # frames


class PlanCache:
    """What a frozen interpreter said about the used frames of datasets; rows count through all frames."""

    def __init__(self, parts: list[np.ndarray]):
        self._parts = parts  # (rows, (K + 1) hidden + 3 M) float16 of each dataset
        self._offsets = np.cumsum([0, *map(len, parts)])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(n,) rows -> (n, (K + 1) hidden + 3 M): hidden states, meaning, points and presence."""
        which = np.searchsorted(self._offsets, rows, side="right") - 1
        found = np.empty((len(rows), self._parts[0].shape[1]), np.float16)
        for number in np.unique(which):
            inside = which == number
            found[inside] = self._parts[number][rows[inside] - self._offsets[number]]
        return found

    def read(self, rows: np.ndarray) -> PlanFeatures:
        """What was made of the frames at these rows (B,)."""
        values, names = torch.from_numpy(self[rows].astype(np.float32)), len(NAMES)
        width = (values.shape[1] - 3 * names) // (PLAN_QUERIES + 1)
        widths = [PLAN_QUERIES * width, width, 2 * names, names]
        hidden, meaning, points, presence = values.split(widths, dim=1)
        return PlanFeatures(
            hidden.unflatten(1, (PLAN_QUERIES, -1)), meaning, points.unflatten(1, (names, 2)), presence
        )


def read_plans(
    interpreter: Interpreter,
    loader: WindowLoader,
    log: Log,
    unknown_words: float = 0.0,
    dropped: float = 0.0,
) -> PlanCache:
    """What the interpreter makes of each frame that the loader uses.

    Kept beside the decoded frames in the datasets' caches, under a name made from the interpreter's
    weights, so that a dataset is read once however often and with what others it is trained on.

    Args:
        interpreter: frozen.
        loader: whose rows are read.
        log: called with the progress.
        unknown_words: share of the frames whose instruction is read with unknown words in it.
        dropped: share of the frames that are read without their instruction.
    """
    tune_process()
    stride = f"-every-{loader.every}" if loader.every > 1 else ""
    name, first, parts = f"plans-{_identity(interpreter, unknown_words, dropped)}{stride}.npy", 0, []
    for cache in loader.caches:
        path, count = cache.folder / name, int(cache.starts[-1])
        if not path.is_file():
            _read_dataset(interpreter, loader, first, count, path, log, unknown_words, dropped)
        parts.append(np.load(path, mmap_mode="r"))
        first += count
    return PlanCache(parts)


def views(images: dict[str, np.ndarray], interpreter: Interpreter) -> np.ndarray:
    """The pictures of the interpreter's cameras, at its size: (n, cameras, H, W, 3) uint8."""
    size = interpreter.config.image_size
    if missing := [camera for camera in interpreter.config.cameras if camera not in images]:
        raise UserError(
            f"robot: the interpreter sees {', '.join(missing)}, and the robot's cameras are "
            f"{', '.join(images)}: expected one of these called so in the robot's file"
        )
    seen = np.stack([images[camera] for camera in interpreter.config.cameras], axis=1)
    if seen.shape[2:4] == (size, size):
        return seen
    return np.stack([[resized(picture, size) for picture in frame] for frame in seen])


def _identity(interpreter: Interpreter, unknown_words: float, dropped: float) -> str:
    """Another one for interpreters that say something else; a base that is only named has a fingerprint."""
    digest = hashlib.sha256(f"{unknown_words:g} {dropped:g}".encode())
    for key, parameter in interpreter.named_parameters():
        if not key.startswith("plan_head") and interpreter.own(key):
            digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    if interpreter.config != InterpreterConfig(cameras=interpreter.config.cameras):
        digest.update(repr(interpreter.config).encode())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _read_dataset(
    interpreter: Interpreter,
    loader: WindowLoader,
    first: int,
    count: int,
    path: Path,
    log: Log,
    unknown_words: float,
    dropped: float,
) -> None:
    """Reads the used of rows `first` to `first + count`, every process its share of them, into `path`."""
    (rank, world), names = processes(), len(interpreter.config.names)
    partial, columns = path.with_suffix(".partial"), (PLAN_QUERIES + 1) * interpreter.hidden_dim + 3 * names
    if rank == 0:
        np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=(count, columns))
    wait_for_all()
    plans = np.load(partial, mmap_mode="r+")
    device = own_device()
    interpreter.eval().to(device)
    cameras = interpreter.config.cameras
    used = np.unique(loader.used(np.arange(first, first + count)))
    start, stride = READ_AT_ONCE * rank, READ_AT_ONCE * world
    countdown = Countdown("reading frames", log)
    for begin in range(start, len(used), stride):
        rows = used[begin : begin + READ_AT_ONCE]
        pixels, instructions = views(loader.row_images(rows), interpreter), loader.row_instructions(rows)
        rng = np.random.default_rng([begin, count])
        instructions = [augmented_instruction(line, rng, unknown_words, dropped) for line in instructions]
        states = loader.row_states(rows)
        prompts = interpreter.prompts(instructions, [[True] * len(cameras)] * len(rows), state=states)
        prompts = type(prompts)(*(tensor.to(device) for tensor in vars(prompts).values()))
        with torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bf16()):
            reading = interpreter(to_pixels(pixels).to(device), prompts)
        pointing = reading.pointing
        found = (reading.hidden, reading.meaning, pointing.points, pointing.presence.sigmoid())
        plans[rows - first] = torch.cat([part.float().flatten(1) for part in found], dim=1).cpu().numpy()
        countdown.at(min(begin + stride, len(used)), len(used))
    plans.flush()
    wait_for_all()
    if rank == 0:
        partial.rename(path)
    wait_for_all()
