"""What the shared state (control/runtime/shared_state.py) holds: records, plain words, and their sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ideomotor.control.timing import PAST_COMMAND_TICKS

# "body": physics of a simulated robot
HEARTBEATS = (
    "supervisor",
    "control",
    "guardian",
    "decoder",
    "interpreter",
    "cameras",
    "body",
    "teleoperator",
)
# Each is carried out when its word grows; marks by whoever shows the session, the others by control.
REQUESTS = (
    "finish", "estop", "rearm", "again", "begin", "take_over", "hand_back", "mark_good", "mark_bad",
)  # fmt: skip
MAX_PREFIX_TICKS = 48  # commands ahead that the decoder may be given [ticks]
MAX_HORIZON = 512  # [ticks]
MAX_PLAN_FLOATS = 65536
MAX_SCENE_FLOATS = 256
MAX_KEYPOINTS = 8
TEXT_BYTES = 512
NAME_BYTES = 32
WHO_BYTES = 64
STATE = ("position", "velocity", "effort")
SLOTS = {
    "ticks": 480,
    "frames": 16,
    "films": 16,
    "sim_command": 64,
}  # of mailboxes whose every record matters to somebody


@dataclass(frozen=True)
class SharedStateSpec:
    """What one process tells another so that both see the same shared state."""

    name: str  # of the shared memory
    joints: int
    cameras: tuple[tuple[str, int, int], ...]  # (name, height, width)
    films: tuple[tuple[str, int, int], ...] = ()  # the same as the log has them, where that is larger

    @property
    def filmed(self) -> SharedStateSpec:
        """For packing and unpacking the pictures that the log has."""
        return replace(self, cameras=self.films or self.cameras)

    @property
    def dtypes(self) -> dict[str, np.dtype[np.void]]:
        """{mailbox: what its records look like}; times are seconds of the monotonic clock."""
        joints, number, real = self.joints, np.int64, np.float64
        text, name = f"S{TEXT_BYTES}", f"S{NAME_BYTES}"
        keypoint = np.dtype([("name", name), ("camera", name), ("u", real), ("v", real)])
        return {
            "state": np.dtype(
                [
                    ("tick", number),  # executed ticks before this one
                    ("policy_tick", number),  # of the policy's time, in which chunks are indexed
                    ("playing", np.bool_),  # whether it passes: a chunk was executed at this tick
                    ("epoch", number),  # grows with each re-arming; chunks made before it are void
                    ("time", real),
                    *((part, real, (joints,)) for part in STATE),
                    ("command", real, (joints,)),  # what was sent at this tick
                    ("last_commands", real, (3, joints)),  # oldest first
                    ("committed_prefix", real, (MAX_PREFIX_TICKS, joints)),  # from this policy_tick on
                    ("past_commands", real, (PAST_COMMAND_TICKS, joints)),  # of the policy_ticks before it
                    ("stage", name),  # of the safe stop
                    ("reason", text),  # why it is there
                    ("driver", name),  # who gives the targets: policy or person
                    ("temperature", real, (joints,)),  # [°C], NaN where not measured
                    ("voltage", real, (joints,)),  # [V]
                ]
            ),
            "ticks": np.dtype(  # the same once more for whoever wants every tick, besides how it went
                [
                    ("tick", number),
                    ("time", real),
                    ("policy_time", real),  # [ticks] that the command is of; NaN: of no chunk
                    ("late_us", real),  # that the tick before this one began after its deadline
                    *((part, real, (joints,)) for part in (*STATE, "command")),
                    *(
                        (age, real) for age in ("state_age", "chunk_age", "plan_age", "action_age")
                    ),  # [s], NaN: none
                    ("stage", name),
                    ("reason", text),
                    ("driver", name),
                    ("interventions", text),  # of the safety filter, with commas between them
                ]
            ),
            "frames": _pictures(self.cameras),
            "films": _pictures(self.films),
            "scene": np.dtype(  # where everything in a simulated world is, for whoever draws it
                [
                    ("time", real),
                    ("n", number),
                    ("positions", real, (MAX_SCENE_FLOATS,)),
                    ("success", np.bool_),
                ]
            ),
            "sim_command": np.dtype(
                [("tick", number), ("position", real, (joints,))]
            ),  # to a simulated robot
            "sim_state": np.dtype([("time", real), *((p, real, (joints,)) for p in STATE)]),
            "plan": np.dtype(
                [
                    ("observed_at", real),
                    ("progress", real),
                    ("specialist", name),  # skill that its policy is for; empty: the general one
                    ("shape", number, (2,)),
                    ("text", text),
                    ("keypoints", keypoint, (MAX_KEYPOINTS,)),
                    ("tokens", np.float32, (MAX_PLAN_FLOATS,)),
                ]
            ),
            "instruction": np.dtype(  # what to do from now on, if somebody changed it
                [
                    ("text", text),
                    ("specialist", name),  # the skill whose own policy is to do it, if any
                    ("question", text),  # that somebody is asked to answer; empty: nobody is
                ]
            ),
            "teleop": np.dtype(  # what a person wants, see control/teleop/teleoperator.py
                [
                    ("time", real),  # of its measuring
                    ("position", real, (joints,)),
                    ("engaged", np.bool_),
                    ("fault", text),  # why there is nothing new; empty while there is
                ]
            ),
            "chunk": np.dtype(
                [
                    ("starts_at", number),
                    ("epoch", number),
                    ("rows", number),
                    ("hz", real),
                    ("observed_at", real),
                    ("plan_observed_at", real),
                    ("confidence", real),  # that it will solve the task; NaN: nobody asked
                    ("actions", np.float32, (MAX_HORIZON, joints)),
                ]
            ),
        }


def _pictures(cameras: tuple[tuple[str, int, int], ...]) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("time", np.float64),  # of the oldest picture in it
            ("times", np.float64, (len(cameras),)),
            ("present", np.bool_, (len(cameras),)),
            *((camera, np.uint8, (height, width, 3)) for camera, height, width in cameras),
        ]
    )
