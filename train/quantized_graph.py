"""One ONNX graph with int8 weights and activations, as small as it can be written."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PRODUCTS = ("MatMul", "Gemm", "Conv")
TABLE = 2048  # numbers of a tensor that is worth rounding by itself


def quantize_graph(
    path: Path, feeds: Sequence[Mapping[str, np.ndarray]], out: Path, keep: Sequence[str] = ()
) -> None:
    """One graph.

    Args:
        path: of the float32 graph.
        feeds: what it is given on recorded windows.
        out: file.
        keep: parts of names of nodes that stay in float32.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = onnx.load(path)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    excluded = [
        node.name
        for node in model.graph.node
        if any(part in node.name for part in keep)
        or (node.op_type == "MatMul" and not _is_weight(weights.get(node.input[1], ())))
    ]
    reader: Any = _Reader(feeds)
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        quantize_static(
            model,
            out,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(PRODUCTS),
            nodes_to_exclude=excluded,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "MatMulConstBOnly": True,
                "QuantizeBias": False,
                # What a product gives goes into norms, sums and softmax, and at the end to the arm: rounding
                # it gains no speed.
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
            },
        )
    made = onnx.load(out)
    _read_unrounded(made)
    _round_tables(made, {name for node in model.graph.node if node.name in excluded for name in node.input})
    _without_zeros(made)
    _shorten(made)
    onnx.save(made, out)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises to simplify graphs first, which these are."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _is_weight(shape: tuple[int, ...]) -> bool:
    """Whether a product's second factor is a layer's: another activation is not, nor are coordinates, whose
    weighted mean is a place in a picture."""
    return len(shape) == 2 and shape[1] > 2


def _round_tables(model: Any, kept: Container[str]) -> None:
    """What is left of large float32 tensors (positions, tokens of missing senses) becomes int8 as well."""
    from onnx import helper, numpy_helper

    nodes = []
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.name in kept or values.dtype != np.float32 or values.size < TABLE or values.ndim < 2:
            continue
        axis = int(np.argmax([size > 1 for size in values.shape]))
        others = tuple(index for index in range(values.ndim) if index != axis)
        scale = np.abs(values).max(others, keepdims=True).clip(1e-8) / 127
        parts = np.rint(values / scale).astype(np.int8), scale.ravel().astype(np.float32)
        names = [f"{tensor.name}_{part}" for part in ("int8", "scale")]
        model.graph.initializer.remove(tensor)
        model.graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(part), name)
            for part, name in zip(parts, names, strict=True)
        )
        nodes.append(helper.make_node("DequantizeLinear", names, [tensor.name], axis=axis))
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def _read_unrounded(model: Any) -> None:
    """What is no product reads tensors as they were, not rounded for a product that reads them too.

    Between convolutions they stay rounded: there integers go from one to the next.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    original = {}
    for node in model.graph.node:
        rounded = made_by.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if rounded is not None and rounded.op_type == "QuantizeLinear":
            source = made_by.get(rounded.input[0])
            if source is None or source.op_type not in ("Conv", "Relu"):
                original[node.output[0]] = rounded.input[0]
    for node in model.graph.node:
        if node.op_type not in PRODUCTS:
            node.input[:] = [original.get(name, name) for name in node.input]


def _without_zeros(model: Any) -> None:
    """Zero points of weights are all zero, which is what a node without them means."""
    from onnx import numpy_helper

    zeros = {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if tensor.data_type == 3 and not numpy_helper.to_array(tensor).any()  # 3: int8
    }
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]
    used = {name for node in model.graph.node for name in node.input}
    for name, tensor in zeros.items():
        if name not in used:
            model.graph.initializer.remove(tensor)


def _shorten(model: Any) -> None:
    """Long names of tensors and nodes make a tenth of an int8 file."""
    graph = model.graph
    kept = {each.name for each in (*graph.input, *graph.output)} | {""}
    short: dict[str, str] = {}

    def renamed(name: str) -> str:
        return name if name in kept else short.setdefault(name, f"t{len(short)}")

    del graph.value_info[:], model.metadata_props[:]
    for tensor in graph.initializer:
        tensor.name, tensor.doc_string = renamed(tensor.name), ""
    for index, node in enumerate(graph.node):
        node.name, node.doc_string = f"n{index}", ""
        del node.metadata_props[:]
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]


class _Reader:
    """What onnxruntime's calibration reads, one call after the other."""

    def __init__(self, feeds: Sequence[Mapping[str, np.ndarray]]) -> None:
        self._feeds = list(feeds)
        self.rewind()

    def get_next(self) -> dict[str, np.ndarray] | None:
        feed = next(self._left, None)
        return None if feed is None else dict(feed)

    def rewind(self) -> None:
        self._left = iter(self._feeds)

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self._feeds[start_index:end_index])
