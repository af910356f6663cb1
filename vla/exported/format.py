"""The folder of an exported policy: its graphs, and in JSON everything else that running it needs.

config.json (shapes, timing, sampling, which parts there are), processor.json (normalisation), tokenizer.json,
words.npz (the embedding table), and a graph each for vision, language, heads, proprio, context and step, as
`graphs.py` has them: NAME.onnx, or NAME.xml with NAME.bin for OpenVINO. Imports no torch.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.timing import Timing
from ideomotor.vla.checkpoint_info import CONFIG, EXPORTED, parse_config, read_config
from ideomotor.vla.decoder.confidence import ConfidenceConfig
from ideomotor.vla.decoder.config import DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig

SUFFIXES = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}  # runtime: of a graph's files, the first opened
TOKENIZER, WORDS = "tokenizer.json", "words.npz"
VISION, LANGUAGE, HEADS, PROPRIO = "vision", "language", "heads", "proprio"
CONTEXT, STEP = "context", "step"
PRECISIONS = ("float32", "int8")


@dataclass(frozen=True)
class InterpreterShape:
    """What the interpreter's graphs were made for."""

    cameras: tuple[str, ...]  # pictures in the prompt, in order; points are in the first
    image_size: int  # [pixels]
    image_tokens: int  # in the prompt, all pictures together
    names: tuple[str, ...]  # what is pointed at
    layers: int  # that keep keys and values
    heads: int
    head: int  # width of one
    theta: float  # base of the rotary positions
    map_width: int  # channels of the pointing map
    proprio: int  # numbers of the joint state that the plan queries are given


@dataclass(frozen=True)
class ExportedConfig:
    """config.json of an exported policy."""

    runtime: str  # a key of SUFFIXES
    precision: str  # one of PRECISIONS
    embodiment: str
    cameras: tuple[str, ...]  # that it can be shown: of others nothing was exported
    text: bool  # whether it can write the readable plan
    source: str  # fingerprint of the checkpoint's weights
    interpreter: InterpreterShape
    decoder: DecoderConfig
    timing: Timing
    sampling: SamplingConfig
    confidence: ConfidenceConfig
    graphs: tuple[str, ...]  # that there are
    operations: dict[str, float] = field(default_factory=dict)  # {graph: of a run; language: of a token}

    def __post_init__(self) -> None:
        if self.runtime not in SUFFIXES:
            raise unknown_name("runtime", self.runtime, SUFFIXES)
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)

    @property
    def seen_by_interpreter(self) -> tuple[str, ...]:
        """Cameras of the vision graph."""
        return tuple(name for name in self.interpreter.cameras if name in self.cameras)

    @property
    def seen_by_decoder(self) -> tuple[str, ...]:
        """Cameras of the context graph."""
        return tuple(name for name in self.decoder.cameras if name in self.cameras)

    def graph(self, folder: Path, name: str) -> Path:
        """The file of a graph that is opened. UserError if it is not there."""
        path = folder / f"{name}{SUFFIXES[self.runtime][0]}"
        if name not in self.graphs or not path.is_file():
            raise UserError(f"{path}: no such file, expected a graph written by `ideomotor export`")
        return path

    def files(self) -> list[str]:
        """Names of all files, but for config.json and the model card."""
        graphs = [f"{name}{suffix}" for name in self.graphs for suffix in SUFFIXES[self.runtime]]
        return [*graphs, "processor.json", TOKENIZER, WORDS]

    def to_json(self) -> dict[str, Any]:
        """What `read_exported` reads."""
        return {"format": EXPORTED} | asdict(self)


def read_exported(folder: Path) -> ExportedConfig:
    """The config of an exported policy. UserError naming what is wrong with the folder or the file."""
    values = dict(read_config(folder))
    if values.pop("format") != EXPORTED:
        raise UserError(f"{folder / CONFIG}: a checkpoint, expected a policy written by `ideomotor export`")
    kinds: dict[str, Any] = {
        "interpreter": InterpreterShape,
        "decoder": DecoderConfig,
        "timing": Timing,
        "sampling": SamplingConfig,
        "confidence": ConfidenceConfig,
    }
    required = [each.name for each in fields(ExportedConfig) if each.default_factory is MISSING]
    lacking = [name for name in required if name not in values]
    if lacking:
        raise UserError(f"{folder / CONFIG}: {lacking[0]}: missing")
    parsed = {name: parse_config(kind, values[name], folder) for name, kind in kinds.items()}
    return parse_config(ExportedConfig, values | parsed, folder)
