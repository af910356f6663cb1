"""The peer of `ideomotor bench inference` and `bench train`: LeRobot's ACT and its diffusion policy.

    python lerobot_policies.py CAMERAS SIZE JOINTS CHUNK BATCH

Run by the Python of an environment with the real `lerobot`, not by ours. Its first line is
{"version", "policies": {name: {"parameters", "flops", "settings"}}}, flops of one chunk. Then it reads one
JSON request a line, {"policy": name, "task": "chunk" | "train", "times": n}, and answers with
{"cpu_s": [...], "wall_s": [...]} of each time: a chunk from one observation, or a step of training
(forward, backward, clipping, AdamW) on a batch that is in memory already.

ACT is LeRobot's default but for its chunk length. The diffusion policy's U-Net is scaled down (`down_dims`)
so that the whole is of our policy's order of size, since its default has 260 M parameters; it takes 10
DDIM steps instead of 100 DDPM steps, as its authors do on robots (arXiv 2303.04137, section 4.5). Neither
starts from pretrained weights, which changes no figure here.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def main() -> None:
    cameras, size, joints, chunk, batch = map(int, sys.argv[1:])
    answers = os.fdopen(os.dup(1), "w")  # what lerobot prints goes elsewhere
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    import lerobot

    names = [f"observation.images.{number}" for number in range(cameras)]
    policies = make_policies(names, size, joints, chunk)
    facts: dict[str, Any] = {}
    tasks: dict[tuple[str, str], Callable[[], object]] = {}
    for name, (policy, settings, past) in policies.items():
        seen = {camera: torch.rand(1, 3, size, size) for camera in names}
        tasks[name, "chunk"] = chunk_of(policy, seen | {"observation.state": torch.randn(1, joints)})
        shape = (batch, past) if past else (batch,)
        samples = {camera: torch.rand(*shape, 3, size, size) for camera in names} | {
            "observation.state": torch.randn(*shape, joints),
            "action": torch.randn(batch, chunk, joints),
            "action_is_pad": torch.zeros(batch, chunk, dtype=torch.bool),
        }
        tasks[name, "train"] = step_of(policy, samples)
        with FlopCounterMode(display=False) as counted:
            tasks[name, "chunk"]()
        parameters = sum(p.numel() for p in policy.parameters())
        facts[name] = {
            "parameters": parameters,
            "flops": counted.get_total_flops(),
            "settings": settings,
        }
    print(json.dumps({"version": lerobot.__version__, "policies": facts}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        spent: dict[str, list[float]] = {"cpu_s": [], "wall_s": []}
        for _ in range(request["times"]):
            cpu, wall = time.process_time(), time.perf_counter()
            tasks[request["policy"], request["task"]]()
            spent["cpu_s"].append(time.process_time() - cpu)
            spent["wall_s"].append(time.perf_counter() - wall)
        print(json.dumps(spent), file=answers, flush=True)


def make_policies(names: list[str], size: int, joints: int, chunk: int) -> dict[str, tuple[Any, str, int]]:
    """{name: (policy, its particulars, observations of a training sample; 0: without an axis of them)}"""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    features: dict[str, Any] = {
        "input_features": {name: PolicyFeature(FeatureType.VISUAL, (3, size, size)) for name in names}
        | {"observation.state": PolicyFeature(FeatureType.STATE, (joints,))},
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (joints,))},
        "device": "cpu",
        "pretrained_backbone_weights": None,
    }
    act = ACTConfig(chunk_size=chunk, n_action_steps=chunk, **features)
    diffusion = DiffusionConfig(
        horizon=chunk,
        down_dims=(64, 128, 256),
        noise_scheduler_type="DDIM",
        num_inference_steps=10,
        **features,
    )
    return {
        "ACT": (ACTPolicy(act), f"chunks of {chunk}", 0),
        "diffusion": (
            DiffusionPolicy(diffusion),
            f"horizon {chunk}, U-Net of 64, 128, 256 channels, 10 DDIM steps",
            diffusion.n_obs_steps,
        ),
    }


def chunk_of(policy: Any, observation: dict[str, torch.Tensor]) -> Callable[[], object]:
    """The way a robot is driven: forgets what is left of the last chunk, and so makes a new one."""

    def run() -> object:
        policy.eval()
        policy.reset()
        return policy.select_action(observation)

    return run


def step_of(policy: Any, batch: dict[str, torch.Tensor]) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5)

    def run() -> object:
        policy.train()
        loss, _ = policy.forward(dict(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return run


if __name__ == "__main__":
    main()
