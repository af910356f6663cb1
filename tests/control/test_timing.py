"""One timing for everyone: what is usual for a robot, and what is refused."""

from dataclasses import replace

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import PAST_COMMAND_TICKS, Timing, timing_of, usual_timing

ARM = load_embodiment("so101")
USUAL = Timing(120, 12, 16, 30, 8, 0.3)


def test_what_is_usual_follows_from_the_robot_and_its_environment() -> None:
    assert usual_timing(ARM) == USUAL
    assert usual_timing(load_embodiment("metaworld")) == Timing(80, 12, 8, 20, 8, 0.3)
    assert usual_timing(load_embodiment("reacher")).max_prefix_ticks == 12


def test_a_policy_may_have_a_timing_of_its_own() -> None:
    class Quick:
        timing = replace(USUAL, act_every_ticks=4)

    assert timing_of(Quick(), ARM).act_every_ticks == 4
    assert timing_of(object(), ARM) == USUAL


def test_delays_become_ticks_up_to_what_the_policy_can_be_given() -> None:
    assert [USUAL.delay_ticks("delay", ms) for ms in (0, 50, 250)] == [0, 6, 30]
    with pytest.raises(UserError, match=r"delay-ms: got 260 ms, expected 0 to 250: .* 30 committed commands"):
        USUAL.delay_ticks("delay-ms", 260)


@pytest.mark.parametrize(
    ("name", "value"),
    [("control_hz", 0), ("plan_every_ticks", -1), ("max_prefix_ticks", -1), ("act_every_ticks", "4")],
)
def test_impossible_timings_are_refused(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"timing.{name}: got {value!r}"):
        replace(USUAL, **{name: value})


def test_what_a_robot_s_controller_cannot_give_is_refused() -> None:
    USUAL.check(ARM)
    with pytest.raises(UserError, match="timing.control_hz: got 60, expected so101's 120"):
        replace(USUAL, control_hz=60).check(ARM)
    with pytest.raises(UserError, match="timing.past_command_ticks"):
        replace(USUAL, past_command_ticks=PAST_COMMAND_TICKS + 1).check(ARM)
