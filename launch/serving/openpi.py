"""openpi's protocol, as its clients speak it: one map of an observation in, one of a chunk out.

Their keys differ from robot to robot: `observation/image`, `images/cam_high`, or maps within maps. A camera
is found by its own name at the end of a key, the joint state by `state` and the instruction by `prompt`;
everything else is said by pairs `THEIRS=OURS` (`serve --map`), where `A+B=state` joins vectors end to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.launch.serving.fields import FieldError
from ideomotor.launch.serving.messages import PolicySizes

STATE, INSTRUCTION = "state", "instruction"
PROMPTS = ("prompt", "instruction", "task")
NO_TICK = 1 << 40  # far from any other: nothing is known of what was commanded before
MAX_DEPTH = 4


@dataclass(frozen=True)
class KeyMap:
    """Pairs of another's key and ours."""

    pairs: tuple[tuple[tuple[str, ...], str], ...] = ()  # ((theirs, …), ours)

    def ours(self, key: str) -> str | None:
        """What one of their keys is called here; None if no pair says so."""
        return next((ours for theirs, ours in self.pairs if key in theirs), None)


def parse_key_map(texts: Sequence[str], cameras: Sequence[str]) -> KeyMap:
    """The pairs THEIRS=OURS; UserError for one that is none, or names nothing of ours."""
    valid, pairs = [*cameras, STATE, INSTRUCTION], []
    for text in texts:
        theirs, equals, ours = text.rpartition("=")
        parts = tuple(part for part in theirs.split("+") if part)
        if not equals or not parts or ours not in valid:
            raise UserError(f"map: got {text!r}, expected THEIRS=OURS with one of {', '.join(valid)}")
        if len(parts) > 1 and ours != STATE:
            raise UserError(f"map: got {text!r}, but only vectors of the {STATE} are joined")
        pairs.append((parts, ours))
    names = [ours for _, ours in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"map: {twice[0]!r} is meant twice")
    return KeyMap(tuple(pairs))


def read_openpi(message: Any, sizes: PolicySizes, keys: KeyMap, hz: float) -> Observation:
    """The observation in a client's map.

    Every request stands for itself: the client does not say what it has executed. Commands that it knows it
    may send as `past_commands`, ((P, A), oldest first).

    Raises:
        FieldError: naming the field that is unknown, missing or of another shape.
    """
    if not isinstance(message, Mapping):
        raise FieldError("message", f"message: {type(message).__name__}, expected a map")
    flat = dict(_flat(message))
    images: dict[str, np.ndarray] = {}
    parts: dict[str, Any] = {}
    past: np.ndarray | None = None
    instruction = ""
    for key, value in flat.items():
        ours = keys.ours(key) or _own_name(key, sizes.cameras)
        if ours in sizes.cameras:
            images[ours] = _image(key, value)
        elif ours == STATE:
            parts[key] = value
        elif ours == INSTRUCTION:
            instruction = _text(key, value)
        elif ours == "past_commands":
            past = _vectors(key, value, sizes)
        else:
            known = ", ".join([*sizes.cameras, STATE, "prompt"])
            raise FieldError(key, f"{key}: unknown field, expected {known}, or a pair in `serve --map`")
    state = _state(parts, keys, sizes)
    return Observation(NO_TICK / hz, NO_TICK, images, state, instruction, past)


def openpi_reply(
    chunk: ActionChunk, plan: LatentPlan, infer_ms: float, total_ms: float, previous_ms: float
) -> dict[str, Any]:
    """What an openpi client is answered; its only array has a row for each command, as its broker needs."""
    return {
        "actions": np.asarray(chunk.actions, np.float32),
        "plan_text": plan.text,
        "policy_timing": {"infer_ms": infer_ms},
        "server_timing": {"infer_ms": total_ms, "prev_total_ms": previous_ms},
    }


def _flat(message: Mapping[str, Any], before: str = "", depth: int = 0) -> Any:
    """(key, value) with maps within maps as `outer/inner`."""
    for key, value in message.items():
        name = f"{before}{str(key)[:80]}"
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            yield from _flat(value, f"{name}/", depth + 1)
        else:
            yield name, value


def _own_name(key: str, cameras: tuple[str, ...]) -> str:
    last = key.replace(".", "/").rpartition("/")[2]
    return INSTRUCTION if last in PROMPTS else last if last in (*cameras, STATE, "past_commands") else ""


def _image(key: str, value: Any) -> np.ndarray:
    """As sent, (H, W, 3) or (3, H, W): the policy's own check turns it round or refuses it."""
    if not isinstance(value, np.ndarray) or value.ndim != 3 or not value.size:
        what = f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise FieldError(key, f"{key}: {what}, expected a picture, (H, W, 3) uint8 RGB")
    return value


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError(key, f"{key}: {type(value).__name__}, expected a text")
    return value


def _vectors(key: str, value: Any, sizes: PolicySizes) -> np.ndarray:
    rows = np.asarray(value)
    if rows.dtype.kind not in "fiu" or rows.ndim != 2 or rows.shape[1] != sizes.joints:
        wanted = f"(P, {sizes.joints}) numbers"
        raise FieldError(key, f"{key}: {rows.dtype} of shape {rows.shape}, expected {wanted}")
    return rows


def _state(parts: dict[str, Any], keys: KeyMap, sizes: PolicySizes) -> np.ndarray:
    """(D,) float32, of one vector or of several in the order of their pair."""
    order = next((theirs for theirs, ours in keys.pairs if ours == STATE), tuple(parts))
    if missing := [key for key in order if key not in parts] or ([STATE] if not parts else []):
        raise FieldError(missing[0], f"{missing[0]}: missing, expected ({sizes.state},) numbers")
    vectors = []
    for key in order:
        vector = np.asarray(parts[key])
        if vector.dtype.kind not in "fiu" or vector.ndim > 1:
            raise FieldError(key, f"{key}: {vector.dtype} of shape {vector.shape}, expected a vector")
        vectors.append(np.atleast_1d(vector).astype(np.float32))
    state = np.concatenate(vectors)
    if state.shape != (sizes.state,):
        raise FieldError(order[0], f"{' + '.join(order)}: {len(state)} numbers, expected {sizes.state}")
    return state
