"""A running robot in the terminal: what it does, how punctual it is, what was changed; and four keys.

Reads the shared state only, from the supervisor's process, and so is never in the control loop's way.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import sys
import time
from collections.abc import Callable, Generator, Sequence

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ideomotor.control.runtime.shared_state import SharedState, text_of
from ideomotor.control.runtime.shared_state_spec import REQUESTS
from ideomotor.control.teleop.teleoperator import DriverName
from ideomotor.launch.runtime.companion import Companion
from ideomotor.launch.runtime.figures.recent import Recent
from ideomotor.launch.runtime.keyboard import each_key, in_foreground, keys_in, read_keys
from ideomotor.launch.runtime.marks import AGAIN, MARKS, Marks
from ideomotor.launch.streams import gone

REFRESH_S = 0.25
GONE = (OSError, SystemExit)  # what printing raises when the terminal is; rich makes an exit of a closed pipe
KEYS = {
    " ": ("estop", "emergency stop"),
    "r": ("rearm", "re-arm"),
    "h": ("again", "home"),
    "\n": ("begin", "begin again"),
    "q": ("finish", "finish"),
}
KEY_NAMES = {" ": "space", "\n": "Enter"}
DRIVER_KEY = "t"
MARK_REQUESTS = {"mark_good": "good", "mark_bad": "bad"}


class View:
    """What is shown while a robot runs.

    Without a terminal there is no live picture: only what changes in the safe stop, and who drives, is said,
    one line each.

    Args:
        shared: of the running robot.
        hz: that control is meant to reach.
        console: where to show it.
        drivers: who may drive: with both, a key takes over and hands back.
        on_keys: takes the keys that mean nothing here.
        companion: is asked for each key first, and for rows to show.
        on_event: called with stops, with who drives, and with marks: what, and facts by name.
    """

    def __init__(
        self,
        shared: SharedState,
        hz: float,
        console: Console,
        drivers: Sequence[DriverName] = (),
        on_keys: Callable[[str], None] | None = None,
        companion: Companion | None = None,
        on_event: Callable[..., None] = lambda what, **facts: None,
    ) -> None:
        self._companion, self._on_event = companion, on_event
        self._shared, self._hz, self._console = shared, hz, console
        self._drivers: tuple[DriverName, ...] = tuple(drivers)
        self._driver = ""
        self._on_keys = on_keys
        self._recent = Recent(shared)
        self._marked = dict.fromkeys(MARK_REQUESTS, 0)  # how often each was requested
        self._plan = shared.plan.new()
        self._stage = ("", "")
        self._refreshed = 0.0
        self._counted = 0
        self._keys: int | None = None
        self.marks = Marks()
        self.takeovers = 0
        self._live: Live | None = None

    @contextlib.contextmanager
    def shown(self) -> Generator[None]:
        """Shows it, and obeys keys, while the block runs."""
        with contextlib.ExitStack() as stack:
            keyboard = sys.stdin.fileno() if sys.stdin and not sys.stdin.closed else -1
            if keyboard >= 0 and os.isatty(keyboard) and in_foreground(keyboard):
                self._keys = stack.enter_context(each_key(keyboard))
            if self._console.is_terminal:
                self._live = Live(
                    console=self._console, auto_refresh=False, transient=True, redirect_stdout=False
                )
                self._live.start()
            stack.callback(self._hide)
            if self._companion:
                self._companion.begin(self.say)
            yield

    def _hide(self) -> None:
        live, self._live, self._keys = self._live, None, None
        try:
            if live:
                live.stop()
        except GONE:
            sys.stderr = sys.__stderr__  # it had taken its place

    def poll(self) -> None:
        """To be called many times a second: obeys keys, and shows what is new now and then."""
        self._handle_keys()
        now = time.monotonic()
        if now - self._refreshed < REFRESH_S:
            return
        self._refreshed = now
        try:
            self.take(now)
            if self._live is not None:
                self._live.update(self.table(now), refresh=True)
            if gone(sys.__stderr__) or gone(sys.stderr):
                self._lost()
        except GONE:
            self._lost()

    def count(self, left: float) -> None:
        """To be called before the motors are switched on, with the seconds left until then."""
        if (seconds := math.ceil(left)) != self._counted:
            self._counted = seconds
            self.say(f"torque on in {seconds} s (Ctrl-C: give up)")

    def say(self, text: str) -> None:
        """One line, above the picture if there is one."""
        try:
            self._console.print(text, markup=False)
        except GONE:
            self._lost()

    def take(self, now: float) -> None:
        """Takes over what is new in the shared state at time `now` [s]."""
        for request, mark in MARK_REQUESTS.items():
            asked = int(self._shared.requests[REQUESTS.index(request)])
            if asked > self._marked[request]:
                self._mark(mark)
            self._marked[request] = asked
        for record in self._recent.take(now):
            stage = (text_of(record["stage"]), text_of(record["reason"]))
            self.marks.see(int(record["tick"]), *stage)
            self._see_driver(text_of(record["driver"]))
            if stage != self._stage:
                self._stage = stage
                self._on_event("stage", tick=int(record["tick"]), stage=stage[0], reason=stage[1])
                if self._live is None:
                    self.say(f"{stage[0]}: {stage[1]}" if stage[1] else stage[0])
                if stage == ("park", AGAIN) and self._keys is not None:
                    self.say(
                        "put the things back; g or b marks the attempt as good or bad, Enter begins again"
                    )

    def _see_driver(self, driver: str) -> None:
        before, self._driver = self._driver, driver
        self.takeovers += (before, driver) == (DriverName.POLICY, DriverName.PERSON)
        if len(self._drivers) > 1 and before not in ("", driver):
            self._on_event("driver", driver=driver)
            self.say(f"driver: the {driver}")

    def table(self, now: float) -> Table:
        """The picture, at time `now` [s]."""
        shown = Table(box=None, show_header=False, pad_edge=False)
        shown.add_column(style="bold", no_wrap=True)
        shown.add_column()
        stage, reason = self._stage
        shown.add_row("state", f"{stage or 'starting'}{f': {reason}' if reason else ''}")
        if DriverName.PERSON in self._drivers:
            key = "hand back" if self._driver == DriverName.PERSON else "take over"
            also = f" ({DRIVER_KEY}: {key})" if len(self._drivers) > 1 else ""
            shown.add_row("driver", f"the {self._driver or DriverName.PERSON}{also}")
        if self._recent.ticks:
            newest, late, hz = self._recent.ticks[-1], self._recent.late_us(), self._recent.hz()
            p50, p99 = np.percentile(late, [50, 99])
            shown.add_row(
                "control",
                f"tick {int(newest['tick'])}, {hz:.1f} Hz of {self._hz:g}, lateness p50 {p50:.0f} µs, "
                f"p99 {p99:.0f}, max {late.max():.0f}",
            )
            kinds = [
                ("state",),
                ("chunk", "plan") * (DriverName.POLICY in self._drivers or not self._drivers),
            ]
            kinds.append(("action",) * (DriverName.PERSON in self._drivers))
            ages = [f"{what} {_ms(float(newest[f'{what}_age']))}" for each in kinds for what in each]
            shown.add_row("ages", ", ".join(ages))
        cameras = [f"{c.name} {c.hz:.0f} a second, {_ms(c.age_s)} old" for c in self._recent.cameras(now)]
        shown.add_row("cameras", "; ".join(cameras) or "none")
        changed = ", ".join(f"{reason} {n}" for reason, n in self._recent.interventions.most_common())
        shown.add_row("safety", f"ticks with a changed command: {changed or 'none'}")
        if self._shared.plan.read(self._plan):
            progress = float(self._plan["progress"])
            shown.add_row("plan", f"{text_of(self._plan['text']) or '(not in words)'} ({progress:.0%} done)")
        own = self._companion.rows() if self._companion else {}
        for heading, text in own.items():
            shown.add_row(heading, text)
        if self._keys is not None and "keys" not in own:
            keys = "h: home, Enter: again, g/b: mark, q: finish, Ctrl-C: leave"
            shown.add_row("keys", f"space: emergency stop, r: re-arm, {keys}")
        return shown

    def _handle_keys(self) -> None:
        if self._keys is None:
            return
        while select.select([self._keys], [], [], 0)[0]:
            try:
                typed = read_keys(self._keys)
            except OSError:
                typed = ""
            if not typed:
                self._lost()
                return
            others = ""
            for key in keys_in(typed):
                if self._companion and self._companion.key(key, time.monotonic()):
                    continue
                if len(key) == 1 and key not in {*MARKS, *KEYS, DRIVER_KEY}:
                    others += key
                if key in MARKS:
                    self._mark(MARKS[key])
                if key == DRIVER_KEY and len(self._drivers) > 1:
                    self._change_driver()
                if key in KEYS:
                    self._shared.request(KEYS[key][0], f"key {KEY_NAMES.get(key, key)}")
                    if self._live is None:
                        self.say(f"key: {KEYS[key][1]}")
            if others and self._on_keys:
                self._on_keys(others)

    def _mark(self, mark: str) -> None:
        self.marks.mark(mark)
        self._on_event("mark", mark=mark)
        self.say(f"this attempt: {mark}")

    def _change_driver(self) -> None:
        state = self._shared.state.new()
        known = self._shared.state.read(state)
        person = known and text_of(state["driver"]) == DriverName.PERSON
        self._shared.request("hand_back" if person else "take_over", f"key {DRIVER_KEY}")

    def _lost(self) -> None:
        """The terminal is gone, and with it whoever could stop the robot."""
        if self._refreshed < math.inf:
            self._keys, self._refreshed = None, math.inf
            for request in ("estop", "finish"):
                self._shared.request(request, "the terminal is gone")


def _ms(seconds: float) -> str:
    return "-" if not np.isfinite(seconds) else f"{1000 * seconds:.0f} ms"
