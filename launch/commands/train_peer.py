"""`ideomotor train --peer act|diffusion`: LeRobot's policies on our data, by LeRobot's own trainer.

One command beside one of ours makes a comparison: the same demonstrations, its defaults, its processors. It
sees the cameras and the state alone, nothing of the truth that `record` stores beside them. Afterwards rate
and names of the data are written beside each checkpoint, for `--policy lerobot:OUT`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.files import replace_files
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.metadata import Metadata, read_metadata
from ideomotor.launch.serving.lerobot_config import CONFIG, FACTS, TRAIN_CONFIG, names_of
from ideomotor.launch.serving.lerobot_process import lerobot_environment, lerobot_python

PEERS: Final = ("act", "diffusion")
TRAINER = ("-W", "ignore", "-m", "lerobot.scripts.lerobot_train")
DEFAULTS = {
    "batch_size": "8",
    "steps": "100000",
    "save_freq": "1000000000",  # at the end alone
    "log_freq": "100",
    "num_workers": "0",
    "wandb.enable": "false",
    "dataset.video_backend": "pyav",
    "policy.device": "cpu",
    "policy.push_to_hub": "false",
    # From scratch, as ours; its default is ResNet18_Weights.IMAGENET1K_V1.
    "policy.pretrained_backbone_weights": "null",
}
LOGGED = re.compile(r"step:(\S+) .*?loss:(\S+) .*?updt_s:(\S+) data_s:(\S+)")


def train_peer(
    peer: str, data: Sequence[Path], out: Path, changes: Sequence[str], python: Path | None
) -> dict[str, Any]:
    """Trains, with LeRobot's log on standard error, and returns figures.

    Args:
        peer: one of PEERS.
        data: one dataset.
        out: becomes LeRobot's output folder.
        changes: options of `lerobot-train`, KEY=VALUE without dashes, such as policy.chunk_size=32.
        python: of an environment with lerobot; None: IDEOMOTOR_LEROBOT_PYTHON.

    Returns:
        {"out", "peer", "parameters", "steps", "batch_size", "seconds", "samples_per_s", "loss"}; seconds are
        those of the whole trainer, start and imports included, samples a second those of its steps alone.

    Raises:
        UserError: bad options, no lerobot, or its trainer failed; with its last words.
    """
    if peer not in PEERS:
        raise unknown_name("peer", peer, PEERS)
    if len(data) != 1:
        raise UserError(
            f"data: got {len(data)} folders, but LeRobot's trainer takes one; see ideomotor data edit --merge"
        )
    settings = _settings(peer, read_metadata(data[0]), out, changes)
    if out.is_dir():
        out.rmdir()  # an empty one; LeRobot makes its own
    command = [lerobot_python(python), *TRAINER, *(f"--{name}={value}" for name, value in settings.items())]
    began = time.monotonic()
    lines = _followed(command, out)
    seconds = time.monotonic() - began
    checkpoints = [path.parent for path in out.glob(f"checkpoints/*/pretrained_model/{TRAIN_CONFIG}")]
    if not checkpoints:
        raise UserError(f"peer: LeRobot's trainer left no checkpoint in {out}")
    for checkpoint in checkpoints:
        _complete(checkpoint, peer, data[0])
    logged = [found.groups() for line in lines if (found := LOGGED.search(line))]
    # The first steps are slow: they set things up.
    times = [float(update) + float(loading) for _, _, update, loading in logged[1:] or logged]
    batch = int(settings["batch_size"])
    parameters = next(
        (found[1] for line in lines if (found := re.search(r"num_total_params=(\d+)", line))), "0"
    )
    return {
        "out": str(out),
        "peer": peer,
        "parameters": int(parameters),
        "steps": int(settings["steps"]),
        "batch_size": batch,
        "seconds": seconds,
        "samples_per_s": batch * len(times) / sum(times) if times else None,
        "loss": float(logged[-1][1]) if logged else None,
    }


def _settings(peer: str, meta: Metadata, out: Path, changes: Sequence[str]) -> dict[str, str]:
    """What LeRobot's trainer is called with."""
    inputs = {
        name: {"type": "VISUAL", "shape": [3, *feature["shape"][:2]]}
        for name, feature in meta.features.items()
        if feature["dtype"] in ("video", "image")
    }
    inputs[layout.STATE] = {"type": "STATE", "shape": list(meta.features[layout.STATE]["shape"])}
    settings = {
        "dataset.repo_id": f"local/{meta.root.resolve().name}",
        "dataset.root": str(meta.root.resolve()),
        "policy.type": peer,
        "policy.input_features": json.dumps(inputs),
        "output_dir": str(out.resolve()),
        **DEFAULTS,
    }
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not name.strip():
            raise UserError(
                f"set: got {change!r}, expected KEY=VALUE of lerobot-train, such as policy.chunk_size=32"
            )
        settings[name.strip()] = value.strip()
    for name in ("steps", "batch_size"):
        if not settings[name].isdigit() or int(settings[name]) < 1:
            raise UserError(f"set: {name}: got {settings[name]!r}, expected at least 1")
    settings["log_freq"] = str(min(int(settings["log_freq"]), max(1, int(settings["steps"]) // 4)))
    return settings


def _followed(command: Sequence[str], out: Path) -> list[str]:
    """Runs the trainer, passing on what it says; UserError with its last words if it fails."""
    environment = lerobot_environment() | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise UserError(f"lerobot.python: cannot run {command[0]!r}: {error.strerror}") from None
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="", file=sys.stderr, flush=True)
                lines.append(line.strip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        last = next((line for line in reversed(lines) if line), "no message")
        raise UserError(f"peer: LeRobot's trainer failed: {last}")
    return lines


def _complete(checkpoint: Path, peer: str, data: Path) -> None:
    """Adds rate and names of the data; and the policy's type, which some versions of draccus leave out."""
    meta = read_metadata(data)
    facts = {"fps": meta.fps, "names": names_of(meta.features), "dataset": str(data)}
    config = json.loads((checkpoint / CONFIG).read_text())
    replace_files(
        {
            checkpoint / FACTS: (json.dumps(facts, indent=2) + "\n").encode(),
            checkpoint / CONFIG: (json.dumps({"type": peer, **config}, indent=4) + "\n").encode(),
        }
    )
