"""How much of what the policy writes down about its plan is true: the readable plan against the simulator.

A readable plan is one line, `scene: a red cube, …. now: …. next: ….` (sim/episode.py). Its facts are scored
when it is written, what it says is done now and next at every camera frame while it is in force: a plan
that was right and is not renewed becomes wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ReadablePlan:
    """A readable plan taken apart; what it does not say is empty."""

    facts: tuple[str, ...]  # things it sees; one that is there twice is named twice
    now: str
    next: str


@dataclass
class PlanScore:
    """Counts of right statements; they add up over plans and frames."""

    facts_written: int = 0
    facts_true: int = 0  # things that are there
    facts_right: int = 0  # things that are there and were written
    frames: int = 0
    now_right: int = 0  # frames whose subtask under way is the one written
    next_right: int = 0
    _last: str = ""

    def frame(self, written: str, truth: str) -> None:
        """Counts one camera frame with `written` in force; `truth` is what a perfect interpreter writes."""
        mine, right = taken_apart(written), taken_apart(truth)
        if written != self._last:
            self._last = written
            self.facts_written += len(mine.facts)
            self.facts_true += len(right.facts)
            self.facts_right += (Counter(mine.facts) & Counter(right.facts)).total()
        self.frames += 1
        self.now_right += mine.now == right.now
        self.next_right += mine.next == right.next

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: count for name, count in vars(self).items() if name != "_last"}

    def forget(self) -> None:
        """Another scene: the next plan's facts count although they may be the same."""
        self._last = ""


def taken_apart(text: str) -> ReadablePlan:
    """The parts of a readable plan, whatever of it is there."""
    scene, _, rest = text.partition("now:")
    now, _, following = rest.partition("next:")
    listed = scene.partition("scene:")[2].strip(" .")
    facts = tuple(fact for part in listed.split(",") if (fact := part.strip()))
    return ReadablePlan(facts, now.strip(" ."), following.strip(" ."))


def figures(counts: Iterable[dict[str, int]]) -> dict[str, float] | None:
    """Shares over the counts of many episodes; None where no plan was written.

    facts_precision, facts_recall: of the things written, and of the things there, those that agree.
    now, next: share of camera frames in which the subtask written is the true one.
    """
    total = Counter[str]()
    for episode in counts:
        total.update(episode)
    if not total["frames"]:
        return None
    return {
        "facts_precision": total["facts_right"] / max(1, total["facts_written"]),
        "facts_recall": total["facts_right"] / max(1, total["facts_true"]),
        "now": total["now_right"] / total["frames"],
        "next": total["next_right"] / total["frames"],
    }


def sentence(shares: dict[str, float]) -> str:
    """`figures` in words."""
    return (
        f"The readable plan: {shares['facts_precision']:.1%} of its facts are true, "
        f"{shares['facts_recall']:.1%} of what is there is among them; the subtask under way is right in "
        f"{shares['now']:.1%} of the camera frames, the next one in {shares['next']:.1%}."
    )
