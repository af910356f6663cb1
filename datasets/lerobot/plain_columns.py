"""Columns of parquet files as numpy arrays, and why some cannot be: lists of records, gaps, ragged rows.

A dataset may have columns that nobody here asks for, in forms that are no arrays: LeRobot's annotations
(`language_persistent`, `language_events`) are lists of records. They are recognised here and left alone.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ideomotor.control.errors import UserError


def why_no_array(kind: pa.DataType) -> str:
    """Returns why columns of this type are not arrays of numbers or texts; "" where they are."""
    value = kind
    while is_list(value):
        value = value.value_type
    if pa.types.is_dictionary(value):
        value = value.value_type
    number = pa.types.is_integer(value) or pa.types.is_floating(value) or pa.types.is_boolean(value)
    if number or pa.types.is_string(value) or pa.types.is_large_string(value):
        return ""
    what = "records" if pa.types.is_struct(value) else str(value)
    return f"lists of {what}, not numbers or texts" if is_list(kind) else f"{what}, not numbers or texts"


def to_numpy(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """Returns a column as (T,) or (T, n); texts as an object array. UserError when it is not one."""
    if why := why_no_array(column.type):
        raise UserError(f"{where}: {why}")
    if column.null_count:
        raise UserError(f"{where}: {column.null_count} values are missing")
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunks
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    rows = len(array)
    while is_list(array.type):
        if not pa.types.is_fixed_size_list(array.type):
            widths = set(np.diff(array.offsets.to_numpy()))
            if len(widths) > 1:
                raise UserError(f"{where}: rows of different lengths {sorted(map(int, widths))}")
        array = array.flatten()
        if array.null_count:
            raise UserError(f"{where}: {array.null_count} values are missing")
    values = array.to_numpy(zero_copy_only=False)
    return values if column.type == array.type else values.reshape(rows, -1 if rows else 0)


def is_list(kind: pa.DataType) -> bool:
    fixed = pa.types.is_fixed_size_list(kind)
    return fixed or pa.types.is_list(kind) or pa.types.is_large_list(kind)
