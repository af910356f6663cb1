"""How fast one core of this machine can be at most, measured: operations a second, and bytes read a second.

The time of a stage is at least its operations by the one and its bytes by the other (Williams, Waterman and
Patterson, "Roofline", CACM 2009). Operations are those of a large matrix product in the same runtime; bytes
those of an array of the stage's size, which may fit a cache.
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDE = 1024  # of the product's matrices
ENERGY = Path(
    "/sys/class/powercap/intel-rapl:0/energy_uj"
)  # [µJ] of the first processor, where it is reported


def fastest(work: Callable[[], object], seconds: float = 0.3) -> float:
    """Shortest time of several runs [s]."""
    work()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


@functools.cache
def peak_operations(int8: bool = False) -> tuple[float, str]:
    """(operations a second, of what): of onnxruntime's matrix product, or of numpy's where onnx is missing.

    Raises:
        ValueError: int8, but onnx is not installed, which the product would be made with.
    """
    operations = 2.0 * SIDE**3
    if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("onnxruntime") is None:
        if int8:
            raise ValueError("onnx is not installed")
        a = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
        return operations / fastest(lambda: a @ a), "numpy's float32 product"
    return operations / _onnx_product(int8), f"onnxruntime's {'int8' if int8 else 'float32'} product"


def _onnx_product(int8: bool) -> float:
    """Shortest time of a product with a constant matrix [s]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from ideomotor.train.quantized_graph import quantize_graph
    from ideomotor.vla.exported.runtimes import open_graph

    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.standard_normal((SIDE, SIDE)).astype(np.float32), "w")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [SIDE, SIDE]) for n in ("x", "y")]
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    graph = helper.make_graph([node], "product", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    feed = {"x": rng.standard_normal((SIDE, SIDE)).astype(np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "product.onnx"
        onnx.save(model, path)
        if int8:
            quantize_graph(path, [feed], path)
        product = open_graph(path, "onnx")
        return fastest(lambda: product(feed))


@functools.lru_cache(maxsize=32)
def bandwidth(size: int) -> float:
    """Bytes read a second from an array of so many bytes."""
    values = np.ones(max(size // 4, 1024), np.float32)
    return values.nbytes / fastest(lambda: np.add.reduce(values), 0.1)


def energy_j() -> float | None:
    """What the processor has used [J]; None where the host does not tell."""
    try:
        return int(ENERGY.read_text()) / 1e6
    except (OSError, ValueError):
        return None
