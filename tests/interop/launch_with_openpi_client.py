"""`ideomotor launch` with openpi's own client, unmodified, as the policy, which asks a server.

    python -P launch_with_openpi_client.py PYTHON PORT TOKEN launch so101 --twin …

PYTHON is that of an environment with openpi-client, whose process (`ask_with_openpi.py`) is given each
observation of the decoder's and asks the server at PORT for a chunk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.timing import Timing, usual_timing
from ideomotor.control.types import ActionChunk, LatentPlan, Observation

SCRIPT = Path(__file__).with_name("ask_with_openpi.py")
NAMES = {"front": "observation/exterior_image_1_left", "wrist": "observation/wrist_image_left"}
STATE = ("observation/joint_position", "observation/gripper_position")
MAP = [*(f"{theirs}={ours}" for ours, theirs in NAMES.items()), "+".join(STATE) + "=state"]  # serve --map


class OpenpiClient:
    """Implements `control.types.Policy` with openpi's client.

    Args:
        ask: gives an observation to the client's process, and what it answers.
    """

    timing = usual_timing(load_embodiment("so101"))
    calibrated = False

    def __init__(self, ask: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._ask = ask

    def run_without(self, senses: Iterable[str]) -> None:
        """The protocol has no such thing."""

    def reset(self, seed: int) -> None:
        """Nor this."""

    def plan(self, observation: Observation) -> LatentPlan:
        return LatentPlan(np.empty((0, 0), np.float32), observation.time)

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        assert not len(committed_prefix)
        sent = {NAMES[name]: _packed(image) for name, image in observation.images.items()}
        arm, gripper = observation.state[:5].tolist(), observation.state[5:].tolist()
        sent |= {STATE[0]: arm, STATE[1]: gripper, "prompt": observation.instruction}
        actions = np.array(self._ask(sent)["actions"], np.float32)
        return ActionChunk(actions, 120.0, observation.tick, observation.time, plan.observed_at)


class ClientProcess:
    """openpi's client in its own environment; `metadata` is the server's first message."""

    def __init__(self, python: str, port: int, token: str) -> None:
        command = [python, "-W", "ignore", str(SCRIPT), "127.0.0.1", str(port), token]
        ours = ("PYTHONPATH", "PYTHONSAFEPATH")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        assert self._process.stdin and self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        self.metadata = json.loads(self._from.readline())

    def ask(self, observation: dict[str, Any]) -> dict[str, Any]:
        print(json.dumps({"observation": observation}), file=self._to, flush=True)
        return json.loads(self._from.readline())

    def close(self) -> int:
        self._to.close()
        code = self._process.wait()
        self._from.close()
        return code


@dataclass(frozen=True)
class ClientSource:
    """Implements `eval.policy_spec.PolicySource`."""

    python: str
    port: int
    token: str
    trained_on: str = ""

    @property
    def timing(self) -> Timing:
        return OpenpiClient.timing

    def load(self, parts: tuple[str, ...] = ("interpreter", "decoder")) -> OpenpiClient:
        if "decoder" not in parts:
            return OpenpiClient(lambda observation: {})
        return OpenpiClient(ClientProcess(self.python, self.port, self.token).ask)

    def fingerprint(self) -> bytes:
        return str(self.port).encode()


def _packed(image: np.ndarray) -> dict[str, Any]:
    return {"shape": image.shape, "data": image.tobytes().hex()}


def main() -> None:
    from ideomotor.launch import checkpoints
    from ideomotor.launch.__main__ import main as run

    python, port, token, *command = sys.argv[1:]
    checkpoints.chosen_policy = lambda *_, **__: ClientSource(python, int(port), token)
    sys.argv[1:] = command
    run()


if __name__ == "__main__":
    main()
