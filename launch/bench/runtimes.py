"""What `ideomotor bench inference --runtime …` measures: a policy's stages in several runtimes, on one core.

All take turns in one run. Beside each stage stands the least time that its operations and its bytes allow on
this core (`roofline.py`), so that the distance to the limit is seen.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import Observation
from ideomotor.eval.policy_spec import load_networks
from ideomotor.launch.bench.roofline import bandwidth, energy_j, peak_operations
from ideomotor.launch.bench.rows import row, table
from ideomotor.launch.console import Output
from ideomotor.vla.checkpoint_info import is_exported
from ideomotor.vla.exported.format import (
    CONTEXT,
    HEADS,
    LANGUAGE,
    STEP,
    SUFFIXES,
    VISION,
    ExportedConfig,
    read_exported,
)
from ideomotor.vla.exported.networks import ExportedNetworks
from ideomotor.vla.policy import EpisodePolicy

RUNTIMES = ("torch", "onnx", "openvino")
PLAN, TEXT, CHUNK = "plan without its text", "plan: readable text", "chunk"
INSTRUCTION = "put the blue cylinder into the bowl"
TEXT_EVERY = 5  # rounds
Spent = dict[tuple[str, str], list[tuple[float, float]]]  # {(candidate, stage): (CPU s, s) of each round}


@dataclass(frozen=True)
class Candidate:
    """One policy in one runtime."""

    name: str  # such as "onnx int8"
    stages: dict[str, Callable[[], Any]]
    config: ExportedConfig | None  # None: torch
    folder: Path | None
    words: list[int]  # tokens of its readable plan


def bench_runtimes(
    folder: Path, runtimes: Sequence[str], int8: bool, data: Sequence[Path], rounds: int, json: Path | None
) -> dict[str, Any]:
    """Measures, shows a table and returns `{"policy", "peak", "energy", "rows"}`.

    Args:
        folder: a checkpoint, which is exported for each runtime, or an exported policy, measured as it is.
        runtimes: of RUNTIMES; not looked at for an exported policy.
        int8: whether each is measured in int8 as well.
        data: datasets that int8 is calibrated on.
        rounds: how often each stage is timed.
        json: also write the result there.
    """
    output = Output(json)
    with tempfile.TemporaryDirectory() as scratch:
        folders = _folders(folder, runtimes, int8, data, Path(scratch))
        candidates = [_candidate(name, path) for name, path in folders.items()]
        spent = _measure(candidates, rounds)
        rows = [each for one in candidates for each in _rows(one, spent)]
        energy = [each for one in candidates for each in _energy(one)]
    result = {
        "policy": str(folder),
        "peak": {
            name: {"gflops": value / 1e9, "of": of} for name, (value, of) in _peaks(int8, folder).items()
        },
        "energy": "RAPL" if energy else "not told by this host",
        "rows": rows + energy,
    }
    output.result(result)
    output.text.print(table(result["rows"]))
    for name, peak in result["peak"].items():
        output.text.print(f"peak of this core, {name}: {peak['gflops']:.0f} GFLOP/s ({peak['of']})")
    output.text.print("theirs: the least time that operations and bytes allow; ratio: reached share of it")
    return result


def _folders(
    folder: Path, runtimes: Sequence[str], int8: bool, data: Sequence[Path], scratch: Path
) -> dict[str, Path]:
    """{what it is called: where it is}; exported where it is not yet."""
    if is_exported(folder):
        networks = ExportedNetworks.from_exported(folder, parts=())
        return {f"{networks.config.runtime} {networks.config.precision}": folder}
    from ideomotor.launch.commands.export import ExportOptions, export_to

    found: dict[str, Path] = {}
    for runtime in runtimes:
        if runtime == "torch":
            found["torch float32"] = folder
            continue
        for precision in ("float32", *(["int8"] if int8 else [])):
            out = scratch / f"{runtime}-{precision}"
            options = ExportOptions(
                out=out, policy=str(folder), to=runtime, int8=precision == "int8",
                data=tuple(data) if precision == "int8" else (),
            )  # fmt: skip
            export_to(options)
            found[f"{runtime} {precision}"] = out
    return found


def _candidate(name: str, folder: Path) -> Candidate:
    networks = load_networks(folder)
    policy = EpisodePolicy(networks)
    embodiment = load_embodiment(networks.processor.embodiment)
    rng = np.random.default_rng(0)
    images = {
        camera.name: rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        for camera in embodiment.cameras
        if camera.name in networks.cameras
    }
    state = np.array(networks.processor.state_mean, np.float32)
    seen = policy.admit(Observation(0.0, 0, images, state, INSTRUCTION))
    plan, nothing = policy.plan(seen, describe=False), np.empty((0, len(networks.processor.joints)))
    (draft,) = networks.plans([seen], frozenset())
    text = draft.write()
    stages: dict[str, Callable[[], Any]] = {
        PLAN: lambda: policy.plan(seen, describe=False),
        TEXT: draft.write,
        CHUNK: lambda: policy.act(seen, plan, nothing),
    }
    if not isinstance(networks, ExportedNetworks):
        return Candidate(name, stages, None, None, [])
    request = policy.request(seen, plan, nothing)
    decoder = networks.decoder
    assert decoder is not None and networks.interpreter is not None
    inputs = networks.inputs(request, frozenset())
    context = decoder.encode(inputs)
    shape, joints = networks.decoder_config, len(networks.processor.joints)
    step = context | {
        "actions": np.zeros((1, shape.horizon, joints), np.float32),
        "is_committed": np.zeros((1, shape.horizon), np.float32),
        "time": np.zeros(1, np.float32),
    }
    stages |= {
        "chunk: context": lambda: decoder.context(inputs),
        "chunk: one step": lambda: decoder.step(step),
    }
    words = networks.interpreter.tokenizer.encode(text)
    return Candidate(name, stages, networks.config, folder, words)


def _measure(candidates: Sequence[Candidate], rounds: int) -> Spent:
    """Everyone takes turns."""
    spent: Spent = {}
    for turn in range(-2, rounds):  # the first prepare kernels
        for one in candidates:
            for name, stage in one.stages.items():
                if name == TEXT and turn % TEXT_EVERY:
                    continue
                cpu, wall = time.process_time(), time.perf_counter()
                stage()
                took = time.process_time() - cpu, time.perf_counter() - wall
                if turn >= 0:
                    spent.setdefault((one.name, name), []).append(took)
    return spent


def _rows(one: Candidate, spent: Spent) -> list[dict[str, Any]]:
    rows = []
    for stage in one.stages:
        cpu, wall = (np.array(each) * 1000 for each in zip(*spent[one.name, stage], strict=True))
        limit = _limit_ms(one, stage)
        beside = ("limit of this core", limit) if limit else (None, None)
        rows.append(row(f"{one.name}: {stage}, p50", float(np.median(wall)), "ms", *beside))
        rows.append(row(f"{one.name}: {stage}, p99", float(np.quantile(wall, 0.99)), "ms"))
        rows.append(row(f"{one.name}: {stage}, p50", float(np.median(cpu)), "CPU ms", *beside))
    return rows


def _limit_ms(one: Candidate, stage: str) -> float | None:
    """The least time that operations and bytes allow; None where they are not known."""
    config, folder = one.config, one.folder
    if config is None or folder is None:
        return None
    prompt = config.interpreter.image_tokens + len(INSTRUCTION.split()) + 8
    runs = {
        PLAN: [(VISION, 1), (LANGUAGE, prompt), (HEADS, 1)],
        TEXT: [(LANGUAGE, 1)] * (len(one.words) + 1),
        CHUNK: [(CONTEXT, 1)] + [(STEP, 1)] * config.sampling.steps,
        "chunk: context": [(CONTEXT, 1)],
        "chunk: one step": [(STEP, 1)],
    }[stage]
    try:
        peak, _ = peak_operations(config.precision == "int8")
    except ValueError:
        return None
    total = 0.0
    for graph, times in runs:
        files = [folder / f"{graph}{suffix}" for suffix in SUFFIXES[config.runtime]]
        size = sum(path.stat().st_size for path in files)
        total += max(config.operations[graph] * times / peak, size / bandwidth(size))
    return 1000 * total


def _energy(one: Candidate) -> list[dict[str, Any]]:
    """Joules a chunk and a plan, of the whole processor; none where the host does not tell."""
    if energy_j() is None:
        return []
    rows = []
    for stage in (PLAN, CHUNK):
        before, runs = energy_j(), 0
        until = time.perf_counter() + 2.0
        while time.perf_counter() < until:
            one.stages[stage]()
            runs += 1
        after = energy_j()
        assert before is not None and after is not None
        rows.append(row(f"{one.name}: {stage}, energy", 1000 * (after - before) / runs, "mJ"))
    return rows


def _peaks(int8: bool, folder: Path) -> dict[str, tuple[float, str]]:
    peaks = {"float32": peak_operations()}
    if int8 or (is_exported(folder) and read_exported(folder).precision == "int8"):
        try:
            peaks["int8"] = peak_operations(True)
        except ValueError:
            pass
    return peaks


def check_runtimes(runtimes: Sequence[str]) -> None:
    """UserError for a name that is none of RUNTIMES."""
    for name in runtimes:
        if name not in RUNTIMES:
            raise UserError(f"runtime: got {name!r}, expected some of {', '.join(RUNTIMES)}")
