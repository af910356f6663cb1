"""What a sentence names: things, actions and sides, in the order in which it does.

No grammar is parsed. Turns of phrase are first replaced by single words (`phrases.py`), then words are read
from left to right; a preposition before a reference says its role.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ideomotor.sim.instructions import vocabulary as v
from ideomotor.sim.instructions.judging import Judging
from ideomotor.sim.instructions.phrases import is_question, plain, simplified
from ideomotor.sim.instructions.references import Reference, contradict, is_known, merged, read_reference

BREAKS = frozenset(", ; : . ! ? and but then instead just only".split())
BEFORE_PLACES = frozenset("of the where right just over up down back now".split())  # "into where the … is"
RELATIONS = frozenset(("NEAR", "NEAR?"))
PREPOSITIONS = v.TO | v.UNDER | v.FROM | RELATIONS


@dataclass(frozen=True)
class Sentence:
    """What an instruction says."""

    things: tuple[Reference, ...] = ()
    excluded: tuple[Reference, ...] = ()  # things that are not meant
    actions: tuple[frozenset[str], ...] = ()  # of each verb, what it may mean
    negated: tuple[frozenset[str], ...] = ()  # of verbs that are said not to be meant
    side: str = ""  # left or right, as a direction
    unread: tuple[str, ...] = ()  # words that no vocabulary has
    question: bool = False
    conditional: bool = False
    respectively: bool = False  # two things, then their two places


def read(instruction: str) -> Sentence:
    """Reads an instruction in anyone's words."""
    text = plain(instruction)
    sentence = _Reader(simplified(text).split()).read()
    return replace(sentence, question=is_question(text), respectively="respectively" in text)


@dataclass
class _Reader:
    """Reads words from left to right into a sentence."""

    words: list[str]
    at: int = 0
    things: list[Reference] = field(default_factory=list)
    excluded: list[Reference] = field(default_factory=list)
    actions: list[frozenset[str]] = field(default_factory=list)
    negated: list[frozenset[str]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    side: str = ""
    preposition: str = ""
    negative: bool = False  # what comes is not meant
    conditional: bool = False

    def read(self) -> Sentence:
        while self.at < len(self.words):
            if self._read_side():
                continue
            found = read_reference(self.words, self.at)
            if found is None:
                self._take_word(self.words[self.at])
                self.at += 1
                continue
            reference, self.at = found
            if reference is not None:
                self._take_thing(replace(reference, marker=self.preposition, at=self.at))
            self.preposition = ""
        return Sentence(
            tuple(self.things), tuple(self.excluded), tuple(self.actions), tuple(self.negated), self.side,
            tuple(self.unread), conditional=self.conditional,
        )  # fmt: skip

    def _take_thing(self, found: Reference) -> None:
        last = self.things[-1] if self.things else None
        if self.negative:
            self.excluded.append(found)
        elif last is not None and found.marker == "NEAR":
            self.things[-1] = replace(last, near=(found,))
        elif last is not None and self._is_the_same(last, found):
            self.things[-1] = merged(last, found)
        elif last is None or found.marker != "NEAR?":  # where the last one stands is not understood
            self.things.append(replace(found, marker="to") if found.marker == "NEAR" else found)

    def _is_the_same(self, last: Reference, found: Reference) -> bool:
        """Whether a reference only says more about the one just before it: "the cube, the red one"."""
        between = self.words[last.at : self.at]
        if any(word in v.ACTIONS or word == "or" or word in BREAKS - {","} for word in between):
            return False
        if "," in between and (last.marker or found.kinds):
            return False
        return not (found.marker or found.unknown or last.unknown or contradict(last, found))

    def _read_side(self) -> bool:
        """Takes "left" or "right" where it is a direction or a place, not part of a thing's name."""
        at = self.at + (self.words[self.at] in ("the", "its"))
        at += self.words[at : at + 1] == ["far"]
        side, following = self.words[at : at + 1], self.words[at + 1 : at + 2]
        if side not in (["left"], ["right"]):
            return False
        found = read_reference(self.words, at)
        if found is not None and found[0] is not None and following != ["side"]:
            return False  # the left cube
        if self.preposition in ("on", "at", "in") and self.things:  # where a thing is, not where it goes
            self.things[-1] = replace(self.things[-1], rank=side[0])
        elif not self.negative:
            self.side = side[0]
        self.at, self.preposition = at + 1 + (following == ["side"]), ""
        return True

    def _take_word(self, word: str) -> None:
        if word == "NEG":
            self.negative = True
        elif word in BREAKS:
            self.negative, self.preposition = False, ""
        elif word in PREPOSITIONS:
            self.preposition = word
        elif word in ("TOP", "BOTTOM"):
            self._add_to_last(role=word)
        elif word == "STATE":
            self.at += 1
            self._add_to_last(state=v.STATE_WORDS[self.words[self.at]])
        elif action := v.ACTIONS.get(word):
            (self.negated if self.negative else self.actions).append(action)
            self.preposition = ""
        elif word in ("if", "unless"):
            self.conditional = True
        elif not is_known(word) and not self.negative:
            self.unread.append(word)
        elif word not in BEFORE_PLACES:
            self.preposition = ""

    def _add_to_last(self, **said: str) -> None:
        if self.things:
            self.things[-1] = replace(self.things[-1], **said)


def judging_of(goal: str, instruction: str) -> Judging:
    """Whether an instruction means the one goal of a scene of others, whose things no vocabulary has.

    It does if it has the goal's words and negates and asks nothing.
    """
    said = read(instruction)
    words = set(plain(instruction).split())
    lacking = [word for word in plain(goal).split() if word.isalpha() and word not in v.ARTICLES | words]
    if plain(goal) == plain(instruction):
        return Judging(goal)
    if lacking or said.question or said.conditional or said.negated or said.excluded:
        why = (
            f"it does not say {lacking[0]!r}"
            if lacking
            else "it does not plainly ask for what is judged here"
        )
        return Judging("", (goal,), why)
    return Judging(goal)
