"""A message that came over a network, read field by field: every mistake names the field, value and expected.

Whoever has read all that is meant calls `end`, which refuses what is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError, unknown_name

MAX_TEXT = 4096  # characters of a text, an instruction for example


class FieldError(UserError):
    """A field of a message that is not as expected.

    Attributes:
        field: which one, with the maps that it is in: `observation.images.front`.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Fields:
    """A map of a message.

    Args:
        value: what should be one.
        where: its own name, with the maps that it is in; empty for the message itself.

    Raises:
        FieldError: it is none.
    """

    def __init__(self, value: Any, where: str) -> None:
        self._where, self._read = where, set[str]()
        if not isinstance(value, Mapping):
            raise FieldError(where or "message", f"{where or 'message'}: {_kind(value)}, expected a map")
        self._value: Mapping[str, Any] = value

    @property
    def names(self) -> Iterable[str]:
        """Of the fields that there are."""
        return self._value.keys()

    def path(self, name: str) -> str:
        """A field's name with the maps that it is in."""
        return f"{self._where}.{name}" if self._where else name

    def error(self, name: str, got: str, expected: str) -> FieldError:
        """The error of a field."""
        return FieldError(self.path(name), f"{self.path(name)}: got {got}, expected {expected}")

    def end(self) -> None:
        """Raises FieldError for a field that nobody read."""
        for name in self._value:
            if name not in self._read:
                what = unknown_name(f"{self._where or 'message'} field", name[:80], self._read)
                raise FieldError(self.path(name[:80]), str(what))

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def holds_map(self, name: str) -> bool:
        return isinstance(self._value.get(name), Mapping)

    def fields(self, name: str) -> Fields:
        """A map within this one."""
        return Fields(self._take(name), self.path(name))

    def whole(self, name: str, least: int = 0, default: int | None = None) -> int:
        """A whole number from `least` on, below 2**53."""
        value = self._take(name, default)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value < 2**53:
            raise self.error(name, _kind(value), f"a whole number of at least {least}")
        return int(value)

    def number(self, name: str, default: float | None = None, may_be_nan: bool = False) -> float:
        """A finite number."""
        value = self._take(name, default)
        plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not plain or not (abs(value) < 1e15 or (may_be_nan and math.isnan(value))):
            raise self.error(name, _kind(value), "a finite number")
        return float(value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool | np.bool_):
            raise self.error(name, _kind(value), "true or false")
        return bool(value)

    def text(self, name: str, default: str | None = None) -> str:
        """A text, of any length up to `MAX_TEXT`."""
        value = self._take(name, default)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise self.error(name, _kind(value), f"a text of at most {MAX_TEXT} characters")
        return value

    def texts(self, name: str) -> list[str]:
        value = self._take(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.error(name, _kind(value), "a list of texts")
        return value

    def bytes_of(self, name: str) -> bytes:
        value = self._take(name)
        if not isinstance(value, bytes):
            raise self.error(name, _kind(value), "bytes")
        return value

    def point(self, name: str) -> tuple[str, float, float]:
        """(camera, u, v)."""
        value = self._take(name)
        if isinstance(value, list) and len(value) == 3:
            camera, u, v = value
            if isinstance(camera, str) and isinstance(u, float) and isinstance(v, float):
                return camera, u, v
        raise self.error(name, _kind(value), "[camera, u, v]")

    def array(
        self, name: str, shape: tuple[int | None, ...], kinds: str = "fiu", optional: bool = False
    ) -> Any:
        """An array of finite numbers, or None where it is optional and missing.

        Args:
            shape: None where any size will do.
            kinds: numpy's letters for what it may hold.
        """
        if optional and self._value.get(name) is None:
            self._read.add(name)
            return None
        value = self._take(name)
        wanted = f"{'uint8' if kinds == 'u' else 'numbers'} of shape ({_sizes(shape)})"
        if not isinstance(value, np.ndarray):
            raise self.error(name, _kind(value), f"an array, {wanted}")
        fits = value.ndim == len(shape) and all(
            b is None or a == b for a, b in zip(value.shape, shape, strict=True)
        )
        if not fits or value.dtype.kind not in kinds or (kinds == "u" and value.dtype != np.uint8):
            raise self.error(name, f"{value.dtype} of shape {value.shape}", wanted)
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise self.error(name, "a number that is not finite", wanted)
        return value

    def _take(self, name: str, default: Any = None) -> Any:
        self._read.add(name)
        if name in self._value:
            return self._value[name]
        if default is None:
            raise FieldError(self.path(name), f"{self.path(name)}: missing")
        return default


def _kind(value: Any) -> str:
    """A value in an error, whatever it is."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping | list):
        return f"a {'map' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    return f"{type(value).__name__} {str(value)[:60]!r}"


def _sizes(shape: tuple[int | None, ...]) -> str:
    return ", ".join("any" if size is None else str(size) for size in shape)
