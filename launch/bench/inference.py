"""What `ideomotor bench inference` measures: where a plan's and a chunk's time goes, beside LeRobot.

All stages and both peers take turns in one run, one thread each. A chunk of ours is compared with a chunk
of LeRobot's ACT and of its diffusion policy on the same shapes: two cameras, the robot's joints, the same
seconds ahead. Theirs are commands at 30 Hz, ours at the control rate; theirs follow no instruction.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import Observation
from ideomotor.launch.bench.lerobot_peer import PeerCall, lerobot
from ideomotor.launch.bench.rows import row, table
from ideomotor.launch.checkpoints import policy_folder
from ideomotor.launch.console import Output
from ideomotor.sim.open_world import task_world
from ideomotor.vla.decoder.decoder import DecoderInputs
from ideomotor.vla.decoder.smoothing import ORDER, smooth
from ideomotor.vla.images import to_pixels
from ideomotor.vla.interpreter.text_generation import write_plan
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy
from ideomotor.vla.resizing import resized

PEERS: Final = ("ACT", "diffusion")
PEER_HZ: Final = 30  # LeRobot's usual rate
PEER_BATCH: Final = 8  # its default, for training
TEXT_EVERY: Final = 10  # rounds: a text is written for every so manyth plan at the most, and takes long
Spent = dict[str, list[tuple[float, float]]]  # stage: (CPU s, s) of each round


def bench_inference(
    json_target: Path | None = None, folder: Path | None = None, rounds: int = 100
) -> dict[str, Any]:
    """Measures, shows a table and returns `{"policy", "peer", "rows"}`, the rows as in DESIGN section 7.

    A row's `ratio` says how many times better ours is. "CPU ms" is the process's own time, which other
    programs disturb little; "ms" is by the clock. Operations count a multiplication and an addition as two.

    Args:
        json_target: also write the result there; "-" is standard output.
        folder: of the checkpoint; None is the bundled policy.
        rounds: how often each stage is timed.
    """
    if rounds < 2:
        raise UserError(f"rounds: got {rounds}, expected at least 2")
    output = Output(json_target)
    torch.set_num_threads(1)
    policy = EpisodePolicy.from_pretrained(policy_folder(folder))
    scene = task_world("place", seed=0, embodiment=load_embodiment(policy.networks.processor.embodiment))
    observation = scene.observe()
    scene.close()
    stages = stages_of(policy, observation)
    with peers(policy.networks, output) as (ask, facts):
        spent = measure(stages, ask, rounds)
        policies = facts["policies"] if ask else {}
        rows = [*_times(spent, stages), *_beside(spent, policies), *_sizes(policy, stages, policies)]
    version = f"lerobot {facts['version']}" if ask else None
    result = {"policy": str(folder or "bundled"), "peer": version, "rows": rows}
    output.result(result)
    output.text.print(table(rows))
    return result


@contextmanager
def peers(networks: PolicyNetworks, output: Output) -> Iterator[tuple[PeerCall | None, dict[str, Any]]]:
    """LeRobot's policies with the cameras, joints and seconds ahead of ours; see `peer.lerobot`."""
    shape, hz = networks.decoder.config, networks.processor.control_hz
    ticks = shape.horizon * PEER_HZ / hz
    chunk = max(8, round(ticks / 8) * 8)  # the diffusion policy's U-Net halves it three times
    sizes = (len(shape.cameras), shape.image_size, len(networks.processor.joints), chunk, PEER_BATCH)
    with lerobot("lerobot_policies.py", [str(size) for size in sizes], output) as (ask, facts):
        if ask:
            output.text.print(f"beside: lerobot {facts['version']}", markup=False)
            for name, fact in facts["policies"].items():
                output.text.print(f"  {name}: {fact['settings']}", markup=False)
        yield ask, facts


def stages_of(policy: EpisodePolicy, observation: Observation) -> dict[str, Callable[[], Any]]:
    """{stage: what does it once}; the last of a plan's and of a chunk's stages are the whole of it."""
    interpreter, decoder = policy.networks.interpreter, policy.networks.decoder
    looked, shape = interpreter.config, decoder.config

    def pixels(cameras: tuple[str, ...], size: int) -> torch.Tensor:
        frames = [resized(np.asarray(observation.images[camera]), size) for camera in cameras]
        return to_pixels(np.stack(frames)).unsqueeze(0)

    proprio = np.asarray(observation.state, np.float32)

    def prompts() -> Any:
        return interpreter.prompts([observation.instruction], [True], state=proprio[None])

    seen, asked = pixels(looked.cameras, looked.image_size), prompts()
    plan = policy.plan(observation)
    joints = len(policy.networks.processor.joints)
    nothing = np.zeros((0, joints), np.float32)
    inputs = DecoderInputs(
        plan=torch.from_numpy(plan.tokens).unsqueeze(0),
        has_plan=torch.ones(1),
        pixels=pixels(shape.cameras, shape.image_size),
        has_camera=torch.ones(1, len(shape.cameras)),
        state=torch.zeros(1, joints),
        has_state=torch.ones(1),
        past_commands=torch.zeros(1, shape.past_command_ticks, joints),
        has_past_commands=torch.ones(1),
    )
    embodiment = policy.networks.processor.embodiment
    with torch.inference_mode():
        context, encoded = decoder.context(embodiment, inputs), interpreter.encode_images(seen)
    noise = torch.randn(1, shape.horizon, joints)
    committed, half = torch.zeros(1, shape.horizon), torch.tensor([0.5])
    chunk = policy.act(observation, plan, nothing).actions.astype(float)
    return {
        "plan: picture preparation": lambda: pixels(looked.cameras, looked.image_size),
        "plan: prompt": prompts,
        "plan: pictures encoded": lambda: interpreter.encode_images(seen),
        "plan: interpreter prefill": lambda: interpreter(seen, asked),
        "plan: readable text": lambda: write_plan(
            interpreter, encoded, observation.instruction, state=proprio
        ),
        "plan without its text": lambda: policy.plan(observation, describe=False),
        "chunk: picture preparation": lambda: pixels(shape.cameras, shape.image_size),
        "chunk: context": lambda: decoder.context(embodiment, inputs),
        "chunk: one flow step": lambda: decoder(embodiment, noise, committed, half, context),
        "chunk: smoothing": lambda: smooth(chunk, chunk[:ORDER], policy.networks.sampling.smoothing or 1.0),
        "chunk": lambda: policy.act(observation, plan, nothing),
    }


def measure(stages: dict[str, Callable[[], Any]], ask: PeerCall | None, rounds: int) -> Spent:
    """Everyone takes turns; what a peer took is under its name."""
    spent: Spent = {}
    for turn in range(-2, rounds):  # the first prepare kernels
        for name, stage in stages.items():
            if name == "plan: readable text" and turn % TEXT_EVERY and rounds > TEXT_EVERY:
                continue
            cpu, wall = time.process_time(), time.perf_counter()
            with torch.inference_mode():
                stage()
            took = time.process_time() - cpu, time.perf_counter() - wall
            if turn >= 0:
                spent.setdefault(name, []).append(took)
        for name in PEERS if ask else ():
            assert ask is not None
            answer = ask({"policy": name, "task": "chunk", "times": 1})
            if turn >= 0:
                spent.setdefault(name, []).append((answer["cpu_s"][0], answer["wall_s"][0]))
    return spent


def _times(spent: Spent, stages: dict[str, Any]) -> list[dict[str, Any]]:
    """Three rows for each stage."""
    rows = []
    for name in stages:
        cpu, wall = (np.array(each) * 1000 for each in zip(*spent[name], strict=True))
        rows += [
            row(f"{name}, p50", float(np.median(cpu)), "CPU ms"),
            row(f"{name}, p50", float(np.median(wall)), "ms"),
            row(f"{name}, p99", float(np.quantile(wall, 0.99)), "ms"),
        ]
    return rows


def _beside(spent: Spent, policies: dict[str, Any]) -> list[dict[str, Any]]:
    """Chunks of ours and of theirs; ours also with a plan for each chunk, which nobody needs."""
    rows = []
    for name in policies:
        for clock, unit in ((0, "CPU ms"), (1, "ms")):
            p50 = {who: 1000 * statistics.median(each[clock] for each in spent[who]) for who in spent}
            both = p50["chunk"] + p50["plan without its text"]
            rows.append(row("chunk, p50", p50["chunk"], unit, f"LeRobot {name}", p50[name]))
            rows.append(row("chunk and plan, p50", both, unit, f"LeRobot {name}", p50[name]))
    return rows


def _sizes(
    policy: EpisodePolicy, stages: dict[str, Callable[[], Any]], policies: dict[str, Any]
) -> list[dict[str, Any]]:
    """Parameters and floating-point operations."""
    parts = {"interpreter": policy.networks.interpreter, "decoder": policy.networks.decoder}
    count = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in parts.items()}
    gflops = {name: operations(stages[name]) / 1e9 for name in ("plan without its text", "chunk")}
    rows = [row(f"parameters, {name}", value, "M") for name, value in count.items()]
    rows += [row(f"operations, {name}", value, "GFLOP") for name, value in gflops.items()]
    for name, fact in policies.items():
        theirs = (fact["parameters"] / 1e6, fact["flops"] / 1e9)
        rows.append(row("parameters", sum(count.values()), "M", f"LeRobot {name}", theirs[0]))
        rows.append(row("operations, chunk", gflops["chunk"], "GFLOP", f"LeRobot {name}", theirs[1]))
    return rows


def operations(stage: Callable[[], Any]) -> int:
    """Floating-point operations of matrix products, attention and convolutions."""
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        stage()
    return counted.get_total_flops()
