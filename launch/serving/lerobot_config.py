"""What a checkpoint of LeRobot's was made for, read from its small files; nothing of LeRobot is imported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout

CONFIG, WEIGHTS, TRAIN_CONFIG = "config.json", "model.safetensors", "train_config.json"
FACTS = "ideomotor.json"  # what `ideomotor train --peer` adds: rate and names of the data
EMPTY = "empty_camera"  # in the names of cameras that nobody has: the policy fills them in
DEEPER = Path("checkpoints/last/pretrained_model")  # where LeRobot's trainer leaves the newest


@dataclass(frozen=True)
class LeRobotConfig:
    """One checkpoint, in the words of its data."""

    folder: Path
    kind: str  # act, diffusion, …
    cameras: dict[str, tuple[int, int]]  # {feature: (height, width)}
    state: int | None  # width of observation.state; None: it does not look at it
    action: int  # width
    chunk: int  # actions that it makes at once
    executed: int  # of these, as its authors mean it
    looks_back: int  # observations that a chunk is made from
    hz: float | None  # of its data; None: nothing here says so
    names: dict[
        str, list[str]
    ]  # {observation.state or action: names of its components}, where they are known
    trained_on: str  # in words


def read_lerobot_config(folder: Path) -> LeRobotConfig:
    """Reads a checkpoint's folder, or that of a training, whose newest checkpoint is meant.

    Raises:
        UserError: it is none, or of a kind that makes no chunks.
    """
    if not (folder / CONFIG).is_file() and (folder / DEEPER / CONFIG).is_file():
        folder = folder / DEEPER
    config = _json(folder / CONFIG, required=True)
    if "input_features" not in config or "type" not in config:
        raise UserError(
            f"policy: {folder / CONFIG}: no checkpoint of LeRobot's, it has no input_features and type"
        )
    if not any((folder / name).is_file() for name in (WEIGHTS, "adapter_model.safetensors")):
        raise UserError(f"{folder / WEIGHTS}: no such file, expected the policy's weights")
    try:
        inputs, outputs = config["input_features"], config["output_features"]
        looks_back = int(config.get("n_obs_steps") or 1)
        chunk = _chunk(config, looks_back)
        state = inputs.get(layout.STATE)
        cameras = {
            name: (int(feature["shape"][1]), int(feature["shape"][2]))
            for name, feature in inputs.items()
            if feature["type"] == "VISUAL" and EMPTY not in name
        }
        action = int(outputs[layout.ACTION]["shape"][0])
        executed = min(int(config.get("n_action_steps") or chunk), chunk)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise UserError(f"policy: {folder / CONFIG}: not as LeRobot writes it ({error!r})") from None
    others = [name for name, feature in inputs.items() if feature["type"] == "ENV"]
    if others:
        raise UserError(f"policy: {folder}: it is given {', '.join(others)}, which no robot of ours tells")
    hz, names, trained_on = _data(folder)
    return LeRobotConfig(
        folder, str(config["type"]), cameras, state and int(state["shape"][0]), action, chunk, executed,
        looks_back, hz, names, trained_on,
    )  # fmt: skip


def _chunk(config: dict[str, Any], looks_back: int) -> int:
    if config["type"] == "diffusion":
        return int(config["horizon"]) - looks_back + 1  # the first of them are of the past
    for name in ("chunk_size", "action_chunk_size"):
        if name in config:
            return int(config[name])
    raise UserError(
        f"policy: LeRobot's {config['type']} makes no chunks, expected one that does, such as act"
    )


def _data(folder: Path) -> tuple[float | None, dict[str, list[str]], str]:
    """Rate and names of the data, from what was written beside the checkpoint, or the data itself."""
    facts = _json(folder / FACTS)
    if facts:
        return float(facts["fps"]), dict(facts["names"]), str(facts["dataset"])
    dataset = _json(folder / TRAIN_CONFIG).get("dataset") or {}
    named = str(dataset.get("root") or dataset.get("repo_id") or "")
    info = _json(Path(named) / layout.INFO) if dataset.get("root") else {}
    if not info:
        return None, {}, named
    return float(info["fps"]), names_of(info["features"]), named


def names_of(features: dict[str, Any]) -> dict[str, list[str]]:
    """{observation.state or action: names of its components}, of those that have names."""
    found = {
        name: layout.component_names(features[name])
        for name in (layout.STATE, layout.ACTION)
        if name in features
    }
    return {name: names for name, names in found.items() if names}


def _json(path: Path, required: bool = False) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if required and not isinstance(found, dict):
        raise UserError(f"policy: no {path.name} in {str(path.parent)!r}, expected a checkpoint of LeRobot's")
    return found if isinstance(found, dict) else {}
