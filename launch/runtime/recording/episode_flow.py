"""Which part of a recording it is: things are put back, an episode, its saving; by keys, time and events.

    reset ──(→, or its time is over)──► record ──(→, its time is over, or solved)──► save ──► reset … over
      ▲                                   │ ← again · a camera is lost · the arm parks
      └───────────────────────────────────┘ the episode in hand is dropped

The person drives through all of it; only what is between `record` and its end is written. Whatever ends an
episode early keeps those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.safe_stop import StopState
from ideomotor.control.runtime.shared_state import SharedState, text_of
from ideomotor.control.teleop.teleoperator import DriverName

LOST_S = 0.5  # without a picture, after which a camera counts as lost
BACK_S = 0.5  # of pictures, after which it is back
BEHIND = 900  # pictures that wait to be encoded: the computer is too slow
NEAR_RAD = 0.1  # of its target, or of home, where an arm counts as there; grippers count as there anywhere
TIDIED_S = 0.3  # that things which were put back take to be seen where they are
GIVE_UP = 10  # episodes in a row in which a task was not solved


class Phase(StrEnum):
    RESET = "reset"
    RECORD = "record"
    SAVE = "save"
    OVER = "over"


class Log(Protocol):
    """What is asked of `EpisodeLog`."""

    episodes: int
    length: int
    waiting: int
    saving: bool
    failed: str

    def begin(self) -> None: ...
    def discard(self) -> None: ...
    def save(self, task: str, facts: Mapping[str, Any]) -> None: ...
    def poll(self) -> None: ...


@dataclass(frozen=True)
class Scene:
    """A simulated table, and the hand that has the leader of the arm at it."""

    solved: Callable[[], bool]
    tidy: Callable[[int], Mapping[str, Any]]  # before the n-th episode, from 1; more facts of it
    hand: Callable[[str], None]  # "solve" or "home", see sim/twin/guiding_hand.py


@dataclass(frozen=True)
class EpisodePlan:
    """What is to be recorded."""

    instruction: str
    episodes: int  # in this session
    fps: float  # rows a second
    episode_s: float | None  # an episode's length [s]; None: until somebody says that it is done
    reset_s: float | None  # between two episodes; None: until somebody says that it may begin
    facts: Mapping[str, Any] = field(default_factory=dict)  # of each episode
    scene: Scene | None = None


class EpisodeFlow:
    """Call `poll` many times a second and `key` for each key.

    Attributes:
        phase: where it is.
        done: episodes that were saved.
        dropped: episodes that were begun and dropped, and why.
        not_solved: of these, in how many a scene's time was over.
        say: shows a line.
    """

    def __init__(
        self,
        shared: SharedState,
        embodiment: Embodiment,
        log: Log,
        plan: EpisodePlan,
        say: Callable[[str], None] = print,
    ) -> None:
        self.phase, self.done, self.not_solved = Phase.RESET, 0, 0
        self.dropped: list[str] = []
        self._shared, self._log, self._plan, self.say = shared, log, plan, say
        self._state, self._frames = shared.state.new(), shared.frames.new()
        self._action, self._home = shared.teleop.new(), embodiment.home_position
        self._arm = np.array([name not in embodiment.grippers for name in embodiment.joint_names])
        self._stage, self._reason, self._first = "", "starting", log.episodes
        self._ready = ""  # why an episode cannot begin; empty: it can
        self._lost: list[str] = []  # cameras
        self._back_at: float | None = None  # [s], since all cameras give pictures again
        self._since: float | None = None  # [s], of the phase; of a reset: since the arm follows the person
        self._tidied: float | None = None
        self._facts: Mapping[str, Any] = {}
        self._unsolved, self._success, self._asked = 0, True, False

    def poll(self, now: float) -> None:
        """Goes on to what is due at time `now` [s]."""
        self._log.poll()
        if self.phase is Phase.OVER:
            return
        self._look(now)
        if self._log.failed:
            self._end(f"recording has failed: {self._log.failed}; the episodes before are kept")
        elif self.phase is Phase.RECORD:
            self._record(now)
        elif self.phase is Phase.SAVE and not self._log.saving:
            self._saved(now)
        elif self.phase is Phase.RESET:
            self._reset(now)

    def key(self, name: str, now: float) -> bool:
        """Obeys a key; False if it means nothing here.

        Args:
            name: right, left, escape, or the character.
        """
        if name == " ":
            stopped = self._stage not in ("", StopState.RUN)
            self._shared.request("rearm" if stopped else "estop", "key space")
        elif name in ("right", "\n"):
            self._go_on(now)
        elif name == "left":
            if self.phase is Phase.RECORD:
                self._drop("again", now)
            else:
                self.say(
                    f"no episode is in hand; `ideomotor data edit --delete {self._log.episodes - 1}` "
                    "drops the last one"
                )
        elif name in ("g", "b") and self.phase is Phase.RECORD:
            self._success = name == "g"
            self.say(f"this episode: {'good' if self._success else 'bad'}")
        elif name in ("escape", "q"):
            self._end("ended by hand")
        else:
            return name == "h"  # there is nothing to go home for
        return True

    def text(self) -> str:
        """What is going on, for people."""
        number, of = self._first + self.done, self._first + self._plan.episodes
        if self.phase is Phase.RECORD:
            held = "" if self._stage == StopState.RUN else f", held: {self._reason}"
            return f"recording episode {number} (of {of}), {self._seconds:.1f} s{held}"
        if self.phase is Phase.SAVE:
            return f"saving episode {number}"
        if self.phase is Phase.OVER:
            return f"over: {self.done} episodes saved"
        return f"next is episode {number} (of {of}): {self._ready or 'put the things back, → begins it'}"

    @property
    def _seconds(self) -> float:
        return self._log.length / self._plan.fps

    # ---- the phases

    def _record(self, now: float) -> None:
        plan = self._plan
        if self._lost:
            self._drop(f"camera {', '.join(self._lost)} gives nothing", now)
        elif self._stage in (StopState.PARK, StopState.OFF):
            self._drop(self._reason, now)
        elif self._log.waiting > BEHIND:
            self._drop("the computer is too slow to encode the pictures: ask for smaller ones", now)
        elif plan.scene is not None and plan.scene.solved():
            self._save(now, success=True)
        elif plan.episode_s is not None and self._seconds >= plan.episode_s:
            if plan.scene is None:
                self._save(now, success=self._success)
            else:
                self.not_solved += 1
                self._unsolved += 1
                self._drop("not solved in time", now)
                if self._unsolved >= GIVE_UP:
                    self._end(f"the task was not solved {GIVE_UP} times in a row")

    def _reset(self, now: float) -> None:
        plan = self._plan
        if self._stage != StopState.RUN:
            self._since = None
        elif self._since is None:
            self._since = now
            if plan.scene is not None:
                plan.scene.hand("home")
        if self._since is None or self._ready:
            return
        over = self._asked or (plan.reset_s is not None and now - self._since >= plan.reset_s)
        if plan.scene is None:
            if over:
                self._begin(now)
        elif over and self._tidied is None and self._is_home():
            self._facts = plan.scene.tidy(self._first + self.done + len(self.dropped) + 1)
            self._tidied = now
        elif self._tidied is not None and now - self._tidied >= TIDIED_S:
            plan.scene.hand("solve")
            self._begin(now)

    def _begin(self, now: float) -> None:
        self._log.begin()
        self._success = True
        self._enter(Phase.RECORD, now)
        self.say(f"episode {self._first + self.done}: recording")

    def _save(self, now: float, success: bool) -> None:
        self._log.save(self._plan.instruction, {**self._plan.facts, **self._facts, "success": success})
        self._enter(Phase.SAVE, now)

    def _saved(self, now: float) -> None:
        if self._log.episodes == self._first + self.done:
            self.dropped.append("no row was recorded")
            self.say("no row was recorded: nobody drove")
        else:
            self.say(f"episode {self._first + self.done}: saved")
            self.done, self._unsolved = self.done + 1, 0
        if self.done >= self._plan.episodes:
            self._end("all episodes are recorded")
        else:
            self._enter(Phase.RESET, now)

    def _drop(self, why: str, now: float) -> None:
        self._log.discard()
        self.dropped.append(why)
        self.say(f"episode {self._first + self.done}: dropped, {why}; those before are kept")
        self._enter(Phase.RESET, now)

    def _go_on(self, now: float) -> None:
        if self.phase is Phase.RECORD:
            self._save(now, self._success)
        elif self.phase is Phase.RESET:
            self._asked = True
            if self._ready:
                self.say(f"waits: {self._ready}")

    def _end(self, why: str) -> None:
        if self.phase is Phase.OVER:
            return
        if self.phase is Phase.RECORD:
            self._log.discard()
            self.dropped.append(why)
            self.say(f"episode {self._first + self.done}: dropped, {why}")
        self.phase = Phase.OVER
        self.say(f"{why}: {self.done} episodes saved")
        self._shared.request("finish", why)

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase, self._asked, self._tidied = phase, False, None
        self._since = None if phase is Phase.RESET else now

    # ---- what is to be seen

    def _look(self, now: float) -> None:
        self._lost = self._lost_cameras(now)
        known = self._shared.state.read(self._state)
        if known:
            self._stage, self._reason = text_of(self._state["stage"]), text_of(self._state["reason"])
        before, self._ready = self._ready, self._why_not(bool(known), now)
        if self._ready.startswith("camera") and self._ready != before:
            self.say(f"waits: {self._ready}")

    def _why_not(self, known: bool, now: float) -> str:
        if self._lost:
            self._back_at = None
            return f"camera {', '.join(self._lost)} gives nothing"
        if self._back_at is None:
            self._back_at = now
        if self._shared.spec.cameras and now - self._back_at < BACK_S:
            return "the camera is just back"
        if not known or self._stage != StopState.RUN:
            return self._reason or "starting"
        if text_of(self._state["driver"]) != DriverName.PERSON or not self._shared.teleop.read(self._action):
            return "nobody drives yet"
        if not self._action["engaged"]:  # a device that jogs, at rest
            return ""
        away = np.abs(self._state["command"] - self._action["position"])[self._arm]
        return "the arm is on its way to the leader" if away.max(initial=0.0) > NEAR_RAD else ""

    def _lost_cameras(self, now: float) -> list[str]:
        names = [name for name, *_ in self._shared.spec.cameras]
        if not names or not self._shared.frames.read(self._frames):
            return names
        seen = zip(names, self._frames["times"], self._frames["present"], strict=True)
        return [name for name, at, present in seen if not present or now - at > LOST_S]

    def _is_home(self) -> bool:
        return bool((np.abs(self._state["command"] - self._home)[self._arm] <= NEAR_RAD).all())
