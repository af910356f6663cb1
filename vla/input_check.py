"""What a policy is given, checked at its border: other units would drive a robot wrong.

What is plainly meant is converted (pictures of floats, channels first). What cannot be known is refused in
one line that says what to do: at the first observation of an episode, and a picture at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.types import Observation
from ideomotor.vla.processor import Processor

FAR = 2 * np.pi  # [rad or m] from the mean of training, and ...
SPREADS = 10.0  # ... spreads from it: farther is no joint position in these units
CHANNELS = 3


class InputCheck:
    """The observations of one episode.

    Args:
        cameras: those that the policy's networks see.
        processor: what the state was in training.
    """

    def __init__(self, cameras: Iterable[str], processor: Processor) -> None:
        self._cameras, self._processor = tuple(dict.fromkeys(cameras)), processor
        self._first = True
        self._scales: dict[str, float] = {}  # of pictures of floats: 255 where white is 1

    def admit(self, observation: Observation) -> Observation:
        """The observation as the policy expects it: pictures uint8 (H, W, 3).

        Raises:
            UserError: it is something else; says of what, and what to do.
        """
        if self._first:
            self._check_names(observation.images)
            self._check_state(observation.state)
            if not isinstance(observation.instruction, str):
                kind = type(observation.instruction).__name__
                raise UserError(f"observation.instruction: got {kind}, expected a string")
            self._first = False
        if all(_is_picture(image) for image in observation.images.values()):
            return observation
        images = {name: self._converted(name, image) for name, image in observation.images.items()}
        return replace(observation, images=images)

    def _check_names(self, images: Mapping[str, Any]) -> None:
        if not isinstance(images, Mapping):
            raise UserError(f"observation.images: got {type(images).__name__}, expected {{camera: picture}}")
        lacking = [name for name in self._cameras if name not in images]
        strange = [name for name in images if name not in self._cameras]
        if lacking and strange:
            hint = unknown_name("observation.images: camera", strange[0], self._cameras)
            raise UserError(
                f"{hint}; rename it, or leave it out to let the policy run without {lacking[0]!r}"
            )

    def _check_state(self, state: Any) -> None:
        values, names = np.asarray(state), self._processor.joints
        width = len(self._processor.state_mean)
        if values.dtype.kind not in "fiu" or values.ndim != 1:
            raise UserError(
                f"observation.state: {values.dtype} of shape {values.shape}, expected ({width},) numbers "
                "of one moment, without a batch"
            )
        if len(values) != width:
            return  # the processor says so
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise UserError(f"observation.state[{at}]: got {values[at]}, expected a finite number")
        if not self._processor.targets:
            return  # of somebody else's environment, in whatever units it likes
        away = np.abs(values - np.array(self._processor.state_mean))
        far = away > np.maximum(FAR, SPREADS * np.array(self._processor.state_std))
        if far.any():
            at = int(np.argmax(np.where(far, away, 0.0)))
            raise UserError(
                f"observation.state: {names[at]} is {values[at]:.4g}, in training it was about "
                f"{self._processor.state_mean[at]:.2g}; expected rad (np.radians of degrees) or m, as the "
                "robot measures them"
            )

    def _converted(self, camera: str, image: Any) -> np.ndarray:
        """(H, W, 3) uint8."""
        name, picture = f"observation.images.{camera}", np.asarray(image)
        if picture.ndim == 3 and picture.shape[2] != CHANNELS and picture.shape[0] == CHANNELS:
            picture = picture.transpose(1, 2, 0)
        if picture.ndim != 3 or picture.shape[2] != CHANNELS or not picture.size:
            raise UserError(f"{name}: shape {np.shape(image)}, expected RGB (H, W, 3){_remedy(picture)}")
        if picture.dtype == np.uint8:
            return np.ascontiguousarray(picture)
        if picture.dtype.kind not in "fiu":
            raise UserError(f"{name}: {picture.dtype}, expected uint8 (or floats from 0 to 1)")
        low, high = float(picture.min()), float(picture.max())
        if not (0 <= low and high <= 255):  # NaN is neither
            raise UserError(
                f"{name}: values from {low:.4g} to {high:.4g}, expected uint8 (or floats from 0 to 1): undo "
                "the normalisation"
            )
        if picture.dtype.kind == "f" and high > 0:
            scale = self._scales.setdefault(camera, 255.0 if high <= 1 else 1.0)
            if high * scale > 255.5:
                raise UserError(f"{name}: white was 1 before, now there is {high:.4g}; expected one scale")
            picture = picture * scale
        return np.ascontiguousarray(np.rint(picture).astype(np.uint8))


def newest(past_commands: Any, ticks: int, joints: int) -> np.ndarray:
    """Returns the newest commands that were sent, (ticks, joints) float64; older ones are left out.

    Raises:
        UserError: there are fewer, they are of other joints, or one is no number.
    """
    past = np.asarray(past_commands)
    if past.dtype.kind not in "fiu" or past.ndim != 2 or len(past) < ticks or past.shape[1] != joints:
        raise UserError(
            f"observation.past_commands: {past.dtype} of shape {past.shape}, expected ({ticks}, {joints}) "
            "numbers, oldest first, or more ticks (or none at all, where nobody knows)"
        )
    past = past[-ticks:].astype(float)
    if not np.isfinite(past).all():
        raise UserError("observation.past_commands: a command is not finite, expected what was sent")
    return past


def _is_picture(image: Any) -> bool:
    """Whether nothing has to be done."""
    plain = isinstance(image, np.ndarray) and image.dtype == np.uint8
    return plain and image.ndim == 3 and image.shape[2] == CHANNELS and image.size > 0


def _remedy(picture: np.ndarray) -> str:
    if picture.ndim == 4:
        return " without a batch: image[0]"
    if picture.ndim == 2:
        return ": np.stack([image] * 3, axis=-1) of a grey one"
    if picture.ndim == 3 and picture.shape[2] == 4:
        return " without a fourth channel: image[..., :3]"
    return ""
