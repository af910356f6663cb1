"""Checkpoint folders: what is in them, and loading them with errors that name the damaged file.

config.json (shapes, timing), model.safetensors (both networks), interpreter/ (the model's config and
the tokenizer, as transformers writes them), processor.json (normalisation), README.md (model card). A
folder with an interpreter alone has no decoder in its config and no processor. Where the config says that a
pretrained base is not stored, model.safetensors has what was trained beside it, and the base is loaded
from where the config says.

transformers is imported only where an interpreter is made: the decoder's process does without it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.control.timing import Timing
from ideomotor.vla.checkpoint_info import (
    CARD,
    CONFIG,
    EXPORTED,
    FORMAT,
    PROCESSOR,
    WEIGHTS,
    parse_config,
    read_config,
)
from ideomotor.vla.decoder.confidence import ConfidenceConfig
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.pretrained import Pretrained, load_tokenizer, reload_base, with_adapters
from ideomotor.vla.needed import Needed
from ideomotor.vla.processor import Processor, load_processor
from ideomotor.vla.trimming import trim

LANGUAGE = "interpreter"  # folder
BOTH = ("interpreter", "decoder")
Parts = tuple[
    Interpreter | InterpreterConfig,
    Decoder | DecoderConfig,
    Processor,
    Timing,
    SamplingConfig,
    ConfidenceConfig,
]


def save_parts(
    folder: Path,
    interpreter: Interpreter,
    decoder: Decoder,
    processor: Processor,
    timing: Timing,
    sampling: SamplingConfig,
    confidence: ConfidenceConfig,
    card: str = "",
) -> None:
    """Writes a policy's checkpoint; an interrupted call leaves no half of one.

    The interpreter's alignment is left out: a policy has no use for it.
    """
    config = {
        "format": FORMAT,
        "interpreter": asdict(replace(interpreter.config, align_dim=0)),
        "decoder": asdict(decoder.config),
        "timing": asdict(timing),
        "sampling": asdict(sampling),
        "confidence": asdict(confidence),
    }
    partial = _begin(folder)
    processor.save(partial / PROCESSOR)
    _write(partial, config, interpreter, decoder, card)
    _finish(partial, folder)


def save_interpreter(interpreter: Interpreter, folder: Path, card: str = "") -> None:
    """Writes a checkpoint of an interpreter alone."""
    partial = _begin(folder)
    _write(partial, {"format": FORMAT, "interpreter": asdict(interpreter.config)}, interpreter, None, card)
    _finish(partial, folder)


def load_parts(folder: Path, parts: Sequence[str] = BOTH, needed: Needed | None = None) -> Parts:
    """What a policy is made of.

    Args:
        folder: of the checkpoint.
        parts: which of its networks are loaded; of another there is only its config, and neither its weights
            nor a base that it names are read.
        needed: what of them; None: everything, so that they can be saved again.

    Raises:
        UserError: naming the file that is missing or damaged, or a camera that neither network has.
    """
    config = _checkpoint(folder)
    if "decoder" not in config:
        raise UserError(f"{folder / CONFIG}: decoder: missing; this is an interpreter alone, not a policy")
    interpreter: Interpreter | InterpreterConfig = _interpreter_config(folder, config)
    shape: DecoderConfig = parse_config(DecoderConfig, config["decoder"], folder)
    decoder: Decoder | DecoderConfig = shape
    models: dict[str, nn.Module] = {}
    if "interpreter" in parts:
        models["interpreter"] = interpreter = _build_interpreter(folder, interpreter)
    if "decoder" in parts:
        models["decoder"] = decoder = Decoder(shape)
    processor = load_processor(folder / PROCESSOR)
    left_out = set()
    if needed is not None:
        needed.check(dict.fromkeys((*shape.cameras, *_interpreter_config(folder, config).cameras)))
        for name, model in models.items():
            every = _tensors(model).keys()
            trim(model, needed, processor.embodiment)
            left_out |= {f"{name}.{key}" for key in every - _tensors(model).keys()}
    _fill(models, folder / WEIGHTS, left_out)
    timing = parse_config(Timing, config.get("timing", {}), folder)
    sampling = parse_config(SamplingConfig, config.get("sampling", {}), folder)
    confidence = parse_config(ConfidenceConfig, config.get("confidence", {}), folder)
    joints = len(processor.joints)
    if len(processor.action_mean) != shape.horizon or (processor.embodiment, joints) not in shape.embodiments:
        raise UserError(f"{folder / PROCESSOR}: statistics do not fit the decoder of {CONFIG}")
    _check_timing(timing, shape, processor, folder)
    return interpreter, decoder, processor, timing, sampling, confidence


def _check_timing(timing: Timing, shape: DecoderConfig, processor: Processor, folder: Path) -> None:
    for name, found, expected in (
        ("control_hz", timing.control_hz, processor.control_hz),
        ("past_command_ticks", timing.past_command_ticks, shape.past_command_ticks),
        ("max_prefix_ticks", timing.max_prefix_ticks, min(timing.max_prefix_ticks, shape.horizon - 1)),
    ):
        if found != expected:
            raise UserError(f"{folder / CONFIG}: timing.{name}: got {found}, expected {expected}")


def save_confidence(folder: Path, confidence: ConfidenceConfig) -> None:
    """Changes how confidence is found in a policy's checkpoint, and nothing else of it."""
    config = _checkpoint(folder) | {"confidence": asdict(confidence)}
    temporary = folder / f"{CONFIG}.partial"
    with temporary.open("wb") as file:
        file.write((json.dumps(config, indent=2) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / CONFIG)


def load_interpreter(folder: Path) -> Interpreter:
    """The interpreter of a checkpoint folder, of a whole policy or of an interpreter alone."""
    config = _checkpoint(folder)
    interpreter = _build_interpreter(folder, _interpreter_config(folder, config))
    _fill({"interpreter": interpreter}, folder / WEIGHTS)
    return interpreter.eval()


def _checkpoint(folder: Path) -> dict[str, Any]:
    """The config of a checkpoint. UserError for an exported policy, which has no weights in torch."""
    config = read_config(folder)
    if config["format"] == EXPORTED:
        raise UserError(
            f"{folder / CONFIG}: an exported policy, expected the checkpoint that it was made from"
        )
    return config


def _interpreter_config(folder: Path, config: dict[str, Any]) -> InterpreterConfig:
    values = config["interpreter"]
    if isinstance(values, dict) and values.get("pretrained") is not None:
        values = {**values, "pretrained": parse_config(Pretrained, values["pretrained"], folder)}
    return parse_config(InterpreterConfig, values, folder)


def _build_interpreter(folder: Path, config: InterpreterConfig) -> Interpreter:
    """An interpreter with the right shapes, and random weights but for a base that is not stored."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

    where, base = folder / LANGUAGE, config.pretrained
    vlm = reload_base(base) if base and not base.stored else None
    try:
        if base is None:
            tokenizer = AutoTokenizer.from_pretrained(where, local_files_only=True)
        else:
            tokenizer = load_tokenizer(where)
        if vlm is None:
            shape = AutoConfig.from_pretrained(where, local_files_only=True)
            attention = "sdpa" if base else "eager"
            vlm = AutoModelForImageTextToText.from_config(
                shape, attn_implementation=attention, dtype=shape.dtype or torch.float32
            )
    except Exception as error:  # transformers raises many kinds for damaged files
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{where}: no tokenizer and model config in it: {reason[0] if reason else error!r}"
        ) from None
    return Interpreter(with_adapters(vlm, base) if base else vlm, tokenizer, config)


def _fill(models: dict[str, nn.Module], path: Path, left_out: Set[str] = frozenset()) -> None:
    """Copies the stored weights into the models, which must want exactly what is stored for them, but for
    what is left out. Tensors of no model here are not read."""
    try:
        with safe_open(path, framework="pt") as stored:
            for name, model in models.items():
                _fill_one(name, model, stored, path, left_out)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: damaged or missing: {error}") from None


def _fill_one(name: str, model: nn.Module, stored: Any, path: Path, left_out: Set[str]) -> None:
    wanted, start = _tensors(model), f"{name}."
    keys = set(stored.keys()) - left_out
    found = {key.removeprefix(start) for key in keys if key.startswith(start)}
    if odd := sorted(wanted.keys() ^ found):
        what = "missing" if odd[0] in wanted else "unexpected"
        raise UserError(f"{path}: {what} tensor {start}{odd[0]} ({len(odd)} in all)")
    with torch.no_grad():
        for key, parameter in wanted.items():
            value = stored.get_tensor(start + key)
            if parameter.shape != value.shape:
                shapes = f"{tuple(value.shape)}, expected {tuple(parameter.shape)}"
                raise UserError(f"{path}: {start}{key}: shape {shapes}")
            parameter.copy_(value)


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """What of a model a checkpoint holds; of a base that is stored also the buffers it was published with."""
    tensors: dict[str, torch.Tensor] = dict(model.named_parameters())
    if isinstance(model, Interpreter) and model.config.pretrained:
        published = model.state_dict().keys()
        tensors |= {key: buffer for key, buffer in model.named_buffers() if key in published}
        tensors = {key: tensor for key, tensor in tensors.items() if model.own(key)}
    return tensors


def _begin(folder: Path) -> Path:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _write(
    partial: Path, config: dict[str, Any], interpreter: Interpreter, decoder: Decoder | None, card: str
) -> None:
    (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    interpreter.vlm.config.save_pretrained(partial / LANGUAGE)
    interpreter.tokenizer.save_pretrained(partial / LANGUAGE)
    models: dict[str, nn.Module] = {"interpreter": interpreter}
    if decoder is not None:
        models["decoder"] = decoder
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, model in models.items()
        for key, tensor in _tensors(model).items()
        if decoder is None or not key.startswith("align.")
    }
    save_file(tensors, partial / WEIGHTS, metadata={"format": "pt"})
    if card:
        (partial / CARD).write_text(card, encoding="utf-8")


def _finish(partial: Path, folder: Path) -> None:
    """Moves a finished checkpoint into its folder, leaving other files there alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in partial.iterdir():
        target = folder / item.name
        if target.is_dir():
            shutil.rmtree(target)
        item.replace(target)
    partial.rmdir()
