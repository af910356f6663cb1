"""Hand-edited YAML, read field by field: every mistake is one line with the file, the field and the value.

Embodiment and calibration files are both read with it. A `Field` is a value together with where it
stands; its methods return the value as what was asked for, or raise the UserError that says why not.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ideomotor.control.errors import UserError, unknown_name

MAX_FILE_BYTES = 1_000_000
EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d{1,3}")


def read_yaml(path: Path) -> Any:
    """Returns what a YAML file holds.

    Raises:
        UserError: it cannot be read, is too large, or is not YAML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(data) > MAX_FILE_BYTES:
        raise UserError(f"{path}: larger than {MAX_FILE_BYTES} bytes, expected an embodiment file")
    try:
        return yaml.safe_load(data.decode())
    # PyYAML lets these others escape on malformed tagged scalars and deep nesting.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__
        raise UserError(f"{path.name}: not valid YAML{line} ({problem})") from error


@dataclass(frozen=True)
class Field:
    """A value of the file together with where it stands, for messages."""

    value: Any
    where: str  # e.g. "joints[2].lower"
    file: str

    def fail(self, expected: str) -> UserError:
        where = f"{self.where}: " if self.where else ""
        try:
            value = reprlib.repr(self.value)
        except ValueError:  # an integer of more digits than Python prints
            value = "a huge number"
        return UserError(f"{self.file}: {where}got {value}, expected {expected}")

    def record(self, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Field]:
        """Returns the fields of a mapping, which must be the required ones and perhaps optional ones."""
        required, valid = list(required), [*required, *optional]
        if not isinstance(self.value, dict):
            raise self.fail("a mapping with " + ", ".join(required))
        prefix = f"{self.where}." if self.where else ""
        for key in self.value:
            if not isinstance(key, str):
                raise self.fail("a mapping with " + ", ".join(required))
            if key not in valid:
                raise unknown_name(f"{self.file}: {prefix}field", key[:80], valid)
        for key in required:
            if key not in self.value:
                raise UserError(f"{self.file}: {prefix}{key}: missing")
        return {key: Field(value, f"{prefix}{key}", self.file) for key, value in self.value.items()}

    def items(self, count: int | None = None) -> list[Field]:
        if not isinstance(self.value, list) or (count is not None and len(self.value) != count):
            raise self.fail("a list" if count is None else f"a list of {count}")
        return [Field(value, f"{self.where}[{i}]", self.file) for i, value in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value.strip() or not self.value.isprintable():
            raise self.fail("a line of text")
        return self.value

    def number(self, above: float = -1e12, below: float = 1e12) -> float:
        """Returns a number in the open interval (above, below), hence finite."""
        value = self.value
        if isinstance(value, str) and EXPONENT.fullmatch(value):  # YAML 1.1 takes 1e9 for a word
            value = float(value)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not above < value < below:
            raise self.fail(f"a number in ({above:g}, {below:g})")
        return float(value)

    def integer(self, above: int, below: int) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not above < self.value < below:
            raise self.fail(f"a whole number in ({above}, {below})")
        return self.value

    def vector(self, count: int) -> tuple[float, ...]:
        return tuple(item.number() for item in self.items(count))

    def named(self, build: Callable[[Field], Any]) -> tuple[Any, ...]:
        """Returns a list of things built from records, whose names must differ."""
        things = tuple(build(item) for item in self.items())
        names = [thing.name for thing in things]
        if len(set(names)) < len(names):
            raise Field(names, self.where, self.file).fail("names that differ")
        return things
