"""From a dataset to a policy that runs and is evaluated, and what is refused on the way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from ideomotor.control.embodiment import EMBODIMENTS
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.launch import cli


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("policy") / "data"
    assert cli.main(["record", "reach", "--episodes", "2", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def trained(dataset):
    """(checkpoint folder, JSON of the training) of the smallest recipe, which learns nothing."""
    out, figures = dataset.with_name("checkpoint"), dataset.with_name("figures.json")
    words = ["train", "--data", dataset, "--out", out, "--config", "smoke", "--json", figures]
    assert cli.main([str(word) for word in words]) == 0
    return out, json.loads(figures.read_text())


@pytest.mark.slow
def test_a_trained_policy_runs_and_is_evaluated(trained, in_process, tmp_path):
    checkpoint, figures = trained
    assert figures["out"] == str(checkpoint) and figures["parameters"] > 0
    run = in_process("run", "reach", "--policy", checkpoint, "--delay", 50, "--json", "-").json
    assert run["policy"] == str(checkpoint)
    assert run["jerk_ratio"] > 0
    arguments = ["eval", "--policy", checkpoint, "--tasks", "reach", "--episodes", 1, "--json", "-"]
    (normal,) = in_process(*arguments).json["episodes"]
    (swapped,) = in_process(*arguments, "--suite", "swap").json["episodes"]
    assert normal["told"] == normal["instruction"]
    assert swapped["told"] != swapped["instruction"]
    (named,) = in_process(*arguments, "--suite", "named", "--randomize", "full").json["episodes"]
    assert named["told"] == named["instruction"]
    assert (named["perturbation"], normal["perturbation"]) == ("full", "light")
    filmed = in_process(*arguments, "--out", tmp_path, "--workers", 2).json
    assert filmed["episodes"] == [normal]
    failures = 0 if normal["success"] else 1
    assert len(list(tmp_path.glob("failures/reach-*.jpg"))) == failures
    assert (tmp_path / "report.html").read_text().count("data:image/jpeg") == failures


@pytest.mark.slow
def test_a_policys_own_states_are_recorded_with_the_experts_labels(trained, in_process, tmp_path):
    out, arguments = tmp_path / "data", ["record", "reach", "--episodes", 2]
    summary = in_process(*arguments, "--out", out, "--policy", trained[0], "--json", "-").json
    assert summary["episodes"] == 2
    assert in_process("data", "validate", out, "--json", "-").json["ok"]
    columns = Dataset(out).columns(0)  # what the policy sent, and what the expert would have
    assert np.abs(columns["action.expert"].reshape(-1, 96, 6)[:, 0] - columns["action"]).max() > 1e-3
    two = in_process(
        *arguments, "--out", tmp_path / "two", "--policy", trained[0], "--batch", 2, "--json", "-"
    ).json
    assert two["episodes"] == 2 and abs(two["frames"] - summary["frames"]) <= 2
    in_process(*arguments, "--out", out, "--resume").assert_refused("policy", str(trained[0]))


@pytest.mark.slow
def test_the_best_of_several_checkpoints_is_kept_and_runs_without_senses(dataset, in_process, tmp_path):
    """A decoder of noise, sampled with DDIM in training's judgements and with DPM-Solver afterwards."""
    given = ["decoder.objective.predict=epsilon", "decoder.steps=2", "decoder.train.tensorboard=true"]
    given += ["decoder.select.tasks=reach", "decoder.select.episodes=1", "decoder.select.every_steps=2"]
    out, options = tmp_path / "out", [word for override in given for word in ("--set", override)]
    arguments = ["train", "--data", dataset, "--out", out, "--config", "smoke", "--json", "-", *options]
    chosen = in_process(*arguments).json["selection"]
    assert [judged["step"] for judged in chosen["judgements"]] == [2, 3]
    assert chosen["episodes"] == 1
    best = Path(chosen["checkpoint"])
    assert list((out / "state").glob("candidate-*")) == [best]
    assert (best / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    assert list((out / "tensorboard" / "decoder").iterdir())
    arguments = ["eval", "--policy", out, "--tasks", "reach", "--episodes", 1, "--json", "-"]
    arguments += ["--sampler", "dpm-solver", "--noise", 0]
    plain = in_process(*arguments).json
    more = in_process(*arguments, "--without", "plan,front+wrist", "--confidence").json
    assert set(more["without"]) == {"plan", "front+wrist"}
    first, *others = more["episodes"]
    assert [episode["without"] for episode in others] == ["plan", "front+wrist"]
    assert len(first.pop("confidences")) > 10
    assert first == plain["episodes"][0]
    seeds = ["--seed-start", 0, "--calibrate"]
    in_process(*arguments, *seeds).assert_refused("calibrate", "at least 20 episodes")
    in_process(*arguments, "--calibrate").assert_refused("calibrate", "--seed-start")


@pytest.mark.slow
def test_a_corrupted_checkpoint_is_refused(trained, in_process, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(trained[0], broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    in_process("run", "reach", "--policy", broken, "--json", "-").assert_refused("model.safetensors")
    (broken / "config.json").write_text("{")
    evaluated = in_process("eval", "--policy", broken, "--tasks", "reach", "--out", tmp_path / "results")
    evaluated.assert_refused("config.json")
    assert not (tmp_path / "results").exists()


def test_the_policy_of_another_robot_is_refused(trained, in_process, tmp_path):
    facts = yaml.safe_load((EMBODIMENTS / "so101.yaml").read_text())
    facts["joints"][0]["lower"] += 0.1
    (tmp_path / "shorter.yaml").write_text(yaml.safe_dump(facts))
    refused = in_process("run", "reach", "--policy", trained[0], "--robot", tmp_path / "shorter.yaml")
    refused.assert_refused("policy", "so101")


def test_the_dataset_of_another_robot_is_refused(dataset, in_process, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    identity = json.loads((other / "meta" / "ideomotor.json").read_text())
    (other / "meta" / "ideomotor.json").write_text(
        json.dumps({**identity, "embodiment": "viperx", "fingerprint": "0123456789abcdef"})
    )
    out = tmp_path / "checkpoint"
    refused = in_process("train", "--data", dataset, other, "--out", out, "--config", "smoke")
    refused.assert_refused(str(other), "viperx", "so101")
    assert not out.exists()


def test_selecting_by_what_must_not_be_selected_by_is_refused(dataset, in_process, tmp_path):
    for override, words in (
        ("decoder.select.tasks=raech", ["decoder.select.tasks", "did you mean 'reach'?"]),
        ("decoder.select.seed_start=999999", ["decoder.select.seed_start", "1000000"]),
    ):
        arguments = ["train", "--data", dataset, "--out", tmp_path / "out", "--config", "smoke"]
        in_process(*arguments, "--set", override).assert_refused(*words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "no/such/data"], ["data", "no/such/data"]),
        (["--data", "--config", "smoke"], ["data"]),
    ],
)
def test_training_on_nothing_is_refused(arguments, words, in_process, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    in_process("train", *arguments, "--out", tmp_path / "out").assert_refused(*words)
    assert not list(tmp_path.iterdir())
