"""Checkpoints in float16."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ideomotor.control.errors import UserError
from ideomotor.launch.cli import main
from ideomotor.vla.halving import halve_checkpoint
from ideomotor.vla.networks import PolicyNetworks

BUNDLED = Path(__file__).parents[2] / "vla" / "checkpoints" / "so101"


def test_a_halved_policy_has_half_the_bytes_and_the_rounded_weights(tmp_path, capsys) -> None:
    half = tmp_path / "half"
    assert main(["policy", "halve", str(BUNDLED), str(half)]) == 0
    before, after = ((folder / "model.safetensors").stat().st_size for folder in (BUNDLED, half))
    assert after < 0.51 * before
    assert f"{after / 1e6:.1f} MB" in capsys.readouterr().out
    assert "float16" in (half / "README.md").read_text()
    one, two = PolicyNetworks.from_pretrained(BUNDLED), PolicyNetworks.from_pretrained(half)
    for part in ("interpreter", "decoder"):
        whole, rounded = (getattr(policy, part).state_dict() for policy in (one, two))
        for name, weight in whole.items():
            assert rounded[name].dtype == weight.dtype
            torch.testing.assert_close(rounded[name], weight, rtol=2**-11, atol=2**-25, msg=name)


def small(folder: Path, weight: torch.Tensor) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"format": "ideomotor-policy-4", "interpreter": {}}))
    save_file({"interpreter.weight": weight}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (torch.tensor([1.0, 1e5]), "interpreter.weight: got 100000, expected at most 65504"),
        (torch.tensor([1.0]).half(), "no weights in float32"),
    ],
)
def test_what_cannot_be_halved_leaves_nothing(tmp_path, weight, words) -> None:
    old = small(tmp_path / "old", weight)
    with pytest.raises(UserError, match=words):
        halve_checkpoint(old, tmp_path / "new")
    assert list(tmp_path.iterdir()) == [old]


def test_nothing_is_overwritten_and_other_tensors_stay(tmp_path) -> None:
    old = small(tmp_path / "old", torch.tensor([1.5]))
    with pytest.raises(UserError, match="is there already"):
        halve_checkpoint(old, old)
    save_file({"a": torch.tensor([3]), "b": torch.tensor([0.1])}, old / "model.safetensors")
    halve_checkpoint(old, tmp_path / "new")
    stored = load_file(tmp_path / "new" / "model.safetensors")
    assert stored["a"].dtype == torch.int64 and stored["b"].dtype == torch.float16
