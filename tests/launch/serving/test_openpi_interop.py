"""openpi's own client, unmodified, drives the simulated arm with what our server answers it; and a server
that speaks with that client's own msgpack drives it through our client.

It runs in an environment of its own (it wants numpy below 2), which `make interop` makes;
IDEOMOTOR_OPENPI_PYTHON names the Python of that environment.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.eval.rollout import rollout
from ideomotor.launch.bench.serving import server_process
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.launch.serving.openpi import parse_key_map
from ideomotor.launch.serving.openpi_policy import OpenpiSource
from ideomotor.launch.serving.remote_options import RemoteOptions
from ideomotor.sim.open_world import task_world
from tests.interop.peers import python_of, why_not

INTEROP = Path(__file__).parents[2] / "interop"
PYTHON = python_of("OPENPI")
WHY_NOT = why_not("OPENPI", "openpi-client")
TOKEN = "0123456789abcdef0123"
SOLVED = 1_000_001  # a scene of `press` that the bundled policy solves

pytestmark = [pytest.mark.interop, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`tests/interop/launch_with_openpi_client.py`."""
    monkeypatch.syspath_prepend(INTEROP)
    return importlib.import_module("launch_with_openpi_client")


def test_it_solves_a_task_and_is_told_what_was_wrong(serving, script) -> None:
    _, port = serving(token=TOKEN, keys=parse_key_map(script.MAP, tuple(script.NAMES)))
    client = script.ClientProcess(PYTHON, port, TOKEN)
    assert client.metadata["action_hz"] == 120 and client.metadata["action_horizon"] == 96
    assert client.metadata["ideomotor"]["robot"] == "so101"
    arm, gripper = script.STATE
    wrong = client.ask({arm: [0.0] * 5, "prompt": "press the button"})
    assert "Error in inference server" in wrong["error"] and f"{gripper}: missing" in wrong["error"]
    world = task_world("press", seed=SOLVED)
    try:
        result = rollout(world, script.OpenpiClient(client.ask))
    finally:
        world.close()
    assert client.close() == 0
    assert result.success
    assert len(result.boundaries) >= 3


@pytest.mark.realtime
def test_it_drives_the_twin_through_a_launch(script, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with server_process("--port", "0", "--token-file", str(token), "--map", *script.MAP) as (url, _):
        port = url.rsplit(":", 1)[1]
        launch = f"launch so101 --twin --task press --seed {SOLVED} --handover naive --countdown 0"
        out = tmp_path / "launch.json"
        arguments = [PYTHON, port, TOKEN, *launch.split(), "--max-seconds", "12", "--json", str(out)]
        command = [sys.executable, "-P", str(script.__file__), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result["solved"] >= 1, result
    assert not result["motors_on"] and not result["faults"]


ARM = "shoulder_pan,shoulder_lift,elbow_flex,wrist_flex,wrist_roll"


def test_a_server_of_openpis_drives_the_arm(monkeypatch) -> None:
    script = INTEROP / "serve_with_openpi.py"
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
