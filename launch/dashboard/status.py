"""A running robot in one dictionary, as the page, `/metrics` and the alarms have it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.safe_stop import StopState
from ideomotor.control.runtime.shared_state import SharedState, text_of, unpack_frames
from ideomotor.launch.dashboard.alarms import AlarmLimits, AlarmWatch, Snapshot
from ideomotor.launch.runtime.figures.recent import Recent

JPEG_QUALITY = 80
POINT = (255, 40, 160)  # RGB of the points that the interpreter means


class StatusReader:
    """Follows a running robot; `poll` many times a second, from one thread, the rest from any.

    Args:
        shared: of the running robot.
        embodiment: which robot.
        instruction: that it began with.
        drivers: who may drive.
        limits: of what is still as it should be.
    """

    def __init__(
        self,
        shared: SharedState,
        embodiment: Embodiment,
        instruction: str,
        drivers: Iterable[str],
        limits: AlarmLimits | None = None,
    ) -> None:
        self.cameras = [name for name, *_ in shared.spec.cameras]
        self.alarms = AlarmWatch(embodiment.joint_names, tuple(embodiment.grippers), limits)
        self.news: list[str] = []  # alarms that were raised, in words, for whoever takes them
        self._shared, self._embodiment, self._drivers = shared, embodiment, list(drivers)
        self._instruction, self._question = instruction, ""
        self._recent, self._lock = Recent(shared), threading.Lock()
        self._state, self._frames, self._plan = shared.state.new(), shared.frames.new(), shared.plan.new()
        self._changed = shared.instruction.new()

    def poll(self) -> None:
        """Takes over what is new, and looks for what is wrong."""
        with self._lock:
            now = time.monotonic()
            self._recent.take(now)
            if not self._shared.state.read(self._state) or not self._recent.ticks:
                return
            self._shared.frames.read(self._frames)
            late = self._recent.late_us()
            seen = Snapshot(
                now,
                self._state["position"].copy(),
                self._state["command"].copy(),
                self._state["temperature"].copy(),
                self._recent.changed_share(),
                float(np.percentile(late, 99)),
                text_of(self._state["stage"]) == StopState.RUN,
                unpack_frames(self._frames, self._shared.spec),
                self._recent.jerk(self._embodiment),
                self._recent.confidence(),
            )
            self.news += self.alarms.see(seen)

    def pose(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(measured, commanded), each (A,); None before there is one."""
        with self._lock:
            if not self._shared.state.read(self._state):
                return None
            return self._state["position"].copy(), self._state["command"].copy()

    def status(self) -> dict[str, Any]:
        """All that is shown but pictures; null where something is not known."""
        with self._lock:
            now, robot, state = time.monotonic(), self._embodiment, self._state
            known = bool(self._shared.state.read(state))
            newest = self._recent.ticks[-1] if self._recent.ticks else None
            late = self._recent.late_us()
            planned = bool(self._shared.plan.read(self._plan))
            if self._shared.instruction.read(self._changed):
                self._instruction = text_of(self._changed["text"])
                self._question = text_of(self._changed["question"])
            percentiles = np.percentile(late, [50, 99, 100]) if len(late) else [math.nan] * 3
            ages = ("state", "chunk", "plan", "action")
            return _finite(
                {
                    "robot": robot.name,
                    "stage": text_of(state["stage"]) if known else "starting",
                    "reason": text_of(state["reason"]) if known else "",
                    "driver": text_of(state["driver"]) if known else "",
                    "drivers": self._drivers,
                    "tick": int(state["tick"]) if known else None,
                    "state_age_ms": 1000 * (now - float(state["time"])) if known else None,
                    "hz": self._recent.hz(),
                    "control_hz": float(robot.control_hz),
                    "late_us": dict(zip(("p50", "p99", "max"), map(float, percentiles), strict=True)),
                    "ages_ms": {a: 1000 * float(newest[f"{a}_age"]) for a in ages} if newest else {},
                    "cameras": [
                        {"name": c.name, "hz": c.hz, "age_ms": 1000 * c.age_s}
                        for c in self._recent.cameras(now)
                    ],
                    "interventions": dict(self._recent.interventions.most_common()),
                    "changed_share": self._recent.changed_share(),
                    "joints": self._joints() if known else [],
                    "plan": {
                        "text": text_of(self._plan["text"]),
                        "progress": float(self._plan["progress"]),
                    }
                    if planned
                    else None,
                    "confidence": self._recent.confidence(),
                    "instruction": self._instruction,
                    "question": self._question,
                    "alarms": list(self.alarms.active.values()),
                    "alarms_raised": dict(self.alarms.raised),
                }
            )

    def picture(self, camera: str) -> bytes | None:
        """The newest picture as JPEG, with the points that the interpreter means; None: there is none."""
        with self._lock:
            if not self._shared.frames.read(self._frames):
                return None
            image = unpack_frames(self._frames, self._shared.spec).get(camera)
            if image is None:
                return None
            points = self._plan["keypoints"].copy() if self._shared.plan.read(self._plan) else ()
        height, width = image.shape[:2]
        scale = max(1, 320 // width)
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        for point in points:
            if text_of(point["camera"]) == camera and text_of(point["name"]):
                at = (round(float(point["u"]) * scale * width), round(float(point["v"]) * scale * height))
                cv2.drawMarker(image, at, POINT, cv2.MARKER_CROSS, 16, 2)
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
        return jpeg.tobytes() if done else None

    def _joints(self) -> list[dict[str, Any]]:
        state = self._state
        return [
            {
                "name": joint.name,
                "unit": joint.unit,
                "position": float(state["position"][i]),
                "command": float(state["command"][i]),
                "lower": float(joint.lower),
                "upper": float(joint.upper),
                "temperature": float(state["temperature"][i]),
                "voltage": float(state["voltage"][i]),
            }
            for i, joint in enumerate(self._embodiment.joints)
        ]


def _finite(value: Any) -> Any:
    """The same with None for what is not finite: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
