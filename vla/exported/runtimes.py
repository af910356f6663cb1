"""Graphs run by onnxruntime or OpenVINO, one thread each; both are imported only where one is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError

Graph = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]  # {input: array} -> outputs, in order


def open_graph(path: Path, runtime: str, threads: int = 1) -> Graph:
    """A graph, ready to be run.

    Args:
        path: NAME.onnx, or NAME.xml.
        runtime: "onnx" or "openvino".
        threads: that it may use.

    Raises:
        UserError: the runtime is not installed, or the file is damaged.
    """
    return _onnx(path, threads) if runtime == "onnx" else _openvino(path, threads)


def _onnx(path: Path, threads: int) -> Graph:
    ort = _imported("onnxruntime", "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads that spin would take the core from the loop; memory patterns help fixed shapes alone.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds, with no base but Exception
        raise UserError(f"{path}: not a graph that onnxruntime runs: {_brief(error)}") from None

    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return session.run(None, given)

    return run


def _openvino(path: Path, threads: int) -> Graph:
    openvino = _imported("openvino", "openvino")
    core = openvino.Core()
    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # some CPUs would take bfloat16, which is not what was exported
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    try:
        compiled = core.compile_model(core.read_model(path), "CPU", settings)
    except RuntimeError as error:
        raise UserError(f"{path}: not a graph that OpenVINO runs: {_brief(error)}") from None
    request, outputs = compiled.create_infer_request(), compiled.outputs

    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = request.infer(given, share_inputs=True)
        return [np.array(found[output]) for output in outputs]  # else the next call writes over them

    return run


def _imported(name: str, runtime: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        extra = "edge" if runtime == "onnx" else "openvino"
        raise UserError(
            f"policy: exported for {runtime}, which needs {name}: pip install 'ideomotor[{extra}]'"
        ) from None


def _brief(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
