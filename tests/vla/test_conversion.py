"""A checkpoint of the format before: refused with the command that writes it anew, with equal weights."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ideomotor.control.errors import UserError
from ideomotor.control.types import Observation
from ideomotor.launch.cli import main
from ideomotor.vla.checkpoint import load_interpreter, save_interpreter
from ideomotor.vla.checkpoint_info import read_facts
from ideomotor.vla.conversion import SETTINGS, convert_checkpoint
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.policy import EpisodePolicy

OLD_NAMES = (  # as they were called, for each new name
    ("decoder.visual_encoders.", "decoder.eyes."),
    ("decoder.projections.so101.past_commands.", "decoder.bodies.so101.history."),
    ("decoder.projections.", "decoder.bodies."),
    ("decoder.no_past_commands", "decoder.no_history"),
    ("decoder.summary_mlp.", "decoder.glance."),
    ("interpreter.proprio.", "interpreter.feel."),
    ("interpreter.align.image_head.", "interpreter.align.look."),
    ("interpreter.align.text_head.", "interpreter.align.read."),
)


def make_old(folder: Path) -> Path:
    """Turns a checkpoint of today's into one of before, in place."""
    config = json.loads((folder / "config.json").read_text())
    config["format"] = "ideomotor-policy-3"
    config.pop("timing", None)
    for section, names in SETTINGS.items():
        for old, new in names.items():
            if section in config:
                config[section][old] = config[section].pop(new)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    for new, old in OLD_NAMES:
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def old(policy: EpisodePolicy, tmp_path: Path) -> Path:
    policy.networks.save_pretrained(tmp_path / "my old", "# card\n")
    return make_old(tmp_path / "my old")


def test_an_old_checkpoint_is_refused_with_the_command_that_converts_it(
    old: Path, policy: EpisodePolicy, observation: Observation, capsys: pytest.CaptureFixture[str]
) -> None:
    for load in (EpisodePolicy.from_pretrained, load_interpreter, read_facts):
        with pytest.raises(UserError, match="ideomotor policy convert") as refused:
            load(old)
    command = re.findall("`([^`]*)`", str(refused.value))[0]
    program, *arguments = shlex.split(command)
    assert program == "ideomotor" and main(arguments) == 0
    new = Path(arguments[-1])
    assert str(new) in capsys.readouterr().out and (new / "README.md").read_text() == "# card\n"
    loaded = EpisodePolicy.from_pretrained(new)
    assert loaded.timing == policy.timing == read_facts(new).timing
    for one in (policy, loaded):
        one.reset(0)
    acted = [
        one.act(observation, one.plan(observation), np.zeros((0, 6))).actions for one in (policy, loaded)
    ]
    assert np.array_equal(*acted)
    assert old.is_dir() and not list(new.parent.glob("*.partial"))


def test_an_old_interpreter_alone_has_no_timing(interpreter: Interpreter, tmp_path: Path) -> None:
    save_interpreter(interpreter, tmp_path / "alone")
    convert_checkpoint(make_old(tmp_path / "alone"), tmp_path / "new")
    assert "timing" not in json.loads((tmp_path / "new" / "config.json").read_text())
    loaded = load_interpreter(tmp_path / "new")
    assert all(map(torch.equal, loaded.parameters(), interpreter.parameters()))


def test_what_cannot_be_converted_is_refused(old: Path, policy: EpisodePolicy, tmp_path: Path) -> None:
    policy.networks.save_pretrained(tmp_path / "today")
    with pytest.raises(UserError, match="format 'ideomotor-policy-4', expected 'ideomotor-policy-3'"):
        convert_checkpoint(tmp_path / "today", tmp_path / "new")
    with pytest.raises(UserError, match="out: .* is there already"):
        convert_checkpoint(old, tmp_path / "today")
    with pytest.raises(UserError, match="trained for robot 'so101'"):
        convert_checkpoint(old, tmp_path / "new", robot="koch")
    with pytest.raises(UserError, match=r"config\.json: cannot be read"):
        convert_checkpoint(tmp_path, tmp_path / "new")
    (old / "model.safetensors").write_bytes(b"\x08")
    with pytest.raises(UserError, match=r"model\.safetensors: damaged"):
        convert_checkpoint(old, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    shutil.rmtree(old)
    with pytest.raises(UserError, match=r"config\.json: cannot be read"):
        convert_checkpoint(old, tmp_path / "new")
