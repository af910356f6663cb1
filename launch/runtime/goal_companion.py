"""A goal of several skills beside a running session: it looks, decides, and changes the instruction.

It never touches a motor. What it decides, once a second, is written where the policy's processes read their
instruction, and control is asked to finish when the goal has ended. Looking and planning go on in a thread of
their own, so that a planner that takes long delays nothing; the policy goes on with the instruction it has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime.shared_state import SharedState, unpack_frames, unpack_plan
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.launch.runtime.asking import ANSWER_S, PROMPT, meant_by
from ideomotor.vla.planner.executor import Executor
from ideomotor.vla.planner.interface import PERIOD_S, Decision, DecisionKind, Moment, Perception
from ideomotor.vla.planner.plan import plan_to_json

LATE_S = 30.0  # after the goal's own time, when the session ends whatever its planner does [s]
NOTICE_S = 1 / 30  # between looks at the joints alone, which tell what lasts a moment only [s]
STILL = 0.05  # of every joint of an arm that stands still [rad/s]
KEYS = "y: again · s: skip · n: stop · q: end"


class GoalCompanion:
    """A `Companion`.

    Args:
        shared: of the session.
        embodiment: the robot's.
        executor: not started yet.
        perception: looks at the front camera's pictures.
    """

    def __init__(
        self, shared: SharedState, embodiment: Embodiment, executor: Executor, perception: Perception
    ) -> None:
        self._shared, self._robot = shared, embodiment
        self._executor, self._perception = executor, perception
        self._state, self._frames = shared.state.new(), shared.frames.new()
        self._plan, self._record = shared.plan.new(), shared.instruction.new()
        self._say: Callable[[str], None] = lambda line: None
        self._decided: SimpleQueue[Decision | Exception] = SimpleQueue()
        self._looking = False
        self._began: float | None = None  # [s], when the robot was first under control
        self._due, self._finished, self._noticed = 0.0, False, 0.0
        self._asked_at, self._reply = 0.0, ""  # when a question was asked [s], and what was answered
        self.decision = Decision(DecisionKind.ACT)

    def prepare(self) -> str:
        """Plans before any motor is on, from the cameras' newest pictures; returns the first instruction.

        Raises:
            UserError: there is no picture, the goal is not understood or cannot be reached in what is seen.
        """
        self._perception.reset(self._executor.text)
        if not self._shared.frames.read(self._frames):
            raise UserError("goal: no picture to plan from, expected the front camera's")
        home = self._robot.home_position.astype(np.float32)
        images = unpack_frames(self._frames, self._shared.spec)
        scene = self._perception.perceive(Observation(0.0, 0, images, home, ""), None)
        moment = Moment(0.0, scene, images=images)
        self._executor.start(moment)
        self.decision = self._executor.decide(moment)
        if self.decision.kind is not DecisionKind.ACT:
            raise UserError(f"goal: {self.decision.reason}")
        if self.decision.specialist:
            self._tell(self.decision)
        return self.decision.instruction or "hold still"

    # ---- the session's

    def begin(self, say: Callable[[str], None]) -> None:
        """See `Companion`."""
        self._say = say
        self._say(f"goal: {self.decision.instruction}")

    def poll(self, now: float) -> None:
        """See `Companion`. Collects what was decided, and looks again when a second has passed."""
        if self._finished or not self._shared.state.read(self._state):
            return
        self._began = now if self._began is None else self._began
        if now - self._began > self._executor.options.max_seconds + LATE_S:
            self._finish("the goal's time is over, and its planner still thinks")
            return
        with contextlib.suppress(Empty):
            decided = self._decided.get_nowait()
            self._looking = False
            if isinstance(decided, Exception):  # whatever it is, the arm is brought to its end in order
                self._finish(f"goal: {type(decided).__name__}: {decided}")
            else:
                self._obey(decided)
        self._answer(now)
        if not self._looking and now >= self._noticed + NOTICE_S:
            self._noticed, position = now, self._state["position"].astype(np.float32)
            if np.isfinite(position).all():
                self._perception.notice(position)
        if not self._looking and now >= self._due and not self._finished:
            self._due = now + PERIOD_S
            if (moment := self._seen(now - self._began)) is not None:
                self._looking = True
                Thread(target=self._decide, args=moment, name="goal", daemon=True).start()

    def key(self, name: str, now: float) -> bool:
        """See `Companion`: answers a question."""
        said = meant_by(name)
        if self.decision.kind is not DecisionKind.ASK or not said:
            return False
        self._reply = said
        return True

    def _answer(self, now: float) -> None:
        """Hands a reply on, between two looks; nobody's after a while."""
        if self.decision.kind is not DecisionKind.ASK or self._looking:
            return
        if self._asked_at == 0.0:
            self._asked_at = now
        if self._reply or now - self._asked_at > ANSWER_S:
            self._executor.answer(self._reply)
            self._asked_at, self._reply, self._due = 0.0, "", now

    def rows(self) -> Mapping[str, str]:
        """See `Companion`."""
        decision = self.decision
        if decision.kind is DecisionKind.ASK:
            return {"goal": decision.question, "keys": KEYS}
        said = decision.instruction or decision.reason
        return {"goal": f"{self._executor.text}: attempt {decision.attempt}, {said}"}

    def as_json(self) -> dict[str, Any]:
        """What the outcome says of the goal."""
        executor = self._executor
        return {
            "goal": executor.text,
            "planner": executor.planner.name,
            "ended": str(self.decision.kind),
            "reason": self.decision.reason,
            "plan": plan_to_json(executor.plan) if executor.plan is not None else None,
            "attempts": [
                {"call": str(one.call), "instruction": one.instruction, "started_at": one.started_at,
                 "ended_at": one.ended_at, "perceived": one.succeeded, "why": one.why,
                 "specialist": one.specialist}
                for one in executor.attempts
            ],
            "replans": executor.replans,
            "planner_calls": executor.planner_calls,
            "events": [{"time": e.time, "kind": e.kind, "text": e.text} for e in executor.memory.events],
        }  # fmt: skip

    # ---- looking

    def _seen(self, seconds: float) -> tuple[float, Observation, LatentPlan | None, bool] | None:
        if not self._shared.frames.read(self._frames):
            return None
        state = self._state["position"].astype(np.float32)
        if not np.isfinite(state).all():
            return None
        images = unpack_frames(self._frames, self._shared.spec)
        plan = unpack_plan(self._plan) if self._shared.plan.read(self._plan) else None
        still = bool(np.abs(self._state["velocity"]).max() < STILL)
        tick = int(self._state["policy_tick"])
        return seconds, Observation(seconds, tick, images, state, self.decision.instruction), plan, still

    def _decide(self, seconds: float, observation: Observation, plan: LatentPlan | None, still: bool) -> None:
        """In the thread; nobody waits for it."""
        try:
            scene = self._perception.perceive(observation, plan)
            moment = Moment(
                seconds, scene, plan.progress if plan else 0.0, still=still, images=observation.images
            )
            self._decided.put(self._executor.decide(moment))
        except Exception as error:
            self._decided.put(error)

    def _obey(self, decision: Decision) -> None:
        before, self.decision = self.decision, decision
        if decision.kind in (DecisionKind.DONE, DecisionKind.GIVE_UP):
            self._finish(f"{'goal reached' if decision.kind is DecisionKind.DONE else 'goal given up'}")
        elif decision.kind is DecisionKind.ASK and before != decision:
            self._say(f"goal: {decision.question} ({PROMPT}; within {ANSWER_S:.0f} s)")
            self._tell(before, decision.question)  # the policy goes on; whoever has the page can answer
        elif decision.instruction and (_said(decision) != _said(before) or before.kind is DecisionKind.ASK):
            self._tell(decision)
            own = f" (policy of {decision.specialist})" if decision.specialist else ""
            self._say(f"goal: {decision.instruction}{own}")

    def _tell(self, decision: Decision, question: str = "") -> None:
        """The policy's processes read what is to be done, and whose policy is to do it."""
        self._record["question"] = question.encode()
        self._record["text"] = decision.instruction.encode()
        self._record["specialist"] = decision.specialist.encode()
        self._shared.instruction.write(self._record)

    def _finish(self, why: str) -> None:
        self._finished = True
        self._say(f"goal: {why}: {self.decision.reason}")
        self._shared.request("finish", why)


def _said(decision: Decision) -> tuple[str, str]:
    return decision.instruction, decision.specialist
