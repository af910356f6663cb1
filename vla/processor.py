"""Numbers in and out of the decoder: normalisation that is saved with the checkpoint and fingerprinted.

Joint targets are learned relative to where the chunk begins, with a mean and a spread for each tick of the
chunk: what comes next is then known finely, what comes later coarsely, and the same motion looks the same
wherever the arm is. It begins at the last command, which is known exactly, or, in older checkpoints, at the
measured state, whose noise then shifts the whole chunk. Deltas are relative already, and learned as they are.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError

SPREAD_FLOOR = 0.01  # [rad or m]: smaller spreads are noise, and dividing by them would blow it up
ORIGINS = ("state", "command")
FOLLOWING = (0.02, 0.2)  # [rad or m]: units of the state's difference to the last command, each cut off at 3


@dataclass(frozen=True)
class Processor:
    """Statistics of the training data; H ticks, A joints, D numbers of the state."""

    embodiment: str
    fingerprint: str  # of the embodiment: what makes its commands comparable
    joints: tuple[str, ...]
    control_hz: int
    dataset: str  # what the statistics come from
    state_mean: tuple[float, ...]  # (D,) [rad or m]
    state_std: tuple[float, ...]  # (D,)
    action_mean: tuple[tuple[float, ...], ...]  # (H, A) relative to the state [rad or m]
    action_std: tuple[tuple[float, ...], ...]  # (H, A)
    targets: bool = True  # whether commands are joint targets (D = A); else deltas, unrelated to the state
    origin: str = "state"  # what joint targets are relative to: the measured state, or the last command

    @property
    def state_numbers(self) -> int:
        """How many numbers `state` gives."""
        follows = self.targets and self.origin == "command"
        return len(self.state_mean) * (1 + len(FOLLOWING) if follows else 1)

    def origin_of(self, state: np.ndarray, past_commands: np.ndarray) -> np.ndarray:
        """What a chunk's commands are relative to, (…, A).

        Args:
            state: (…, D) measured at the chunk's first tick.
            past_commands: (…, P, A) up to the tick before.
        """
        return past_commands[..., -1, :] if self.origin == "command" else state

    def check(self, embodiment: Embodiment) -> None:
        """Raises UserError unless this checkpoint was trained for that robot."""
        if self.fingerprint != embodiment.fingerprint:
            raise UserError(
                f"policy: trained for robot {self.embodiment!r} ({len(self.joints)} joints, "
                f"{self.fingerprint}), cannot drive {embodiment.name!r} ({len(embodiment.joints)} joints, "
                f"{embodiment.fingerprint})"
            )

    def state(self, state: np.ndarray, origin: np.ndarray | None = None) -> np.ndarray:
        """What the networks are given of the state, normalised float32.

        Args:
            state: (…, D) measured.
            origin: (…, A) the last command, where chunks begin there.

        Returns:
            (…, D) the state; or (…, 3 D) the last command and, in two units, how far the state is from it,
            which also tells what a gripper holds.

        Raises:
            UserError: another number of joints.
        """
        if state.shape[-1] != len(self.state_mean):
            joints = f" ({', '.join(self.joints)})" if self.targets else ""
            raise UserError(
                f"observation.state: {state.shape[-1]} values, expected {len(self.state_mean)}{joints}"
            )
        mean, std = self._state
        if not self.targets or self.origin == "state":
            return ((state - mean) / std).astype(np.float32)
        assert origin is not None, "chunks begin at the last command"
        behind = [np.clip((state - origin) / unit, -3.0, 3.0) for unit in FOLLOWING]
        return np.concatenate([(origin - mean) / std, *behind], axis=-1).astype(np.float32)

    def past_commands(self, commands: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """(…, P, A) past commands, (…, A) origin -> relative, normalised by the first tick's spread."""
        return ((commands - self._from(origin)) / self._action[1][0]).astype(np.float32)

    def relative(self, actions: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """(…, n, A) commands from the chunk's first tick on, (…, A) origin -> normalised float32."""
        mean, std = (part[: actions.shape[-2]] for part in self._action)
        return ((actions - self._from(origin) - mean) / std).astype(np.float32)

    def absolute(self, actions: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """The inverse of `relative`, float64."""
        mean, std = (part[: actions.shape[-2]] for part in self._action)
        return actions.astype(float) * std + mean + self._from(origin)

    def _from(self, origin: np.ndarray) -> np.ndarray | float:
        """What is taken off commands, (…, 1, A)."""
        return origin[..., None, :] if self.targets else 0.0

    def to_json(self) -> bytes:
        """What `load_processor` reads."""
        return (json.dumps(asdict(self)) + "\n").encode()

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_bytes(self.to_json())

    @cached_property
    def _state(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.state_mean), np.array(self.state_std)

    @cached_property
    def _action(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.action_mean), np.array(self.action_std)


def fit_processor(
    embodiment: Embodiment,
    dataset: str,
    states: np.ndarray,
    actions: np.ndarray,
    counted: np.ndarray,
    past_commands: np.ndarray | None = None,
) -> Processor:
    """Statistics of N windows.

    Args:
        states: (N, D); actions: (N, H, A) absolute; counted: (N, H) false where padded.
        past_commands: (N, P, A) before them: chunks then begin at the last of them, else at the state.
    """
    begins = states if past_commands is None else past_commands[:, -1]
    offsets = actions - begins[:, None, :] if embodiment.targets else actions
    weight = counted[..., None].astype(float)
    total = weight.sum(0).clip(1.0)
    mean = (offsets * weight).sum(0) / total
    std = np.sqrt((((offsets - mean) ** 2) * weight).sum(0) / total).clip(SPREAD_FLOOR)
    return Processor(
        embodiment=embodiment.name,
        fingerprint=embodiment.fingerprint,
        joints=embodiment.joint_names,
        control_hz=embodiment.control_hz,
        dataset=dataset,
        state_mean=_floats(states.mean(0)),
        state_std=_floats(states.std(0).clip(SPREAD_FLOOR)),
        action_mean=tuple(map(_floats, mean)),
        action_std=tuple(map(_floats, std)),
        targets=embodiment.targets,
        origin="state" if past_commands is None else "command",
    )


def load_processor(path: Path) -> Processor:
    """Reads what `save` wrote. UserError naming the file when it is missing or malformed."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for name in ("joints", "state_mean", "state_std"):
            values[name] = tuple(values[name])
        for name in ("action_mean", "action_std"):
            values[name] = tuple(tuple(row) for row in values[name])
        processor = Processor(**values)
        joints, width = len(processor.joints), len(processor.state_mean)
        spreads = np.concatenate([np.ravel(processor.state_std), np.ravel(processor.action_std)])
        fits = (
            width == len(processor.state_std)
            and (width == joints or not processor.targets)
            and all(
                np.shape(rows) == (len(processor.action_mean), joints)
                for rows in (processor.action_mean, processor.action_std)
            )
        )
        if processor.origin not in ORIGINS:
            raise ValueError(f"origin {processor.origin!r}, expected one of {', '.join(ORIGINS)}")
        if not fits or not np.isfinite(spreads).all() or spreads.min() <= 0:
            raise ValueError("statistics of the wrong shape or not above zero")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not a processor file: {error}") from None
    return processor


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
