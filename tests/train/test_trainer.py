"""The loop learns, resumes exactly, saves when interrupted, and refuses another model's state."""

import errno
import json
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from ideomotor.control.errors import UserError
from ideomotor.launch import exits
from ideomotor.train import state
from ideomotor.train.device import chosen_precision
from ideomotor.train.learner import Settings, learning_rate
from ideomotor.train.trainer import fit

SETTINGS = Settings(steps=60, learning_rate=0.3, warmup=5, precision="no", log_every=10, weight_decay=0.0)


class Line(nn.Module):
    """Learns y = 3 x + 1 with some noise of its own."""

    def __init__(self, width: int = 1):
        super().__init__()
        self.fit = nn.Linear(width, 1)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = 3 * x.sum(-1, keepdim=True) + 1 + 0.01 * torch.randn(len(x), 1)
        return {"loss": (self.fit(x) - y).square().mean()}


@pytest.mark.parametrize(("has", "chosen"), [(True, "bf16"), (False, "no")])
def test_bf16_is_used_where_the_processor_has_it_unless_something_else_is_asked_for(monkeypatch, has, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert chosen_precision(Settings().precision) == chosen
    assert [chosen_precision(asked) for asked in ("bf16", "no")] == ["bf16", "no"]
    with pytest.raises(UserError, match="precision: got 'fp8', expected auto, bf16 or no"):
        chosen_precision("fp8")


def batch_at(step: int) -> torch.Tensor:
    return torch.randn(32, 1, generator=torch.Generator().manual_seed(step))


def trained(out: Path, steps: int, resume: bool = False, settings: Settings = SETTINGS) -> Line:
    torch.manual_seed(0)
    line = Line()
    stop = None if steps == settings.steps else steps

    def at(step: int) -> torch.Tensor:
        if step == stop:
            raise KeyboardInterrupt
        return batch_at(step)

    try:
        fit("line", line, at, 32, settings, out, resume)
    except KeyboardInterrupt:
        assert stop is not None
    return line


def test_an_interrupted_training_continues_to_the_same_weights(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 60)
    assert trained(tmp_path / "parts", 23) is not None
    parts = trained(tmp_path / "parts", 60, resume=True)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert abs(whole.fit.weight.item() - 3) < 0.3
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "parts" / "line.jsonl").read_text().splitlines()
    ]
    assert steps == [1, 2, 4, 8, 10, 20, 30, 40, 50, 60]


def test_a_ctrl_c_in_the_middle_of_an_update_waits_for_its_end(tmp_path: Path) -> None:
    whole, steps = trained(tmp_path / "whole", 60), 0

    def interrupt(*_) -> None:  # weights are new, their average and the step's number are not yet
        nonlocal steps
        steps += 1
        if steps == 23:
            os.kill(os.getpid(), signal.SIGINT)

    hook = register_optimizer_step_post_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            torch.manual_seed(0)
            fit("line", Line(), batch_at, 32, SETTINGS, tmp_path / "parts")
    finally:
        hook.remove()
    parts = trained(tmp_path / "parts", 60, resume=True)
    assert steps == 23
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, 60)
    with pytest.raises(UserError, match="not a training state of this model"):
        fit("line", Line(2), batch_at, 32, SETTINGS, tmp_path, resume=True)
    (tmp_path / "state" / "line.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match="not a training state of this model"):
        fit("line", Line(), batch_at, 32, SETTINGS, tmp_path, resume=True)


def states(folder: Path) -> dict[str, int]:
    """{name of a file in `state/`: its step}"""
    return {path.name: state.step_of(path) for path in (folder / "state").iterdir()}


def test_the_last_two_states_are_kept(tmp_path: Path) -> None:
    trained(tmp_path, 23, settings=replace(SETTINGS, save_every_s=0))
    assert states(tmp_path) == {"line.safetensors": 23, "line.previous.safetensors": 22}
    (tmp_path / "state" / "line.safetensors").unlink()  # as if killed between the two renames
    whole, parts = trained(tmp_path / "whole", 60), trained(tmp_path, 60, resume=True)
    assert torch.equal(whole.fit.weight, parts.fit.weight)


@pytest.mark.parametrize("save_every_s", [0.0, 300.0])
# At the first its weights stay numbers, and its loss comes to some 100,000 times what it was.
@pytest.mark.parametrize("rate", [1e3, 1e20, float("nan")])
def test_a_training_that_diverges_leaves_its_last_good_state_which_goes_on_at_a_lower_rate(
    tmp_path: Path, rate: float, save_every_s: float
) -> None:
    trained(tmp_path, 23)
    wild = replace(SETTINGS, learning_rate=rate, save_every_s=save_every_s, clip=0.0)
    lower = r"diverged at step \d+; with a lower line.train.learning_rate .* goes on from step 23$"
    with pytest.raises(UserError, match=lower):
        trained(tmp_path, 60, resume=True, settings=wild)
    assert list(states(tmp_path).values()) == [23]
    again = trained(tmp_path, 60, resume=True)
    assert abs(again.fit.weight.item() - 3) < 0.3 and abs(again.fit.bias.item() - 1) < 0.3


def test_a_training_that_diverges_before_anything_was_saved_begins_anew(tmp_path: Path) -> None:
    for saved in (0.0, 300.0):  # also in between
        wild = replace(SETTINGS, learning_rate=float("inf"), save_every_s=saved)
        with pytest.raises(UserError, match=r"--resume begins anew, nothing was saved$"):
            trained(tmp_path, 60, settings=wild)
        assert states(tmp_path) == {}
    again = trained(tmp_path, 60, resume=True)
    assert abs(again.fit.weight.item() - 3) < 0.3


def test_what_is_not_finite_is_never_saved(tmp_path: Path) -> None:
    kept, line = tmp_path / "line.safetensors", Line()
    learned = dict(line.named_parameters())
    means = {key: parameter.detach().clone() for key, parameter in learned.items()}
    optimizer = torch.optim.AdamW(learned.values())
    training = state.Training(learned, means, optimizer)
    line(batch_at(0))["loss"].backward()
    optimizer.step()
    assert state.save_state(kept, training)
    before = kept.read_bytes()
    training.at.step = 1
    moments = optimizer.state[line.fit.weight]
    for spoilt in (line.fit.weight.data, means["fit.bias"], moments["exp_avg"], moments["exp_avg_sq"]):
        value = spoilt.clone()
        spoilt.fill_(float("nan"))
        assert not state.save_state(kept, training)
        spoilt.copy_(value)
        assert kept.read_bytes() == before
    for step, (loss, fine) in enumerate([(2.0, True), (20.0, True), (21.0, False), (3.0, True)], start=2):
        training.at.step = step  # at 21 it loses too much, at 3 it has found back
        training.lost(torch.tensor(loss))
        assert state.save_state(kept, training) == fine


def test_a_state_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, 23)
    kept = tmp_path / "state" / "line.safetensors"
    before = kept.read_bytes()

    def half(tensors: dict, path: Path, metadata: dict) -> None:
        path.write_bytes(before[: len(before) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_file", half)
        with pytest.raises(OSError, match="No space left"):
            trained(tmp_path, 40, resume=True)
    assert kept.read_bytes() == before
    trained(tmp_path, 60, resume=True)


def test_a_full_disk_is_one_line_and_leaves_the_last_state(tmp_path: Path, capsys) -> None:
    """Here a file may not grow, which the library of the state's file reports as it does a full disk."""
    line = Line(5000)
    learned = dict(line.named_parameters())
    means = {key: parameter.detach().clone() for key, parameter in learned.items()}
    training, kept = state.Training(learned, means, torch.optim.AdamW(learned.values())), tmp_path / "kept"
    assert state.save_state(kept, training)
    before, limits = kept.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    training.at.step = 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(SafetensorError) as error:
            state.save_state(kept, training)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert exits.explained(error.value) == 1
    assert capsys.readouterr().err == "error: disk: File too large (while writing)\n"
    assert kept.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_the_clock_can_end_training(tmp_path: Path) -> None:
    trained(tmp_path, 60, settings=replace(SETTINGS, minutes=0.01, steps=60))
    assert (tmp_path / "line.jsonl").stat().st_size > 0


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate(SETTINGS, step, step / 60) for step in range(60)]
    assert rates[0] < rates[4] == max(rates)
    assert rates[5:] == sorted(rates[5:], reverse=True)
