"""Policies of the real lerobot under our runtime do as under theirs; one trained by `--peer` is evaluated."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.launch.serving.lerobot_options import LeRobotOptions
from ideomotor.launch.serving.lerobot_policy import LeRobotPolicy
from ideomotor.launch.serving.lerobot_source import LeRobotSource

PYTHON = os.environ.get("IDEOMOTOR_LEROBOT_PYTHON", "")
SCRIPT = Path(__file__).parents[1] / "interop" / "make_lerobot_policies.py"
SITE = "lib/python3*/site-packages/transformers"
HAS_TRANSFORMERS = bool(PYTHON) and any(Path(PYTHON).parents[1].glob(SITE))
KINDS = ("act", "diffusion", *(("vqbet", "smolvla") if HAS_TRANSFORMERS else ()))
SO101 = load_embodiment("so101")
TINY = (
    *("steps=4", "batch_size=2", "policy.chunk_size=16", "policy.n_action_steps=16", "policy.dim_model=32"),
    *("policy.n_heads=2", "policy.dim_feedforward=32", "policy.n_encoder_layers=1"),
    "policy.n_vae_encoder_layers=1",
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PYTHON and Path(PYTHON).exists()),
        reason="IDEOMOTOR_LEROBOT_PYTHON does not name a Python with lerobot (see make interop)",
    ),
]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Small random checkpoints as LeRobot writes them, and what LeRobot does with them."""
    folder = tmp_path_factory.mktemp("policies")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    home = {"HF_HOME": str(tmp_path_factory.mktemp("hub")), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [PYTHON, "-W", "ignore", str(SCRIPT), str(folder), json.dumps(SO101.home), *KINDS],
        env=environment | home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("kind", ("act", "diffusion", "vqbet", "smolvla"))
def test_a_chunk_is_what_lerobot_itself_would_do_next(checkpoints, kind):
    if kind not in KINDS:
        pytest.skip("only in a whole environment of lerobot's, which has transformers")
    recorded = np.load(checkpoints / f"{kind}.npz")
    source = chosen_policy(f"lerobot:{checkpoints / kind}", SO101, LeRobotOptions(hz=30.0))
    assert isinstance(source, LeRobotSource)
    policy = source.load()
    assert isinstance(policy, LeRobotPolicy)
    policy.reset(7)
    count = len(recorded["state"])
    assert source.mapping.config.looks_back == count
    frames = []
    for i in range(count):
        pictures = {name: recorded[name][i] for name in ("front", "wrist")}
        frames.append(Observation(i / 30, 4 * i, pictures, recorded["state"][i], "lift it"))
    for frame in frames[:-1]:
        policy.watch(frame)
    chunk = policy.act(frames[-1], LatentPlan(np.zeros((1, 1), np.float32), 0.0), np.empty((0, 6)))
    expected = recorded["actions"]
    assert chunk.actions.shape == (4 * len(expected), 6)
    assert np.ptp(expected, axis=0).max() > 1e-3  # it does something
    assert np.allclose(chunk.actions[::4], expected, atol=1e-4)
    policy.close()


def test_train_peer_eval_and_compare(in_process, tmp_path, checkpoints):
    data, out = tmp_path / "reach", tmp_path / "act"
    assert in_process("record", "reach", "--episodes", 2, "--out", data).returncode == 0
    settings = [part for change in TINY for part in ("--set", change)]
    train = (
        "train",
        "--peer",
        "act",
        "--data",
        data,
        "--out",
        out,
        "--json",
        tmp_path / "act.json",
        *settings,
    )
    shown = in_process(*train)
    assert shown.returncode == 0, shown.stderr[-2000:]
    figures = json.loads((tmp_path / "act.json").read_text())
    assert figures["steps"] == 4 and figures["parameters"] > 1e6 and figures["samples_per_s"] > 0
    (checkpoint,) = out.glob("checkpoints/0*/pretrained_model")
    inputs = json.loads((checkpoint / "config.json").read_text())["input_features"]
    assert set(inputs) == {"observation.images.front", "observation.images.wrist", "observation.state"}

    how = ("eval", "--tasks", "reach", "--episodes", 2, "--seed-start", 1_000_000)
    for name, policy in (("act", ("--policy", f"lerobot:{out}")), ("expert", ("--expert",))):
        done = in_process(*how, *policy, "--out", tmp_path / f"{name}-eval")
        assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "act-eval" / "results.json").read_text())
    assert rows["policy"] == f"lerobot:{out}" and [row["seed"] for row in rows["episodes"]] == [
        1_000_000,
        1_000_001,
    ]
    compared = in_process(
        "eval", "--compare", tmp_path / "act-eval", tmp_path / "expert-eval", "--json", "-"
    ).json
    assert compared["overall"]["episodes"] == 2
    in_process(*how, "--policy", f"lerobot:{out}", "--batch", 2).assert_refused(
        "batch", "one episode at a time"
    )
    in_process(*how, "--policy", f"lerobot:{out}", "--without", "wrist").assert_refused("without")


@pytest.mark.realtime
@pytest.mark.session
def test_an_act_of_lerobots_drives_the_twin(ideomotor, checkpoints, tmp_path):
    """Through pre-flight, hand-over, filter and log, as any policy."""
    how = ("--twin", "--policy", f"lerobot:{checkpoints / 'act'}", "--lerobot.hz", 30, "--countdown", 0)
    done = ideomotor("launch", "so101", *how, "--max-seconds", 3, "--log", tmp_path / "log", "--json", "-")
    result = done.json
    assert result["policy"] == f"lerobot:{checkpoints / 'act'}" and result["stop_reason"] == "finished"
    assert result["faults"] == [] and result["motors_on"] is False and result["ticks"] >= 360
    rows = Dataset(tmp_path / "log").columns(0, ["action"])["action"]
    assert len(rows) > 60 and np.ptp(rows, axis=0).max() > 0.02  # it moved
