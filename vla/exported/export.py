"""From a checkpoint to a folder that needs no torch: graphs are traced and written, the rest becomes JSON.

Needs torch, and of the extra `export` onnx (and openvino for its format).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.vla.checkpoint_info import CARD, CONFIG, PROCESSOR
from ideomotor.vla.exported.format import (
    CONTEXT,
    HEADS,
    LANGUAGE,
    PROPRIO,
    STEP,
    SUFFIXES,
    TOKENIZER,
    VISION,
    WORDS,
    ExportedConfig,
    InterpreterShape,
)
from ideomotor.vla.exported.graphs import (
    ContextGraph,
    HeadsGraph,
    LanguageGraph,
    ProprioGraph,
    StepGraph,
    VisionGraph,
    check_family,
)
from ideomotor.vla.exported.interpreter import rotary
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.vocabulary import PLAN_QUERIES
from ideomotor.vla.networks import PolicyNetworks

OPSET = 20  # the first with Gelu
PROMPT, BEFORE = 32, 64  # tokens that the language graph is traced with; it takes any number


@dataclass(frozen=True)
class Traced:
    """A module with what it is traced with."""

    module: nn.Module
    inputs: dict[str, torch.Tensor]  # in the order of its arguments
    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, Any]] | None = (
        None  # {input: {axis: its size's name}}; of all inputs; None: none is
    )


def export_policy(
    networks: PolicyNetworks,
    tokenizer: Path,
    source: str,
    folder: Path,
    cameras: Sequence[str] | None = None,
    text: bool = True,
    card: str = "",
) -> ExportedConfig:
    """Writes an exported policy for onnxruntime, in float32. The folder must not be there.

    Args:
        networks: of the checkpoint.
        tokenizer: its tokenizer.json.
        source: fingerprint of the checkpoint.
        folder: is written whole or not at all.
        cameras: that it shall be shown; None: all of its own.
        text: whether it shall be able to write the readable plan.
        card: becomes README.md.

    Raises:
        UserError: a camera that it does not see, an interpreter of another kind than nano's, or an extra that
            is not installed.
    """
    check_extra()
    interpreter = networks.interpreter
    check_family(interpreter)
    shown = networks.cameras if cameras is None else tuple(cameras)
    for name in shown:
        if name not in networks.cameras:
            raise unknown_name("camera", name, networks.cameras)
    parts = traced(networks, shown, text)
    config = ExportedConfig(
        runtime="onnx",
        precision="float32",
        embodiment=networks.processor.embodiment,
        cameras=shown,
        text=text,
        source=source,
        interpreter=shape_of(interpreter),
        decoder=networks.decoder_config,
        timing=networks.timing,
        sampling=networks.sampling,
        confidence=networks.confidence,
        graphs=tuple(parts),
        operations={name: _operations(name, part) for name, part in parts.items()},
    )
    with begun(folder) as partial:
        for name, part in parts.items():
            _write_onnx(part, partial / f"{name}{SUFFIXES['onnx'][0]}")
        networks.processor.save(partial / PROCESSOR)
        shutil.copyfile(tokenizer, partial / TOKENIZER)
        table = interpreter.vlm.get_input_embeddings().weight.detach().numpy()
        np.savez(partial / WORDS, table=table)
        write_config(partial, config)
        (partial / CARD).write_text(card, encoding="utf-8")
    return config


def traced(networks: PolicyNetworks, cameras: tuple[str, ...], text: bool) -> dict[str, Traced]:
    """The graphs of a policy that is shown these cameras."""
    with torch.no_grad():
        return _interpreter(networks.interpreter, cameras, text) | _decoder(networks, cameras)


def shape_of(interpreter: Interpreter) -> InterpreterShape:
    """What the exported policy must know of its interpreter. UserError for positions of another kind."""
    text, config = interpreter.vlm.config.text_config, interpreter.config
    head, rope = text.hidden_size // text.num_attention_heads, dict(text.rope_parameters)
    embeddings = interpreter.vlm.get_input_embeddings().weight
    tied = interpreter.vlm.get_output_embeddings().weight is embeddings
    if rope.get("rope_type") != "default" or not tied or text.head_dim != head:
        raise UserError("export: expected nano's language model: plain rotary positions, one table of words")
    return InterpreterShape(
        cameras=config.cameras,
        image_size=config.image_size,
        image_tokens=interpreter.image_tokens,
        names=config.names,
        layers=interpreter.depth,
        heads=text.num_attention_heads,
        head=head,
        theta=float(rope["rope_theta"]),
        map_width=config.map_width,
        proprio=config.proprio,
    )


def check_extra(runtime: str = "onnx", int8: bool = False) -> None:
    """UserError unless what an export needs is installed."""
    needed = ["onnx"] + ["onnxruntime"] * int8 + ["openvino"] * (runtime == "openvino")
    for name in needed:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"export: needs {name}, of the extra 'export': pip install 'ideomotor[export]'")


def write_config(folder: Path, config: ExportedConfig) -> None:
    """Into a folder that nobody reads yet."""
    (folder / CONFIG).write_text(json.dumps(config.to_json(), indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def begun(folder: Path) -> Generator[Path, None, None]:
    """A folder beside that becomes `folder` once all that is written in the with-block is on the disk."""
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"out: {folder} is there already and not empty, expected a new folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for path in [*partial.iterdir(), partial]:
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _interpreter(interpreter: Interpreter, cameras: tuple[str, ...], text: bool) -> dict[str, Traced]:
    config, shape = interpreter.config, shape_of(interpreter)
    seen = [name for name in config.cameras if name in cameras]
    width, size = interpreter.hidden_dim, config.image_size
    cos, sin = map(torch.from_numpy, rotary(PROMPT, shape.head, shape.theta))
    parts: dict[str, Traced] = {}
    if seen:
        pixels = {"pixels": torch.rand(1, len(seen), 3, size, size) * 2 - 1}
        vision = VisionGraph(interpreter, with_map=config.cameras[0] in seen)
        parts[VISION] = Traced(vision, pixels, ("tokens", "map") if vision.with_map else ("tokens",))
    before = BEFORE if text else 0
    read = {
        "embeddings": torch.randn(1, PROMPT, width),
        "cos": cos,
        "sin": sin,
        "bias": torch.zeros(PROMPT, PROMPT + before),
    }
    if text:
        read["past"] = torch.randn(shape.layers, 2, shape.heads, before, shape.head)
    outputs = ("plan", "last", "kept") if text else ("plan",)
    sizes = {"embeddings": {1: "length"}, "cos": {0: "length"}, "sin": {0: "length"}, "past": {3: "past"}}
    sizes |= {
        "bias": {0: "length", 1: "all"},
        "plan": {1: "length"},
        "last": {1: "length"},
        "kept": {3: "length"},
    }
    named = {name: axes for name, axes in sizes.items() if name in (*read, *outputs)}
    parts[LANGUAGE] = Traced(LanguageGraph(interpreter, text), read, outputs, named)
    asked = {
        "hidden": torch.randn(1, PLAN_QUERIES, width),
        "map": torch.randn(1, (size // 4) ** 2, 2 * config.map_width),
        "has_first": torch.ones(1, 1),
        "spelled": torch.randn(len(interpreter.word_ids), width),
    }
    outputs = ("tokens", "points", "presence", "words", "progress")
    parts[HEADS] = Traced(HeadsGraph(interpreter), asked, outputs)
    if config.proprio:
        state = {"state": torch.randn(1, config.proprio)}
        parts[PROPRIO] = Traced(ProprioGraph(interpreter), state, ("added",))
    return parts


def _decoder(networks: PolicyNetworks, cameras: tuple[str, ...]) -> dict[str, Traced]:
    decoder, shape, embodiment = networks.decoder, networks.decoder_config, networks.processor.embodiment
    seen = tuple(name for name in shape.cameras if name in cameras)
    joints, state = len(networks.processor.joints), networks.processor.state_numbers
    size = shape.image_size
    inputs = {
        "plan": torch.randn(1, shape.plan_tokens, shape.plan_dim),
        "has_plan": torch.ones(1),
        "state": torch.randn(1, state),
        "has_state": torch.ones(1),
        "past_commands": torch.randn(1, shape.past_command_ticks, joints),
        "has_past_commands": torch.ones(1),
    }
    if seen:
        inputs["pixels"] = torch.rand(1, len(seen), 3, size, size) * 2 - 1
        inputs["has_camera"] = torch.ones(1, len(seen))
    module = ContextGraph(decoder, embodiment, seen)
    summary, *pairs = module(*inputs.values())
    shared = {"summary": summary} | {f"kv{index}": each for index, each in enumerate(pairs)}
    noisy = {
        "actions": torch.randn(1, shape.horizon, joints),
        "is_committed": torch.zeros(1, shape.horizon),
        "time": torch.tensor([0.4]),
    }
    return {
        CONTEXT: Traced(module, inputs, tuple(shared)),
        STEP: Traced(StepGraph(decoder, embodiment), noisy | shared, ("chunk",)),
    }


def _operations(name: str, part: Traced) -> float:
    """Floating-point operations of a graph's products and convolutions; of language, of one token."""
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        part.module.eval()(*part.inputs.values())
    return counted.get_total_flops() / (PROMPT if name == LANGUAGE else 1)


def _write_onnx(part: Traced, path: Path) -> None:
    """Traces a module: by TorchScript, which takes a hundredth of the time of torch's newer exporter."""
    with warnings.catch_warnings():  # of its age, and of shapes that are constants here
        warnings.simplefilter("ignore")
        torch.onnx.export(
            part.module.eval(),
            tuple(part.inputs.values()),
            str(path),
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_axes=part.dynamic,
            opset_version=OPSET,
            dynamo=False,
        )
