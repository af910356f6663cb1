"""openpi's own client, unmodified, drives the simulated arm with what our server answers it; and a server
that speaks with that client's own msgpack drives it through our client.

It runs in an environment of its own (it wants numpy below 2), which `make interop` makes;
IDEOMOTOR_OPENPI_PYTHON names the Python of that environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.eval.rollout import rollout
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.launch.serving.openpi import parse_key_map
from ideomotor.launch.serving.openpi_policy import OpenpiSource
from ideomotor.launch.serving.remote_options import RemoteOptions
from ideomotor.sim.open_world import task_world

SCRIPT = Path(__file__).parents[2] / "interop" / "ask_with_openpi.py"
PYTHON = os.environ.get("IDEOMOTOR_OPENPI_PYTHON", "")
TOKEN = "0123456789abcdef0123"
NAMES = {"front": "observation/exterior_image_1_left", "wrist": "observation/wrist_image_left"}
STATE = ("observation/joint_position", "observation/gripper_position")
SOLVED = 1_000_001  # a scene of `press` that the bundled policy solves


def why_not() -> str:
    """Why openpi's client cannot be run here; empty where it can."""
    if not PYTHON:
        return "IDEOMOTOR_OPENPI_PYTHON does not name a Python with openpi-client (see make interop)"
    said = Path(PYTHON).parent.parent / "why_not.txt"
    if said.exists():
        return f"no environment with openpi-client: {said.read_text().strip()}"
    return "" if Path(PYTHON).exists() else f"no environment with openpi-client at {PYTHON}"


pytestmark = [pytest.mark.interop, pytest.mark.skipif(bool(why_not()), reason=why_not())]


class OpenpiClient:
    """Implements `control.types.Policy` with openpi's client in a process of its own."""

    def __init__(self, ask: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._ask = ask

    def reset(self, seed: int) -> None:
        """The protocol has none."""

    def plan(self, observation: Observation) -> LatentPlan:
        return LatentPlan(np.empty((0, 0), np.float32), observation.time)

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        assert not len(committed_prefix)
        sent = {NAMES[name]: packed(image) for name, image in observation.images.items()}
        arm, gripper = observation.state[:5].tolist(), observation.state[5:].tolist()
        sent |= {STATE[0]: arm, STATE[1]: gripper, "prompt": observation.instruction}
        reply = self._ask(sent)
        actions = np.array(reply["actions"], np.float32)
        return ActionChunk(actions, 120.0, observation.tick, observation.time, plan.observed_at)


def packed(image: np.ndarray) -> dict[str, Any]:
    return {"shape": image.shape, "data": image.tobytes().hex()}


@pytest.fixture
def ask(serving) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """ask(observation): what openpi's client gives for it, or says of it."""
    pairs = [*(f"{theirs}={ours}" for ours, theirs in NAMES.items()), "+".join(STATE) + "=state"]
    _, port = serving(token=TOKEN, keys=parse_key_map(pairs, tuple(NAMES)))
    command = [PYTHON, "-W", "ignore", str(SCRIPT), "127.0.0.1", str(port), TOKEN]
    ours = ("PYTHONPATH", "PYTHONSAFEPATH")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdin and process.stdout
        metadata = json.loads(process.stdout.readline())
        assert metadata["action_hz"] == 120 and metadata["action_horizon"] == 96
        assert metadata["ideomotor"]["robot"] == "so101"

        to_client, from_client = process.stdin, process.stdout

        def asked(observation: dict[str, Any]) -> dict[str, Any]:
            print(json.dumps({"observation": observation}), file=to_client, flush=True)
            return json.loads(from_client.readline())

        yield asked
        to_client.close()
        assert process.wait() == 0


def test_it_solves_a_task_and_is_told_what_was_wrong(ask) -> None:
    wrong = ask({STATE[0]: [0.0] * 5, "prompt": "press the button"})
    assert "Error in inference server" in wrong["error"] and f"{STATE[1]}: missing" in wrong["error"]
    world = task_world("press", seed=SOLVED)
    try:
        result = rollout(world, OpenpiClient(ask))
    finally:
        world.close()
    assert result.success
    assert len(result.boundaries) >= 3


ARM = "shoulder_pan,shoulder_lift,elbow_flex,wrist_flex,wrist_roll"


def test_a_server_of_openpis_drives_the_arm(monkeypatch) -> None:
    script = SCRIPT.with_name("serve_with_openpi.py")
    ours = ("PYTHONPATH", "PYTHONSAFEPATH")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    pairs = (
        "observation/image=front:224",
        "observation/state=state:deg",
        f"actions[0-4]={ARM}:deg",
        "actions[5]=gripper:deg",
    )
    so101, world = load_embodiment("so101"), task_world("reach", seed=2)
    command = [PYTHON, "-W", "ignore", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            address = f"openpi://127.0.0.1:{int(process.stdout.readline())}"
            policy = chosen_policy(address, so101, remote=RemoteOptions(map=pairs, action_hz=20.0))
            assert isinstance(policy, OpenpiSource) and "reset_pose" in policy.about
            monkeypatch.setattr(type(world), "max_ticks", 96)
            start = world.state().position
            result = rollout(world, policy.load())
            wrong = chosen_policy(address, so101, remote=RemoteOptions(map=pairs[1:], action_hz=20.0))
            assert isinstance(wrong, OpenpiSource)
            with pytest.raises(UserError, match="KeyError: 'observation/image'"):
                rollout(world, wrong.load())
        finally:
            process.kill()
            world.close()
    turned = np.degrees(result.commands[-1, 0] - start[0])
    assert 10 < turned < 17  # 20 degrees a second for 0.8 s
    assert result.commands[-1, 5] == pytest.approx(max(0.0, so101.lower[5]), abs=0.02)
