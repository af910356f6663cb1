"""A policy server without networks, for launches whose policy does not matter: chunks sway the arm a little.

A launch that asks it starts in half the time and a third of the CPU of one that loads the bundled policy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import ActionChunk, LatentPlan
from ideomotor.launch.serving.messages import VERSION, chunk_map, plan_map, seal

HORIZON = 96
SWAY_RAD, SWAY_HZ = 0.05, 0.5  # of every joint


def metadata(robot: Embodiment) -> dict[str, Any]:
    """What a connection begins with."""
    timing = usual_timing(robot)
    names = ("control_hz", "plan_every_ticks", "act_every_ticks", "max_prefix_ticks", "past_command_ticks")
    about = {
        "version": VERSION,
        "robot": robot.name,
        "robot_fingerprint": robot.fingerprint,
        "fingerprint": "sways",
        "dataset": "nothing: it sways",
        "cameras": [camera.name for camera in robot.cameras],
        "horizon": HORIZON,
        "calibrated": False,
        "has_decoder": True,
        "max_message": 1 << 24,
        "timing": {name: getattr(timing, name) for name in names} | {"max_plan_age_s": timing.max_plan_age_s},
    }
    return {"ideomotor": about}


def answer(connection: int, body: dict[str, Any]) -> list[bytes | str]:
    """To a message of ours; of a `ScriptedServer`."""
    found: dict[str, Any] = {"id": body["id"], "type": "done"}
    if body["type"] == "plan":
        plan = LatentPlan(np.zeros((1, 1), np.float32), body["observation"]["time"], "now: sway.")
        found |= {"type": "plan", "plan": plan_map(plan), "timing_ms": 0.0}
    elif body["type"] == "act":
        found |= {"type": "chunk", "chunk": chunk_map(_chunk(body)), "timing_ms": 0.0}
    return [seal(found)]


def _chunk(body: dict[str, Any]) -> ActionChunk:
    """On from the last command that there is, behind what is committed."""
    now, prefix = body["observation"], np.asarray(body["committed_prefix"], np.float32)
    before = next(
        each for each in (prefix, now.get("past_commands", prefix), now["state"][None]) if len(each)
    )
    at = 2 * np.pi * SWAY_HZ * (now["tick"] + np.arange(len(prefix) - 1, HORIZON)) / 120
    sway = SWAY_RAD * (np.sin(at[1:]) - np.sin(at[0]))
    actions = np.concatenate([prefix, (before[-1] + sway[:, None]).astype(np.float32)])
    return ActionChunk(actions, 120.0, now["tick"], now["time"], body["plan"]["observed_at"])
