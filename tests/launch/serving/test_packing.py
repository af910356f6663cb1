"""Messages as bytes: as openpi's programs have them, and bounded before anything is allocated."""

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ideomotor.control.errors import UserError
from ideomotor.launch.serving.packing import MAX_DIMENSIONS, MAX_ITEMS, pack, unpack

GOLDEN = (  # what openpi-client 0.1.2 makes of {"actions": zeros((1, 2), float32)}
    "81a7616374696f6e7384c40b5f5f6e6461727261795f5fc3c40464617461c4080000000000000000"
    "c4056474797065a33c6634c4057368617065920102"
)
KINDS = st.sampled_from(["|b1", "|u1", "<i4", "<i8", ">f4", "<f4", "<f8"])


def array_map(**changes: object) -> dict[bytes, object]:
    made = {b"__ndarray__": True, b"data": bytes(8), b"dtype": "<f4", b"shape": [2]}
    return {**made, **{name.encode(): value for name, value in changes.items()}}


def test_the_bytes_are_those_of_openpi() -> None:
    message = {"actions": np.zeros((1, 2), np.float32)}
    assert pack(message).hex() == GOLDEN
    assert unpack(bytes.fromhex(GOLDEN))["actions"].tolist() == [[0.0, 0.0]]


@given(arrays.arrays(KINDS.map(np.dtype), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0)))
def test_an_array_comes_back_as_it_was(array: np.ndarray) -> None:
    back = unpack(pack({"a": array, "s": array.dtype.type(1), "n": None, "t": "ö", "l": [1, 2.5, b"x"]}))
    assert back["a"].dtype == array.dtype and back["a"].shape == array.shape
    assert back["a"].tobytes() == array.tobytes()
    assert back["s"] == 1 and type(back["s"]) in (array.dtype.type, float)  # float64 is a float of Python's
    assert (back["n"], back["t"], back["l"]) == (None, "ö", [1, 2.5, b"x"])
    assert not back["a"].flags.writeable


def test_a_view_that_is_not_contiguous_is_sent_in_its_own_order() -> None:
    array = np.arange(24).reshape(4, 6)[::2, ::-1].T
    assert unpack(pack(array)).tolist() == array.tolist()


@pytest.mark.parametrize("array", [np.array([object()]), np.array([1j]), np.array(["a"]), np.zeros(1, "V3")])
def test_other_arrays_are_not_sent(array: np.ndarray) -> None:
    with pytest.raises(UserError, match="array: dtype"):
        pack({"a": array})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (array_map(dtype="|O"), "dtype"),
        (array_map(dtype="<c8"), "dtype"),
        (array_map(dtype="V8"), "dtype"),
        (array_map(dtype=3), "dtype"),
        (array_map(shape=[3]), "8 bytes of data"),
        (array_map(shape=[-2]), "shape"),
        (array_map(shape=[2**40, 2**40]), "shape"),
        (array_map(shape=[True, 2]), "shape"),
        (array_map(shape=[1] * MAX_DIMENSIONS + [2]), "shape"),
        (array_map(data="text"), "str of data"),
        (array_map(more=1), "not a map of"),
        ({b"__npgeneric__": True, b"data": "x", b"dtype": "<f4"}, "scalar"),
        ({b"__npgeneric__": True, b"data": 300, b"dtype": "|u1"}, "300"),
        ({b"key": 1}, "key"),
        ([0] * (MAX_ITEMS + 1), "not a whole msgpack message"),
        ({str(i): 0 for i in range(300)}, "not a whole msgpack message"),
        ("x" * 70_000, "not a whole msgpack message"),
        (msgpack.ExtType(5, b"1234"), "not a whole msgpack message"),
    ],
)
def test_what_is_no_message_is_refused_in_one_line(message: object, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        unpack(msgpack.packb(message))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        bytes.fromhex("dd7fffffff"),  # a list that says it has two thousand million items
        bytes.fromhex("df7fffffff"),
        bytes.fromhex("c67fffffff") + b"x",
        b"\x91" * 5000,  # lists within lists
        pack({"a": np.zeros(9)})[:-1],
        pack({"a": 1}) + b"\x00",
        b"\xa2\xff\xfe",  # text that is no UTF-8
        b"\x81\x01\x02",  # a key that is a number
        b"\x81\x90\x02",  # a key that is a list
    ],
)
def test_broken_bytes_are_refused_before_anything_is_allocated(data: bytes) -> None:
    with pytest.raises(UserError, match="message: "):
        unpack(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        unpack(data)
    except UserError as error:
        assert len(str(error)) < 400
