"""Our own messages over the socket, beside openpi's: how they are sealed, and what each of them holds.

A message is sealed as `{"ideomotor": VERSION, "crc32": …, "body": bytes}`: whoever speaks openpi's protocol
never sends the first key, and a body that changed on its way is noticed. The body is a map:

| from the client | its fields | the server's answer |
|---|---|---|
| `reset` | `seed`, `without`; optional `steps`, `sampler`, `noise`, `confidence` | `done` |
| `plan` | `observation`; optional `deadline_ms` | `plan`: `plan`, `timing_ms` |
| `act` | `observation`, `plan`, `committed_prefix`; optional `deadline_ms` | `chunk`: `chunk`, `timing_ms` |

All have `type` and `id`; the answer has the request's id. Instead of it there may come `error` (`field`,
`message`) or `dropped` (`reason`), for what was superseded by a newer request or came too late.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.launch.serving.fields import Fields
from ideomotor.launch.serving.packing import pack, unpack

VERSION = 1
KEY, CRC, BODY = "ideomotor", "crc32", "body"
MAX_PIXELS = 4096 * 4096  # of a picture


@dataclass(frozen=True)
class PolicySizes:
    """What a policy's observations and plans look like, to refuse others."""

    cameras: tuple[str, ...]
    joints: int  # A
    state: int  # D
    past_commands: int  # P, the least
    horizon: int  # H [ticks]
    plan: tuple[int, int]  # (K, d)


def seal(body: Mapping[str, Any]) -> bytes:
    """The bytes of one of our messages."""
    packed = pack(body)
    return pack({KEY: VERSION, CRC: zlib.crc32(packed), BODY: packed})


def is_sealed(message: Any) -> bool:
    """Whether an unpacked message is one of ours."""
    return isinstance(message, dict) and KEY in message


def unseal(message: Mapping[str, Any]) -> Fields:
    """The body of one of our messages; UserError if it is of another version or was damaged on its way."""
    fields = Fields(message, "message")
    version, crc, body = fields.whole(KEY), fields.whole(CRC), fields.bytes_of(BODY)
    fields.end()
    if version != VERSION:
        raise UserError(f"{KEY}: version {version}, expected {VERSION}: update whichever is older")
    if zlib.crc32(body) != crc:
        raise UserError(f"{CRC}: the message was damaged on its way")
    return Fields(unpack(body), "")


def observation_map(observation: Observation, jpeg: int | None = None) -> dict[str, Any]:
    """An observation as it is sent.

    Args:
        jpeg: quality from 1 to 100 of the pictures; None sends them as they are.
    """
    images = observation.images.items()
    shown = {name: np.asarray(image) if jpeg is None else _jpeg(image, jpeg) for name, image in images}
    past = observation.past_commands
    return {
        "time": float(observation.time),
        "tick": int(observation.tick),
        "images": shown,
        "state": np.asarray(observation.state),
        "instruction": observation.instruction,
        **({} if past is None else {"past_commands": np.asarray(past)}),
    }


def read_observation(fields: Fields, sizes: PolicySizes) -> Observation:
    """The observation that was sent; UserError naming the field that is not as the policy needs it."""
    images = fields.fields("images")
    seen = Observation(
        time=fields.number("time"),
        tick=fields.whole("tick"),
        images={name: picture(images, name, sizes.cameras) for name in list(images.names)},
        state=fields.array("state", (sizes.state,)),
        instruction=fields.text("instruction"),
        past_commands=fields.array("past_commands", (None, sizes.joints), optional=True),
    )
    past = seen.past_commands
    if past is not None and len(past) < sizes.past_commands:
        raise fields.error("past_commands", f"{len(past)} ticks", f"at least {sizes.past_commands}")
    fields.end()
    return seen


def picture(images: Fields, name: str, cameras: tuple[str, ...]) -> np.ndarray:
    """One picture, (H, W, 3) uint8, sent as an array or as `{"jpeg": bytes}`."""
    if name not in cameras:
        raise images.error(name, "a camera", f"one of {', '.join(cameras)}")
    if not images.holds_map(name):
        return images.array(name, (None, None, 3), kinds="u")
    inner = images.fields(name)
    data = inner.bytes_of("jpeg")
    inner.end()
    return _decoded(data, images.path(name))


def plan_map(plan: LatentPlan) -> dict[str, Any]:
    """A plan as it is sent."""
    return {
        "tokens": np.asarray(plan.tokens),
        "observed_at": float(plan.observed_at),
        "text": plan.text,
        "keypoints": {name: list(point) for name, point in plan.keypoints.items()},
        "progress": float(plan.progress),
    }


def read_plan(fields: Fields, tokens: tuple[int, int] | None = None) -> LatentPlan:
    """The plan that was sent, with (K, d) tokens or none; UserError naming the field."""
    points, found = fields.fields("keypoints"), {}
    for name in list(points.names):
        camera, u, v = points.point(name)
        found[name] = (camera, u, v)
    given = fields.array("tokens", (None, None), kinds="f")
    if tokens is not None and given.size and given.shape != tokens:
        raise fields.error("tokens", f"shape {given.shape}", f"{tokens}, or none")
    text, progress = fields.text("text"), fields.number("progress")
    plan = LatentPlan(given, fields.number("observed_at"), text, found, progress)
    fields.end()
    return plan


def chunk_map(chunk: ActionChunk) -> dict[str, Any]:
    """A chunk as it is sent."""
    return {
        "actions": np.asarray(chunk.actions),
        "hz": float(chunk.hz),
        "starts_at": int(chunk.starts_at),
        "observed_at": float(chunk.observed_at),
        "plan_observed_at": float(chunk.plan_observed_at),
        "confidence": float(chunk.confidence),
    }


def read_chunk(fields: Fields, joints: int) -> ActionChunk:
    """The chunk that was sent, for so many joints; UserError naming the field."""
    chunk = ActionChunk(
        actions=fields.array("actions", (None, joints), kinds="f"),
        hz=fields.number("hz"),
        starts_at=fields.whole("starts_at"),
        observed_at=fields.number("observed_at"),
        plan_observed_at=fields.number("plan_observed_at"),
        confidence=fields.number("confidence", may_be_nan=True),
    )
    fields.end()
    return chunk


def _jpeg(image: np.ndarray, quality: int) -> dict[str, bytes]:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(data, "JPEG", quality=quality)
    return {"jpeg": data.getvalue()}


def _decoded(data: bytes, where: str) -> np.ndarray:
    """(H, W, 3) uint8 of a JPEG; its size is known before anything is decoded."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        if image.width * image.height > MAX_PIXELS:
            raise UserError(f"{where}: {image.width} x {image.height} pixels, expected at most {MAX_PIXELS}")
        return np.asarray(image.convert("RGB"))
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{where}: {len(data)} bytes that are no JPEG: {error}") from None
