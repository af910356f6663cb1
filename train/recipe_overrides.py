"""`--set key=value` on a recipe: one field, nested ones with dots (`decoder.steps=2000`).

They are read here and not by tyro, which takes neither `compile=true` nor `decoder.weights=3,0.5`, and says
what is wrong in a box of many lines.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from ideomotor.control.errors import UserError

R = TypeVar("R")

# Keys of older versions. A key that begins with one of the first is named by its new beginning.
MOVED = {
    "scenes.feels": "interpreter.use_proprio",
    "scenes": "interpreter",
    "policy.astray": "decoder.off_path_augmentation",
    "policy.objective.drop_history": "decoder.objective.drop_past_commands",
    "policy.objective.history_jitter": "decoder.objective.past_command_jitter",
    "policy": "decoder",
}
MOVED_DIRS = {"interpreter": "init.interpreter", "decoder": "init.policy"}  # today these are groups


def overridden(recipe: R, overrides: Sequence[str]) -> R:
    """A recipe with `key=value` changes applied in order. UserError for a key or value that is none."""
    for override in overrides:
        key, equals, value = override.partition("=")
        key = key.strip()
        if not equals:
            raise UserError(f"set: {override!r}, expected key=value")
        if moved := _moved(key):
            raise UserError(f"set: {key} is called {moved} now")
        recipe = _with(recipe, key.split("."), value.strip(), key)
    return recipe


def _moved(key: str) -> str:
    """What a key of an older version is called now; "" for others."""
    for old, new in MOVED.items():
        if key == old or key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return MOVED_DIRS.get(key, "")


def _with(value: Any, path: list[str], text: str, key: str) -> Any:
    """A copy of a nested dataclass with one field parsed from text."""
    names = [f.name for f in fields(value)]
    name = path[0]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"set: unknown key {key!r}{hint} (valid: {', '.join(names)})")
    old = getattr(value, name)
    if len(path) > 1:
        if not is_dataclass(old):
            raise UserError(f"set: unknown key {key!r}: {name} has no fields")
        return replace(value, **{name: _with(old, path[1:], text, key)})
    if is_dataclass(old):
        inner = ", ".join(f"{key}.{f.name}" for f in fields(old))
        raise UserError(f"set: {key}: is a group, expected one of {inner}")
    return replace(value, **{name: _parsed(text, get_type_hints(type(value))[name], key)})


def _parsed(text: str, kind: type, key: str) -> Any:
    """The text as a value of a field's type."""
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    elif kind is str:
        return text
    else:
        try:
            if kind == tuple[float, ...]:
                return tuple(float(part) for part in text.split(",") if part.strip())
            if kind == tuple[str, ...]:
                return tuple(part.strip() for part in text.split(",") if part.strip())
            return kind(text)
        except ValueError:
            pass
    expected = "numbers with commas between" if kind == tuple[float, ...] else kind.__name__
    raise UserError(f"set: {key}: got {text!r}, expected {expected}")
