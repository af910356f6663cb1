"""What was seen and done, with times, and answers to questions about it from nothing else.

memory.answer("what was in the red drawer?")      -> "the green ball, from 12.0 s to 31.0 s"
memory.answer("when did you drop the red cube?")  -> "at 21.0 s"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ideomotor.control.errors import UserError
from ideomotor.control.facts import PREDICATES, Fact, Facts, in_words

MAX_EVENTS = 2_000
AT = {"inside": "in", "on": "on", "in_drawer": "in"}
_STATE_WORDS = {
    "open": "open", "opened": "open", "closed": "closed", "shut": "closed", "held": "held",
    "pressed": "pressed",
}  # fmt: skip
_STATES = "|".join(_STATE_WORDS)
_BEGINS = {  # "when did you …": the fact whose beginning it is
    "open": "open", "close": "closed", "shut": "closed", "press": "pressed", "lift": "held", "pick": "held",
    "take": "held", "grasp": "held", "grab": "held", "push": "pushed", "point": "pointed_at",
}  # fmt: skip
_PLACES = frozenset(("put", "place", "stack", "stow", "move", "set"))
_LETS_GO = frozenset(("drop", "release", "lose"))


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    time: float  # [s]
    kind: str  # plan, attempt, succeeded, failed, question, answer, done, gave_up
    text: str


@dataclass(frozen=True)
class Interval:
    """From when to when a fact was so, as far as was seen; `end` is None while it still is."""

    start: float
    end: float | None

    def until(self, now: float) -> tuple[float, float]:
        """As two times [s]."""
        return self.start, now if self.end is None else self.end


@dataclass(frozen=True)
class Answer:
    """What the memory says to a question."""

    text: str
    facts: tuple[Fact, ...] = ()  # that it is about
    interval: tuple[float, float] | None = None  # [s]


class Memory:
    """The events of one goal's episode. `keep` False: it forgets at once (an ablation)."""

    def __init__(self, keep: bool = True):
        self._keep = keep
        self.events: list[Event] = []
        self._intervals: dict[Fact, list[Interval]] = {}
        self._facts: Facts = frozenset()
        self._now = 0.0

    def note(self, time: float, kind: str, text: str) -> None:
        """Remembers that something happened."""
        if self._keep and len(self.events) < MAX_EVENTS:
            self.events.append(Event(time, kind, text))

    def see(self, time: float, facts: Facts) -> None:
        """Remembers what is so from now on, and what no longer is."""
        self._now = time
        if not self._keep:
            return
        for one in sorted(facts - self._facts):
            self._intervals.setdefault(one, []).append(Interval(time, None))
        for one in sorted(self._facts - facts):
            runs = self._intervals[one]
            runs[-1] = Interval(runs[-1].start, time)
        self._facts = facts

    @property
    def facts_ever(self) -> tuple[Fact, ...]:
        """Everything that was ever seen to be so, in the order in which it first was."""
        return tuple(self._intervals)

    def intervals(self, one: Fact) -> Sequence[Interval]:
        """When a fact was so."""
        return self._intervals.get(one, ())

    def lines(self, most: int = 30) -> list[str]:
        """The newest events, one line each, for a planner to read."""
        return [f"{event.time:.0f} s {event.kind}: {event.text}" for event in self.events[-most:]]

    def answer(self, question: str) -> Answer:
        """What the memory says to a question.

        Raises:
            UserError: it is none of those that can be answered.
        """
        words = " ".join(re.findall(r"[a-z0-9]+", question.lower()))
        for asks, answers in (
            (r"^what (?:was|is|were|are|lay|lies) (in|inside|on) (?:the |my )?(.+)$", self._what),
            (r"^where (?:was|is|were|are) (?:the )?(.+)$", self._where),
            (r"^when did (?:you|the robot) (\w+)(?: up)? (?:the )?(.+)$", self._when_did),
            (rf"^when (?:was|were|is) (?:the )?(.+?) ({_STATES}|in .+|on .+)$", self._when),
            (r"^(?:how often|how many times) did you (?:try|attempt)(?: to)? (.+)$", self._how_often),
            (r"^(what) (?:did you do|have you done|happened)$", self._what_was_done),
            (r"^(what) (?:failed|went wrong)$", self._what_failed),
        ):
            if found := re.match(asks, words):
                return answers(*found.groups())
        raise UserError(
            f"question: {question[:80]!r} is not understood, expected e.g. 'what was in the drawer?' or 'when"
            " did you put the red cube into the bowl?'"
        )

    def _what(self, where: str, place: str) -> Answer:
        del where
        found = [one for one in self._intervals if one[0] in AT and _names(one[2], place)]
        if not found:
            return Answer(f"nothing was seen in or on the {place}")
        said = [f"the {one[1]}, {self._span(one)}" for one in found]
        return Answer("; ".join(said), tuple(found), self._whole(found[-1]))

    def _where(self, thing: str) -> Answer:
        found = [one for one in self._intervals if one[0] in (*AT, "held") and _names(one[1], thing)]
        if not found:
            return Answer(f"the {thing} was not seen anywhere but on the table")
        said = [f"{_place_words(one)}, {self._span(one)}" for one in found]
        return Answer("; ".join(said), tuple(found), self._whole(found[-1]))

    def _when_did(self, verb: str, rest: str) -> Answer:
        thing, _, place = re.sub(
            r" (?:into|in|on|onto|to|on top of) (?:the )?", "|", rest, count=1
        ).partition("|")
        if verb in _LETS_GO:
            found = [one for one in self._intervals if one[0] == "held" and _names(one[1], thing)]
            ends = [run.end for one in found for run in self.intervals(one) if run.end is not None]
            if not ends:
                return Answer(f"the {thing} was not let go of", tuple(found))
            return Answer(f"at {ends[-1]:.1f} s", tuple(found), (ends[-1], ends[-1]))
        if verb in _PLACES:
            found = [
                one
                for one in self._intervals
                if one[0] in AT and _names(one[1], thing) and (not place or _names(one[2], place))
            ]
        elif verb in _BEGINS:
            found = [one for one in self._intervals if one[0] == _BEGINS[verb] and _names(one[1], thing)]
        else:
            raise UserError(f"question: the verb {verb!r} is not understood")
        if not found:
            return Answer(f"that was not seen: {verb} the {rest}")
        start = self._intervals[found[-1]][-1].start
        return Answer(f"at {start:.1f} s: {in_words(found[-1])}", (found[-1],), self._whole(found[-1]))

    def _when(self, thing: str, state: str) -> Answer:
        word, _, place = state.partition(" ")
        place = place.removeprefix("the ")
        wanted = (_STATE_WORDS[word],) if word in _STATE_WORDS else tuple(AT)
        found = [
            one
            for one in self._intervals
            if one[0] in wanted and _names(one[1], thing) and (not place or _names(one[2], place))
        ]
        if not found:
            return Answer(f"the {thing} was not seen {state}")
        return Answer(self._span(found[-1]), (found[-1],), self._whole(found[-1]))

    def _how_often(self, what: str) -> Answer:
        words = [word for word in what.split() if word not in ("the", "into", "onto", "in", "on")]
        tries = [e for e in self.events if e.kind == "attempt" and all(word in e.text for word in words)]
        return Answer(f"{len(tries)} times" + (f", last at {tries[-1].time:.1f} s" if tries else ""))

    def _what_was_done(self, _: str) -> Answer:
        done = [f"{e.text} at {e.time:.1f} s" for e in self.events if e.kind == "succeeded"]
        return Answer("; ".join(done) or "nothing yet")

    def _what_failed(self, _: str) -> Answer:
        failed = [f"{e.text} at {e.time:.1f} s" for e in self.events if e.kind == "failed"]
        return Answer("; ".join(failed) or "nothing")

    def _whole(self, one: Fact) -> tuple[float, float]:
        """The newest interval of a fact."""
        return self._intervals[one][-1].until(self._now)

    def _span(self, one: Fact) -> str:
        run = self._intervals[one][-1]
        if PREDICATES[one[0]].lasting:
            return f"at {run.start:.1f} s"
        return f"since {run.start:.1f} s" if run.end is None else f"from {run.start:.1f} s to {run.end:.1f} s"


def iou(found: tuple[float, float] | None, truth: tuple[float, float]) -> float:
    """Intersection over union of two intervals [s]; two moments are 1 where they are equal, else 0."""
    if found is None:
        return 0.0
    both = min(found[1], truth[1]) - max(found[0], truth[0])
    either = max(found[1], truth[1]) - min(found[0], truth[0])
    return max(0.0, both) / either if either > 0 else float(found == truth)


def _names(name: str, said: str) -> bool:
    """Whether words may mean a thing: "cube", "red cube" or "small red cube" for "small red cube"."""
    return set(said.split()) <= set(name.split())


def _place_words(one: Fact) -> str:
    return "in the hand" if one[0] == "held" else f"{AT[one[0]]} the {one[2]}"
