"""How well an arm's servos are, measured over some seconds without switching anything on.

Each servo in turn is asked for all that it tells about itself; how long it takes to answer, and how often it
does not, is measured with it. Nothing is written to a servo, so its motor stays as it is. What is out of
bounds is said in words (`problems`); what is merely worth knowing is a note.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.robots.family import Family, ServoReport
from ideomotor.control.robots.faults import FAULTS
from ideomotor.control.robots.latency_timer import remedy
from ideomotor.control.robots.pace import SHARE, kept_hz, rounds
from ideomotor.control.robots.register_retry import PAUSE
from ideomotor.control.robots.servo_health import judge
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.servo_bus import Servo, ServoBus

ANSWER_S = 0.05  # [s] a reply may take here; a later one is lost
SIZES = 10  # lengths that are asked for in turn, so that a late reply does not pass for a new one
TRIES = 8  # before a servo counts as absent
LOST_SHARE = 0.001  # of the replies, above which a line is not sound; a single one is always a note
HIGH_LOAD = 0.8  # share of the stall torque that a standing arm should not need
CLOSE_TO_HOT = 10.0  # [°C] below a servo's limit, from which on there is a note


@dataclass
class ServoCheck:
    """What was measured of one servo; lists have one entry for each reply."""

    servo: Servo
    report: ServoReport | None = None  # None: it does not answer at all
    reply_s: list[float] = field(default_factory=list)  # [s]
    voltage: list[float] = field(default_factory=list)  # [V]
    temperature: list[float] = field(default_factory=list)  # [°C]
    load: list[float] = field(default_factory=list)  # share of the stall torque, signed
    current: list[float] = field(default_factory=list)  # [A], NaN where it is not measured
    status: int = 0  # all error bits that were ever set
    wrong: dict[str, str] = field(default_factory=dict)  # {fault: detail}, of `faults.FAULTS`
    asked: int = 0
    lost: int = 0
    damaged: int = 0

    @property
    def name(self) -> str:
        shadow = ", shadow" if self.servo.follows is not None else ""
        return f"{self.servo.joint} (id {self.servo.id}{shadow})"

    def reply_ms(self, percentile: float) -> float:
        """How long its replies take [ms]; NaN without any."""
        return 1000 * float(np.percentile(self.reply_s, percentile)) if self.reply_s else float("nan")


@dataclass(frozen=True)
class ArmCheck:
    """An arm's.

    Attributes:
        servos: those of the joints in their order, then shadows.
        tick_s: how long the readings of one tick take, (n,) [s], as often as all servos answered.
        problems: what is out of bounds, one line each; empty for an arm that is well.
        notes: what is worth knowing.
    """

    servos: tuple[ServoCheck, ...]
    tick_s: np.ndarray
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_arm(
    line: ServoLine,
    family: Family,
    layout: ServoBus,
    hz: float,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> ArmCheck:
    """Measures an arm for some seconds; changes nothing.

    Args:
        line: open.
        hz: the rate that it is to be driven at.
        seconds: how long each servo is asked again and again.

    Raises:
        UserError: the adapter goes away.
    """
    checks = tuple(ServoCheck(servo) for servo in layout.motors)
    for check in checks:
        _first_look(line, family, check, clock)
    answering = [check for check in checks if check.report is not None]
    began, turn = clock(), 0
    while answering and (turn < len(answering) or clock() - began < seconds):
        _look(line, family, answering[turn % len(answering)], turn // len(answering) % SIZES, clock)
        turn += 1
    complete = len(answering) == len(checks)
    tick_s = rounds(line, family, layout) if complete else np.empty(0)
    problems = [problem for check in checks for problem in _problems(check, family)]
    if complete:
        problems += _pace(line, tick_s, hz)
    return ArmCheck(checks, tick_s, tuple(problems), tuple(_notes(checks, family)))


def _first_look(line: ServoLine, family: Family, check: ServoCheck, clock: Callable[[], float]) -> None:
    """Reads all that a servo says about itself; a servo that never answers has no report."""
    for _ in range(TRIES):
        data = _ask(line, check, 0, family.table_size, clock)
        if data is not None:
            check.report = family.report(check.servo, data)
            return


def _look(
    line: ServoLine, family: Family, check: ServoCheck, longer: int, clock: Callable[[], float]
) -> None:
    """One question to one servo, and what its answer says."""
    start, servo = family.health - longer, check.servo
    data = _ask(line, check, start, family.table_size - start, clock)
    if data is None:
        return
    health = family.read_health(data, start, servo)
    check.voltage.append(health.voltage)
    check.temperature.append(health.temperature)
    check.current.append(health.current)
    check.load.append(family.read_motion(data[family.motion[0] - start :], servo).effort)
    check.status |= health.status
    check.wrong |= judge(health, servo, was_hot=False)


def _ask(
    line: ServoLine, check: ServoCheck, start: int, size: int, clock: Callable[[], float]
) -> bytes | None:
    """A piece of a servo's table, with the time that it took; None if it is lost."""
    began = clock()
    replies = line.read(check.servo.id, start, size, ANSWER_S)
    took = clock() - began
    if not line.is_open:
        raise UserError(f"port: the adapter at {line.path} is gone, expected it to stay plugged in")
    check.asked += 1
    data = replies.data.get(check.servo.id)
    if data is None:
        check.damaged += any(name == "corrupt_reply" for name, _ in replies.problems)
        check.lost += 1
        time.sleep(PAUSE)  # so that a late reply is in by then, and is thrown away
    elif start:  # the whole table takes longer than what a tick asks for
        check.reply_s.append(took)
    return data


def _problems(check: ServoCheck, family: Family) -> list[str]:
    """What is out of bounds in one servo, one line each."""
    report, servo = check.report, check.servo
    if report is None:
        return [
            f"{check.name}: no answer, expected {servo.model.name}: check its cable, its supply and its id"
        ]
    if report.model != servo.model.number:
        expected = f"{servo.model.number} ({servo.model.name})"
        return [f"{check.name}: model {report.model}, expected {expected}"]
    found = [f"{FAULTS[name].meaning}: {detail}" for name, detail in check.wrong.items()]
    if check.load and abs(load := max(check.load, key=abs)) > HIGH_LOAD:
        found.append(
            f"load {100 * abs(load):.0f} % of its stall torque, expected at most {100 * HIGH_LOAD:.0f} %"
        )
    if check.lost > max(1.0, LOST_SHARE * check.asked):
        damaged = f", {check.damaged} of them damaged" if check.damaged else ""
        found.append(
            f"{check.lost} of {check.asked} replies lost{damaged}, expected at most "
            f"{100 * LOST_SHARE:g} %: a loose plug, two servos with this id, or a bad cable before it?"
        )
    try:
        family.check(report)
    except UserError as error:
        return [*(f"{check.name}: {what}" for what in found), str(error)]
    return [f"{check.name}: {what}" for what in found]


def _pace(line: ServoLine, tick_s: np.ndarray, hz: float) -> list[str]:
    """Whether a tick's readings fit into a tick."""
    allowed = SHARE / hz
    if len(tick_s) and tick_s.min() <= allowed:
        return []
    if not len(tick_s):
        return ["line: never did all servos answer within one tick's readings"]
    usual = float(np.median(tick_s))
    why = remedy(line.path) or "other programs on the line, long return delays, or a slow adapter?"
    return [
        f"line: the readings of a tick take {1000 * usual:.1f} ms, expected at most {1000 * allowed:.1f} ms "
        f"for {hz:g} Hz; it could keep {kept_hz(usual)} Hz ({why})"
    ]


def _notes(checks: Sequence[ServoCheck], family: Family) -> list[str]:
    notes = []
    for check in checks:
        report = check.report
        if report is None:
            continue
        limit = check.servo.model.max_temperature
        if check.temperature and limit - CLOSE_TO_HOT <= max(check.temperature) < limit:
            notes.append(
                f"{check.name}: {max(check.temperature):.0f} °C, close to its limit of {limit:.0f} °C"
            )
        if 0 < check.lost <= max(1.0, LOST_SHARE * check.asked):
            notes.append(f"{check.name}: {check.lost} of {check.asked} replies lost")
    answering = [check for check in checks if check.report is not None]
    slow = [c.servo.joint for c in answering if c.report and family.return_delay.decode(c.report.table, 0)]
    if slow:
        notes.append(f"return delay: not 0 in {', '.join(slow)}: a launch sets it, and setup-motors does")
    versions: dict[str, set[str]] = {}
    for check in answering:
        assert check.report is not None
        versions.setdefault(check.servo.model.name, set()).add(check.report.firmware)
    notes += [
        f"firmware: the servos of model {model} have {' and '.join(sorted(different))}, which may differ in "
        "what they do: update them with the maker's program"
        for model, different in versions.items()
        if len(different) > 1
    ]
    if on := [check.servo.joint for check in answering if check.report and check.report.torque]:
        notes.append(f"motors are on: {', '.join(on)}")
    return notes
