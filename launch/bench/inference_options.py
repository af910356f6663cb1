"""`ideomotor bench inference`: its options, and which of its two measurements they mean. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ideomotor.control.errors import UserError


@dataclass(frozen=True)
class InferenceOptions:
    """Measures the policy's stages, size and operations, beside LeRobot's ACT and diffusion policy; with
    --runtime, or of an exported policy, in several runtimes beside what this core can do."""

    policy: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """checkpoint folder, exported policy, or ORG/NAME on the Hugging Face Hub; by default the bundled one"""

    runtime: Annotated[str | None, tyro.conf.arg(metavar="A,B")] = None
    """torch, onnx, openvino: a checkpoint is exported for each and measured beside the others"""

    int8: bool = False
    """with --runtime: in int8, too"""

    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR")] = ()
    """datasets that --int8 is calibrated on"""

    rounds: int = 100
    """how often each stage is timed"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the figures as JSON; - is standard output"""


def inference(options: InferenceOptions) -> int:
    """The command."""
    from ideomotor.launch.checkpoints import policy_folder
    from ideomotor.vla.checkpoint_info import is_exported

    if options.rounds < 2:
        raise UserError(f"rounds: got {options.rounds}, expected at least 2")
    folder = policy_folder(options.policy)
    if options.runtime is None and not is_exported(folder):
        if options.int8 or options.data:
            raise UserError(f"{'int8' if options.int8 else 'data'}: belongs to --runtime")
        from ideomotor.launch.bench.inference import bench_inference

        bench_inference(options.json, options.policy, options.rounds)
        return 0
    from ideomotor.launch.bench.runtimes import bench_runtimes, check_runtimes

    runtimes = tuple((options.runtime or "").split(",")) if options.runtime else ()
    check_runtimes(runtimes)
    if options.int8 and not options.data and not is_exported(folder):
        raise UserError("data: missing, expected --data DIR, recorded windows that --int8 is calibrated on")
    bench_runtimes(folder, runtimes, options.int8, options.data, options.rounds, options.json)
    return 0
