"""Messages as bytes: msgpack with arrays as openpi's programs write and read them.

An array is a map with the keys `b"__ndarray__"`, `b"data"` (C order), `b"dtype"` (`dtype.str`), `b"shape"`; a
numpy scalar one with `b"__npgeneric__"`, `b"data"` and `b"dtype"`. Nothing is ever pickled. What comes from a
network is bounded before anything is allocated for it: an array is a view of the message's own bytes.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError

ARRAY, SCALAR, DATA, DTYPE, SHAPE = b"__ndarray__", b"__npgeneric__", b"data", b"dtype", b"shape"
KINDS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")  # no objects, no structures, no complex numbers, no text
MAX_DIMENSIONS = 8
MAX_ITEMS = 4096  # of a list; what is longer is an array
MAX_KEYS = 256  # of a map
MAX_TEXT = 65_536  # bytes of a string


def pack(message: Any) -> bytes:
    """The bytes of a message of maps with text keys, lists, text, bytes, numbers, None and numpy's arrays.

    Raises:
        UserError: an array of another kind than whole numbers, floats and booleans.
    """
    return _msgpack().packb(message, default=_packed, use_bin_type=True)


def unpack(data: bytes | memoryview) -> Any:
    """What `pack` packed; arrays are read-only views of `data`.

    Raises:
        UserError: it is no message, or one with a longer list, map or text than any that is meant.
    """
    msgpack = _msgpack()
    try:
        return msgpack.unpackb(
            data,
            object_hook=_unpacked,
            max_str_len=MAX_TEXT,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_KEYS,
            max_ext_len=0,
        )
    except UserError:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"message: {len(data)} bytes that are not a whole msgpack message: {said}") from None


def _packed(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and KINDS.fullmatch(value.dtype.str) is None:
        raise UserError(f"array: dtype {value.dtype}, expected whole numbers, floats or booleans")
    if isinstance(value, np.ndarray):
        return {ARRAY: True, DATA: value.tobytes(), DTYPE: value.dtype.str, SHAPE: value.shape}
    if isinstance(value, np.generic):
        return {SCALAR: True, DATA: value.item(), DTYPE: value.dtype.str}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _unpacked(value: dict[Any, Any]) -> Any:
    if ARRAY in value:
        return _array(value)
    if SCALAR in value:
        number = value.get(DATA)
        if set(value) != {SCALAR, DATA, DTYPE} or not isinstance(number, bool | int | float):
            raise UserError("array: a scalar is not a map of __npgeneric__, data (a number) and dtype")
        try:
            return _dtype(value[DTYPE]).type(number)
        except OverflowError:
            raise UserError(f"array: {number} is no {value[DTYPE]}") from None
    if not all(isinstance(key, str) for key in value):
        raise UserError("message: a key that is no text")
    return value


def _array(value: dict[Any, Any]) -> np.ndarray:
    if set(value) != {ARRAY, DATA, DTYPE, SHAPE}:
        raise UserError("array: not a map of __ndarray__, data, dtype and shape")
    dtype, shape, data = _dtype(value[DTYPE]), value[SHAPE], value[DATA]
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(map(_is_size, shape)):
        raise UserError(f"array: shape {str(shape)[:80]}, expected up to {MAX_DIMENSIONS} sizes")
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        size = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise UserError(f"array: {size} of data, expected {dtype} of shape {tuple(shape)}")
    return np.frombuffer(data, dtype).reshape(shape)


def _is_size(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**31


def _dtype(name: Any) -> np.dtype:
    if not isinstance(name, str) or KINDS.fullmatch(name) is None:
        raise UserError(f"array: dtype {str(name)[:40]!r}, expected whole numbers, floats or booleans")
    return np.dtype(name)


def _msgpack() -> Any:
    try:
        import msgpack
    except ImportError:
        raise missing_extra("msgpack") from None
    return msgpack


def missing_extra(what: str) -> UserError:
    """The error of a library that is not installed."""
    return UserError(f"{what}: policies over a network need the extra: pip install 'ideomotor[serve]'")
