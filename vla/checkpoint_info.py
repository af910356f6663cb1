"""What a checkpoint is for, without loading it: reads its small files, and imports no torch."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import Timing
from ideomotor.vla.decoder.config import DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.processor import Processor, load_processor

FORMAT = "ideomotor-policy-4"  # 4: timing is part of it, and parts are called as the field calls them
EARLIER = "ideomotor-policy-3"  # what `vla.conversion` writes anew
EXPORTED = "ideomotor-exported-1"  # what `ideomotor export` writes, see vla/exported/format.py
CONFIG, WEIGHTS, PROCESSOR, CARD = "config.json", "model.safetensors", "processor.json", "README.md"


@dataclass(frozen=True)
class PolicyFacts:
    """What a policy was made for."""

    processor: Processor
    cameras: tuple[str, ...]  # that it sees through
    timing: Timing

    def check(self, embodiment: Embodiment) -> None:
        """Raises UserError unless the policy can drive that robot with that robot's cameras."""
        self.processor.check(embodiment)
        self.timing.check(embodiment)
        has = [camera.name for camera in embodiment.cameras]
        if missing := [name for name in self.cameras if name not in has]:
            raise UserError(
                f"policy: it looks through camera {', '.join(missing)}, which {embodiment.name} lacks "
                f"(it has {', '.join(has) or 'none'})"
            )


@dataclass(frozen=True)
class DecoderFacts:
    """What a decoder's chunks are made from and how they were learned."""

    horizon: int  # [ticks]
    image_size: int  # [pixels]
    predict: str  # a key of `vla.decoder.sampling.SAMPLERS`
    noise_knots: int


def decoder_facts(folder: Path) -> DecoderFacts:
    """Those of a checkpoint folder. UserError as `read_facts`."""
    config = read_config(folder)
    shape = parse_config(DecoderConfig, config["decoder"], folder)
    sampling = parse_config(SamplingConfig, config.get("sampling", {}), folder)
    return DecoderFacts(shape.horizon, shape.image_size, sampling.objective, sampling.noise_knots)


def read_facts(folder: Path) -> PolicyFacts:
    """Returns what a checkpoint folder is for.

    Raises:
        UserError: no policy in it; the message names the file.
    """
    config = read_config(folder)
    if "decoder" not in config:
        raise UserError(f"{folder / CONFIG}: decoder: missing; this is an interpreter alone, not a policy")
    exported = config["format"] == EXPORTED
    try:
        every = [*config["interpreter"]["cameras"], *config["decoder"]["cameras"]]
        names = tuple(dict.fromkeys(map(str, config["cameras"] if exported else every)))
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / CONFIG}: cameras: missing or not names ({error!r})") from None
    if not exported and not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder / WEIGHTS}: no such file, expected the policy's weights")
    try:
        timing = Timing(**config["timing"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / CONFIG}: timing: missing or not as expected ({error!r})") from None
    return PolicyFacts(load_processor(folder / PROCESSOR), names, timing)


def bundled_checkpoint(embodiment: str = "so101") -> Path:
    """The checkpoint that comes with the package for a robot: the one called like it, or else the arm's."""
    checkpoints = Path(__file__).parent / "checkpoints"
    own = checkpoints / embodiment
    return own if own.is_dir() else checkpoints / "so101"


def read_config(folder: Path) -> dict[str, Any]:
    """A policy's config.json; UserError naming what is wrong with the folder or the file."""
    path = folder / CONFIG
    if not folder.is_dir():
        raise UserError(f"policy: no such folder: {folder}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if isinstance(config, dict) and config.get("format") == EARLIER:
        new = folder.resolve().with_name(f"{folder.resolve().name}-converted")
        raise UserError(
            f"{path}: in the format before this version's; write it anew with "
            f"`ideomotor policy convert {shlex.quote(str(folder))} {shlex.quote(str(new))}`"
        )
    known = isinstance(config, dict) and config.get("format") in (FORMAT, EXPORTED)
    if not known or "interpreter" not in config:
        raise UserError(f"{path}: not a policy's config, expected format {FORMAT!r}")
    return config


def weight_files(folder: Path) -> tuple[str, ...]:
    """Names of the files that make a policy what it is. UserError as `read_config`."""
    if not is_exported(folder):
        return CONFIG, PROCESSOR, WEIGHTS
    others = (path.name for path in folder.iterdir() if path.is_file() and path.name not in (CONFIG, CARD))
    return CONFIG, *sorted(others)


def is_exported(folder: Path) -> bool:
    """Whether a policy's folder was written by `ideomotor export`. UserError as `read_config`."""
    return read_config(folder)["format"] == EXPORTED


def parse_config(kind: Any, values: Any, folder: Path) -> Any:
    """A config dataclass from JSON, its lists as tuples. UserError naming the folder's file."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    try:
        return kind(**{key: frozen(value) for key, value in values.items()})
    except (TypeError, AttributeError) as error:
        raise UserError(f"{folder / CONFIG}: {kind.__name__}: {error}") from None
