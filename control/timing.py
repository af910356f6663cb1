"""When a policy is asked and what it may be given: one `Timing`, kept in its checkpoint and read by everyone.

Who trains, who evaluates and who launches must agree on these figures: a decoder that was trained to be given
30 committed commands makes nonsense of 60.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError

PLAN_FRAMES = 3  # camera frames between plans: 10 Hz where cameras have 30
ACT_FRAMES = 4  # camera frames between chunks, unless the file of an environment says otherwise
MAX_PREFIX_S = 0.25  # [s] of committed commands
MAX_PLAN_AGE_S = 0.3  # [s]
PAST_COMMAND_TICKS = 8


@dataclass(frozen=True)
class Timing:
    """Rates and limits of one policy; part of the checkpoint. UserError for one that cannot be."""

    control_hz: int
    plan_every_ticks: int  # between plans
    act_every_ticks: int  # between chunks
    max_prefix_ticks: int  # the most committed commands that the decoder learned to be given
    past_command_ticks: int  # commands before a chunk that the decoder is given
    max_plan_age_s: float  # [s]: the oldest plans that the decoder learned from

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name.startswith("max") else 1
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise UserError(f"timing.{field.name}: got {value!r}, expected a number of at least {least}")

    def check(self, embodiment: Embodiment) -> None:
        """Raises UserError unless a controller of that robot can give the policy what it expects."""
        hz, past = self.control_hz, self.past_command_ticks
        if hz != embodiment.control_hz:
            expected = f"{embodiment.name}'s {embodiment.control_hz}"
            raise UserError(f"policy: timing.control_hz: got {hz}, expected {expected}")
        if past > PAST_COMMAND_TICKS:
            raise UserError(
                f"policy: timing.past_command_ticks: got {past}, expected 1 to {PAST_COMMAND_TICKS}"
            )

    def delay_ticks(self, name: str, delay_ms: float) -> int:
        """Returns an inference time in ticks.

        Args:
            name: of the option that it was given by.
            delay_ms: [ms].

        Raises:
            UserError: so many committed commands cannot be given to the policy.
        """
        most, hz = self.max_prefix_ticks, self.control_hz
        ticks = round(delay_ms * hz / 1000)
        if not 0 <= ticks <= most:
            raise UserError(
                f"{name}: got {delay_ms:g} ms, expected 0 to {1000 * most / hz:g}: the policy can be given "
                f"{most} committed commands at {hz} Hz"
            )
        return ticks


@runtime_checkable
class Timed(Protocol):
    """A policy that says when it is to be asked."""

    @property
    def timing(self) -> Timing: ...


def timing_of(policy: object, embodiment: Embodiment) -> Timing:
    """A policy's own timing, or what is usual for the robot where it says nothing of it."""
    return policy.timing if isinstance(policy, Timed) else usual_timing(embodiment)


def usual_timing(embodiment: Embodiment) -> Timing:
    """What policies of a robot are trained with."""
    environment = embodiment.environment
    act_frames = (environment.act_frames if environment else 0) or ACT_FRAMES
    return Timing(
        control_hz=embodiment.control_hz,
        plan_every_ticks=PLAN_FRAMES * embodiment.frame_ticks,
        act_every_ticks=act_frames * embodiment.frame_ticks,
        max_prefix_ticks=int(MAX_PREFIX_S * embodiment.control_hz),
        past_command_ticks=PAST_COMMAND_TICKS,
        max_plan_age_s=MAX_PLAN_AGE_S,
    )
