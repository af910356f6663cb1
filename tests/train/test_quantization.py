"""int8 graphs: calibrated on what they are given, a quarter of the size, near what they were made from."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ideomotor.train.quantized_graph import quantize_graph
from ideomotor.vla.exported.runtimes import open_graph

INPUTS, HIDDEN, OUTPUTS = 64, 512, 32


def network(path: Path, seed: int = 0) -> Path:
    """x -> relu(x a + p) b, p a learned table; and a mean of coordinates by a softmax over x."""
    rng = np.random.default_rng(seed)

    def tensor(name: str, *shape: int, scale: float = 1.0):
        return numpy_helper.from_array((scale * rng.standard_normal(shape)).astype(np.float32), name)

    spread = np.exp(rng.normal(0, 1.0, (1, HIDDEN))).astype(np.float32)  # channels of very different size
    first = numpy_helper.from_array(
        (spread * rng.standard_normal((INPUTS, HIDDEN))).astype(np.float32) / 8, "a"
    )
    weights = [
        first,
        tensor("p", 8, HIDDEN),
        tensor("b", HIDDEN, OUTPUTS, scale=0.05),
        tensor("grid", INPUTS, 2),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], name="first"),
        helper.make_node("Add", ["h", "p"], ["h2"], name="add"),
        helper.make_node("Relu", ["h2"], ["h3"], name="relu"),
        helper.make_node("MatMul", ["h3", "b"], ["y"], name="second"),
        helper.make_node("Softmax", ["x"], ["share"], name="softmax"),
        helper.make_node("MatMul", ["share", "grid"], ["place"], name="place"),
    ]
    shapes = {"x": [8, INPUTS], "y": [8, OUTPUTS], "place": [8, 2]}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


def feeds(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.standard_normal((8, INPUTS)).astype(np.float32)} for _ in range(count)]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))


@pytest.fixture
def both(tmp_path: Path):
    plain = network(tmp_path / "plain.onnx")
    quantize_graph(plain, feeds(20, 1), tmp_path / "int8.onnx")
    return plain, tmp_path / "int8.onnx"


def test_the_answers_are_near_and_the_file_is_a_quarter(both) -> None:
    plain, small = (open_graph(path, "onnx") for path in both)
    for feed in feeds(10, 2):
        (expected, places), (found, own) = plain(feed), small(feed)
        assert 0 < relative(found, expected) < 0.05
        np.testing.assert_allclose(own, places, atol=1e-6)  # a mean of coordinates is not rounded
    assert both[1].stat().st_size < 0.3 * both[0].stat().st_size


def test_each_channel_has_a_scale_of_its_own(both) -> None:
    """With one for all, columns a hundredth of the largest one's size would be lost."""
    made = onnx.load(both[1])
    sizes = sorted(
        tensor.dims[0] for tensor in made.graph.initializer if tensor.data_type == 1 and len(tensor.dims) == 1
    )
    assert {HIDDEN, OUTPUTS} <= set(sizes)


def test_what_shall_stay_stays(tmp_path: Path) -> None:
    plain = network(tmp_path / "plain.onnx")
    quantize_graph(plain, feeds(20, 1), tmp_path / "part.onnx", keep=["second"])
    kept = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load(tmp_path / "part.onnx").graph.initializer
        if tuple(tensor.dims) == (HIDDEN, OUTPUTS)
    ]
    (original,) = (t for t in onnx.load(plain).graph.initializer if t.name == "b")
    assert len(kept) == 1
    np.testing.assert_array_equal(kept[0], numpy_helper.to_array(original))
