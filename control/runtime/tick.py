"""What the control process does in each tick, and what it remembers from one to the next.

    read the robot · take the newest chunk · carry out requests · watch the others · decide · write · publish

Everything that can go wrong around it ends in the safe stop with a name (control/runtime/safe_stop.py).
"""

from __future__ import annotations

import time

import numpy as np

from ideomotor.control.capabilities import CanRearm, CanRelax, TellsFaults, start_state, stopping_fault
from ideomotor.control.chunk_handover import handover
from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.loop import RECORDED_TICKS, LoopRecord
from ideomotor.control.runtime.person import ROLE as PERSON
from ideomotor.control.runtime.person import Person
from ideomotor.control.runtime.playback import Playback
from ideomotor.control.runtime.publication import Publication
from ideomotor.control.runtime.report import ControlConfig, ControlReport
from ideomotor.control.runtime.safe_stop import Cause, SafeStop, StopState
from ideomotor.control.runtime.shared_state import REQUESTS, SharedState
from ideomotor.control.runtime.tick_profile import TickProfile
from ideomotor.control.runtime.tick_records import TickRecords
from ideomotor.control.runtime.watchdog import Ages, Peers, stale
from ideomotor.control.safety.effort import EffortWatch
from ideomotor.control.safety.following import FollowingWatch
from ideomotor.control.safety.start_pose import too_far
from ideomotor.control.types import ActionChunk, Command, Robot


class ControlTick:
    """One robot under control. `step` is what the loop calls."""

    def __init__(
        self, shared: SharedState, embodiment: Embodiment, robot: Robot, config: ControlConfig, estop: EStop
    ) -> None:
        hz = float(embodiment.control_hz)
        self.record, self._profile = LoopRecord(hz), TickProfile(RECORDED_TICKS)
        method = handover(config.handover)
        self.controller = Controller(embodiment, method)
        self._playback = Playback(shared, self.controller, config.speed)
        self._person = Person(shared, embodiment, config)
        self._executed = False  # a chunk's command, at this tick
        self._waits = method.waits  # standing still between chunks is then no fault
        self._can_relax = robot if isinstance(robot, CanRelax) else None
        self._can_rearm = robot if isinstance(robot, CanRearm) else None
        self._tells_faults = robot if isinstance(robot, TellsFaults) else None
        self.safe_stop = SafeStop(embodiment, config.stop, self._can_relax is not None)
        self.faults: list[tuple[int, str]] = []
        self._shared, self._robot, self._config, self._estop = shared, robot, config, estop
        self._peers = Peers(shared, [role for role in config.peers if role != PERSON], config.staleness)
        self._effort = EffortWatch(embodiment, config.effort)
        self._following = FollowingWatch(embodiment, config.following)
        self._requests = np.zeros_like(shared.requests)  # asked while the robot was being connected: counts
        self._publication = Publication(shared, robot, self.safe_stop, self._playback, self._person)
        self._state, unmeasured = start_state(robot)
        self._ages = Ages(0.0, None, None)
        self._fresh_at = 0.0  # when the robot last gave a new state [s]
        self._is_new = False  # it did at this tick
        self._relaxed = self._left_on = False
        self._finishing = self._failed = False
        self._takes_over: tuple[float, int] | None = None  # the chunk executed at the last tick
        self._records = TickRecords(embodiment)
        self.controller.reset(self._state)
        self._last_commands = np.repeat(self._state.position[None], 3, axis=0)  # (3, A), oldest first
        self._following.reset(self._state.position)
        if unmeasured:
            self._trip(0, Cause.FAULT, unmeasured)

    def step(self, tick: int) -> bool:
        """One tick; False when the run has ended."""
        (profile := self._profile).begin()
        now_ns = time.monotonic_ns()
        now = now_ns / 1e9
        if tick == 0:
            self._fresh_at = now  # locking memory and the like took its time
        self._read(now)
        profile.mark("read")
        if not self._person.drives:  # a policy goes on thinking, from poses that it does not act on
            self._playback.take()
        profile.mark("chunk")
        self._carry_out_requests(tick)
        profile.mark("orders")
        position = self._decide(tick, now, now_ns)
        profile.mark("filter")
        return self._send(tick, now, position)

    def step_down(self, tick: int) -> bool:
        """A tick of the safe stop and nothing else, for when `step` has failed; False when it has ended."""
        now = time.monotonic()
        self._read(now)
        self._carry_out_requests(tick)
        # One on: the tick that failed may have got a command already.
        command = self.controller.follow(tick + 1, self._state, self.safe_stop.target())
        self._person.stop()
        self.safe_stop.advance(command.position, self._finishing)
        return self._send(tick, now, command.position)

    def fail(self, what: str) -> None:
        """`step` cannot go on: what is left is `step_down`."""
        self._failed, self._finishing, self._executed = True, True, False
        self._trip(self.record.ticks, Cause.FAULT, what)
        if what != self.faults[-1][1]:  # something graver stopped it before
            self.faults.append((self.record.ticks, what))

    def _send(self, tick: int, now: float, position: np.ndarray) -> bool:
        """Writes a command to the robot and publishes it; False if it was the last."""
        self._records.command(tick, position)
        if not self._relaxed:
            try:
                self._robot.write(Command(tick, position))
            except OSError as error:
                self._trip(tick, Cause.FAULT, f"robot: could not be written to ({error})")
        if self.safe_stop.stop_state is StopState.OFF and not self._relaxed and self._can_relax:
            self._relaxed = True
            if self._can_relax.torque_off() is False:
                self._left_on = True
                self.faults.append((tick, "robot: not all motors say that they are off"))
        self._records.sent(tick, self._person.sent())
        self._profile.mark("write")
        self._publish(tick, now, position)
        self._shared.heartbeat("control")
        self._profile.mark("publish")
        self._profile.end()
        return not self.safe_stop.ended

    def report(self, warning: str, fifo: bool) -> ControlReport:
        """What happened, after the loop."""
        record = self.record
        return ControlReport(
            ticks=record.ticks,
            achieved_hz=record.achieved_hz,
            late=record.late,
            missed=record.missed,
            interventions=dict(self.controller.interventions),
            faults=self.faults,
            stop_state=str(self.safe_stop.stop_state),
            motors_on=not self._relaxed or self._left_on,
            warning=warning,
            fifo=fifo,
            lateness_us=record.lateness_us(),
            busy_us=record.busy_us(),
            costs=self._profile.costs(),
            **self._records.report(record.ticks),
        )

    def close(self) -> None:
        """Lets go of the shared state."""
        self._peers.close()
        self._person.close()

    # ---- the parts of a tick

    def _read(self, now: float) -> None:
        """Takes the robot's state; one that cannot be read, or repeats the last one's time, grows stale."""
        self._is_new = False
        try:
            state = self._robot.read()
        except OSError:
            return
        if state.time != self._state.time:
            self._fresh_at, self._is_new = now, True
        self._state = state

    def _carry_out_requests(self, tick: int) -> None:
        """Carries out what the emergency stop and other processes have asked for."""
        asked = self._shared.requests > self._requests
        self._requests = self._shared.requests.copy()
        if asked[REQUESTS.index("estop")]:
            self._estop.trip(f"emergency stop: {self._shared.requested_by('estop')}")
        if asked[REQUESTS.index("rearm")] and not self._failed and not self._estop.rearm():
            self._rearm(tick)
        if self._estop.check():
            self._trip(tick, Cause.ESTOP, self._estop.reason)
        if asked[REQUESTS.index("again")]:
            self._trip(tick, Cause.AGAIN, "home, to begin again")
        if asked[REQUESTS.index("begin")]:
            self.safe_stop.begin()
        if self._person.change(asked[REQUESTS.index("take_over")], asked[REQUESTS.index("hand_back")]):
            self._begin_anew()
        over = self._config.max_ticks is not None and tick >= self._config.max_ticks
        if asked[REQUESTS.index("finish")] or over or self._estop.repeated:
            self._finishing = True
        if self._finishing:
            self._trip(tick, Cause.FINISH, "finished")

    def _rearm(self, tick: int) -> None:
        """Starts anew from where the arm is; chunks made before this are void."""
        try:
            if self._can_rearm:
                self._can_rearm.rearm()  # the motors now hold where the arm was found
                self._state, unmeasured = start_state(self._robot)
                self.controller.reset(self._state)
                self._last_commands[:] = self._state.position
                if unmeasured:
                    raise UserError(unmeasured)
        except UserError as error:
            self.faults.append((tick, f"not re-armed: {error}"))
            return
        self._effort.reset()
        self._following.reset(self._last_commands[2])
        self._begin_anew()
        self.safe_stop.rearm()

    def _decide(self, tick: int, now: float, now_ns: int) -> np.ndarray:
        """The position (A,) to command: the driver's while all is well, the safe stop's otherwise."""
        chunk = self._judge(tick, now, now_ns)
        runs = self.safe_stop.stop_state is StopState.RUN
        self._records.begin(tick, runs)
        if runs and self._is_new:
            self._records.tracking(tick, self._last_commands[2] - self._state.position)
        self._profile.mark("watch")
        self._executed = runs and chunk is not None
        if runs and self._person.drives:
            target = self._person.target(now, self._last_commands)
            command = self.controller.follow(tick, self._state, target)
        elif runs:
            self._person.stop()
            command = self.controller.step(tick, self._state, self._playback.at)
            if chunk:
                source = (chunk.observed_at, chunk.starts_at)
                self._records.chunk(tick, self._ages, self._takes_over not in (None, source))
                self._takes_over = source
        else:
            self._person.stop()
            command = self.controller.follow(tick, self._state, self.safe_stop.target())
        self.safe_stop.advance(command.position, self._finishing)
        if not runs and self.safe_stop.stop_state is StopState.RUN:
            self._begin_anew()
        return command.position

    def _judge(self, tick: int, now: float, now_ns: int) -> ActionChunk | None:
        """Stops for what is wrong and goes on from what has passed; the chunk to be executed, if any."""
        stuck, own = self._not_following(now), stopping_fault(self._tells_faults)
        strained = self._effort.check(self._state.effort, now)
        heavy = (Cause.FAULT, strained) if strained else None
        # The gravest one counts: an arm that parks for another fault still stops for a stuck joint.
        wrong = [each for each in (self._peers.check(now_ns), own, heavy, stuck) if each]
        for cause, reason in wrong:
            self._trip(tick, cause, reason)
        absent = self._person.take(now, now_ns, self._last_commands)
        running = self.safe_stop.stop_state is StopState.RUN
        holding = self.safe_stop.cause is Cause.STALE and self.safe_stop.stop_state is StopState.HOLD
        chunk = None if self._person.drives else self._playback.next_chunk()
        if running and chunk and self._takes_over is None:
            first = self._playback.first_target()
            far = too_far(self.controller.embodiment, self._state.position, first, self._config.speed)
            if far:
                self._trip(tick, Cause.FAULT, far)
        started = self._takes_over is not None and not self._waits
        ages = self._ages = Ages(
            state_s=now - self._fresh_at,
            chunk_s=now - chunk.observed_at if chunk else None,
            plan_s=now - chunk.plan_observed_at if chunk else None,
        )
        self._records.no_fresh_command += started and chunk is None and (running or holding)
        late = stale(ages, self._config.staleness, started)
        if late:
            self._trip(tick, Cause.STALE, late)
        elif not wrong:
            self.safe_stop.clear(Cause.STALE)
        if absent:
            self._trip(tick, Cause.NO_DRIVER, absent)
        else:
            self.safe_stop.clear(Cause.NO_DRIVER)
        return chunk

    def _not_following(self, now: float) -> tuple[Cause, str] | None:
        """A joint that does not follow; once that is why the arm stands, it no longer pushes."""
        reason = self._following.check(self._last_commands[2], self._state, self._is_new, now)
        if self.safe_stop.cause is Cause.NOT_FOLLOWING:
            self.safe_stop.rest_at(self._following.within_reach(self._last_commands[2], self._state.position))
        return (Cause.NOT_FOLLOWING, reason) if reason else None

    def _publish(self, tick: int, now: float, position: np.ndarray) -> None:
        self._last_commands[:2] = self._last_commands[1:]
        self._last_commands[2] = position
        played = self._playback.at if self._executed else np.nan
        self._publication.state(tick, now, self._state, self._last_commands, self._executed)
        self._publication.tick(self._ages, played, self.record.newest_lateness_us, self.controller.reasons)

    def _trip(self, tick: int, cause: Cause, reason: str) -> None:
        """Stops, if there is not a graver reason already. What was committed will not be executed."""
        before, ran = self.safe_stop.cause, self.safe_stop.stop_state is StopState.RUN
        self.safe_stop.trip(cause, reason)
        if self.safe_stop.cause is not before and cause is not Cause.AGAIN:  # that is no news afterwards
            self.faults.append((tick, reason))
        if ran:
            self._playback.stop()

    def _begin_anew(self) -> None:
        """The next chunk will be the first: those made before this are void."""
        self._playback.stop()
        self._takes_over = None
