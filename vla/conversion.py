"""Writes a checkpoint of the format before this one anew; the values of its weights stay as they are.

What changed from `ideomotor-policy-3`: the checkpoint says its timing, and parts and settings are called as
the field calls them. Only the header of model.safetensors is written anew, its tensors are copied byte by
byte: so loading has to know one set of names, and git finds the old file in the new one.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import usual_timing
from ideomotor.vla.checkpoint_info import CONFIG, EARLIER, FORMAT, PROCESSOR, WEIGHTS
from ideomotor.vla.processor import load_processor

SETTINGS = {  # section of config.json: {old name: new name}
    "interpreter": {"state": "proprio"},
    "decoder": {"history": "past_command_ticks"},
    "sampling": {"history": "past_commands"},
}
TENSORS = (  # old names, new names
    (r"decoder\.eyes\.", "decoder.visual_encoders."),
    (r"decoder\.bodies\.([^.]+)\.history\.", r"decoder.projections.\1.past_commands."),
    (r"decoder\.bodies\.", "decoder.projections."),
    (r"decoder\.no_history$", "decoder.no_past_commands"),
    (r"decoder\.glance\.", "decoder.summary_mlp."),
    (r"interpreter\.feel\.", "interpreter.proprio."),
    (r"interpreter\.align\.look\.", "interpreter.align.image_head."),
    (r"interpreter\.align\.read\.", "interpreter.align.text_head."),
)
COPIED = (PROCESSOR, "README.md", "recipe.json", "interpreter")  # what else belongs to a checkpoint


def convert_checkpoint(old: Path, new: Path, robot: str = "") -> None:
    """Writes the checkpoint in folder `old` to the folder `new`.

    Args:
        old: stays as it is.
        new: must not exist.
        robot: name or embodiment file of the robot it drives; by default the name that the checkpoint gives.

    Raises:
        UserError: `old` is no checkpoint of the earlier format, `new` is there already, or the robot is
            unknown or another one.
    """
    config = _read(old / CONFIG)
    if config.get("format") != EARLIER or "interpreter" not in config:
        raise UserError(f"{old / CONFIG}: format {config.get('format')!r}, expected {EARLIER!r}")
    if new.exists():
        raise UserError(f"out: {new} is there already, expected a new folder")
    config: dict[str, Any] = {name: _renamed(name, value) for name, value in config.items()} | {
        "format": FORMAT
    }
    if "decoder" in config:
        timing = usual_timing(_embodiment(old, robot))
        most = min(timing.max_prefix_ticks, int(config["decoder"]["horizon"]) - 1)
        past = int(config["decoder"].get("past_command_ticks", timing.past_command_ticks))
        config["timing"] = asdict(replace(timing, max_prefix_ticks=most, past_command_ticks=past))
    partial = new.with_name(f"{new.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in COPIED:
        if (old / name).is_dir():
            shutil.copytree(old / name, partial / name)
        elif (old / name).is_file():
            shutil.copyfile(old / name, partial / name)
    _rename_tensors(old / WEIGHTS, partial / WEIGHTS)
    (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    partial.rename(new)


def _embodiment(folder: Path, robot: str) -> Embodiment:
    processor = load_processor(folder / PROCESSOR)
    embodiment = load_embodiment(robot or processor.embodiment)
    processor.check(embodiment)
    return embodiment


def _renamed(section: str, values: Any) -> Any:
    names = SETTINGS.get(section, {})
    return {names.get(key, key): value for key, value in values.items()} if names else values


def _rename_tensors(old: Path, new: Path) -> None:
    """Copies a safetensors file under the new names; its first eight bytes are the length of its header."""
    try:
        with old.open("rb") as source, new.open("wb") as target:
            (length,) = struct.unpack("<Q", source.read(8))
            header = json.loads(source.read(length))
            text = json.dumps({_new_name(name): what for name, what in header.items()}, separators=(",", ":"))
            data = text.encode()
            data += b" " * (-len(data) % 8)  # tensors are aligned
            target.write(struct.pack("<Q", len(data)) + data)
            shutil.copyfileobj(source, target)
    except (OSError, ValueError, struct.error) as error:
        raise UserError(f"{old}: damaged or missing: {error}") from None


def _new_name(name: str) -> str:
    for before, after in TENSORS:
        name = re.sub(f"^{before}", after, name)
    return name


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: not a policy's config, expected format {EARLIER!r}")
    return config
