"""Referring expressions: an article, adjectives and a noun, or as many of these as somebody uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ideomotor.sim.instructions import vocabulary as v

UNSAYING = frozenset("very only same single whole own last OFPL".split())  # between article and noun
LOOKS = frozenset("wooden plastic shiny bright dark light pale tall short flat empty".split())
ADJECTIVES_AHEAD = 2  # that nobody knows, before a noun that is known


@dataclass(frozen=True)
class Reference:
    """A thing as a sentence refers to it. Whatever is empty was not said."""

    kinds: tuple[str, ...] = ()
    colour: str = ""
    size: str = ""  # small or large
    compared: bool = False  # the size is among several: "the bigger one"
    rank: str = ""  # left, right, near, far or middle
    state: str = ""  # of a drawer: open or closed
    other: bool = False  # none of those spoken of before
    many: bool = False  # several things at once
    unknown: bool = False  # a noun that names nothing that scenes have
    marker: str = ""  # preposition before it
    role: str = ""  # TOP or BOTTOM of a stack, where that follows it
    near: tuple[Reference, ...] = ()  # what it stands next to
    at: int = 0  # the word behind it


def merged(one: Reference, more: Reference) -> Reference:
    """Two references to the same thing as one, in the role of the first."""
    return replace(
        one, kinds=more.kinds or one.kinds, colour=more.colour or one.colour, size=more.size or one.size,
        compared=more.compared or one.compared, rank=more.rank or one.rank, state=more.state or one.state,
        other=one.other or more.other, many=one.many or more.many, unknown=one.unknown or more.unknown,
    )  # fmt: skip


def contradict(one: Reference, other: Reference) -> bool:
    """Whether two references cannot be to one thing."""
    said = ((one.kinds, other.kinds), (one.colour, other.colour), (one.size, other.size))
    return any(first and second and first != second for first, second in said)


def read_reference(words: Sequence[str], at: int) -> tuple[Reference | None, int] | None:
    """Reads the reference that begins at a word.

    Returns:
        None if none does; else the reference, None for a noun that is no thing of a scene ("the table"), and
        the place of the word behind it.
    """
    first, found, article, said = at, Reference(), False, False
    while at < len(words):
        word = words[at]
        if word in v.ARTICLES and not article and not said:
            article = True
        elif changed := _with_adjective(found, word, words[at + 1 : at + 2]):
            found, said = changed, True
        elif not (word in LOOKS or (word in UNSAYING and (article or said))):
            break
        at += 1
    head = words[at] if at < len(words) else ""
    name = corrected(head[:-1] if head.endswith("s") and head not in v.NOUNS else head)
    many = found.many or (head.endswith("s") and head not in v.NOUNS and "OFPL" not in words[first:at])
    introduced = article or said
    if name in v.NOUNS and (introduced or name in v.BARE):
        kinds = tuple(kind for kind in v.NOUNS[name] if not found.kinds or kind in found.kinds)
        return replace(found, kinds=kinds, many=many, unknown=not kinds), at + 1
    if introduced and name in v.ANYTHING:
        return replace(found, many=many), at + 1
    if introduced and head in v.NEUTRAL and not found.colour:
        return None, at + 1
    if not introduced:
        return None
    if is_known(head):
        return (found, at) if _stands_alone(found, article) else None
    return _with_unknown_word(words, at, found)


def _stands_alone(found: Reference, article: bool) -> bool:
    """Whether adjectives are a reference without a noun: "red", "the bigger", "the left"."""
    named = found.colour or found.other or found.compared
    return bool(named or (article and (found.size or found.rank in ("left", "right"))))


def _with_unknown_word(words: Sequence[str], at: int, found: Reference) -> tuple[Reference, int]:
    """After article and adjectives comes a word that nobody knows: one more, or a noun of another world."""
    for ahead in range(at + 1, min(at + 1 + ADJECTIVES_AHEAD, len(words))):
        later = None if words[ahead] in v.ARTICLES else read_reference(words, ahead)
        if later and later[0] and not later[0].unknown:
            return merged(found, later[0]), later[1]
        if is_known(words[ahead]):
            break
    return replace(found, unknown=True), at + 1


def _with_adjective(found: Reference, word: str, following: Sequence[str]) -> Reference | None:
    """The reference with what an adjective says; None if the word is none."""
    colour = v.COLOUR_WORDS.get(corrected(word), "")
    if colour and not found.colour:
        return replace(found, colour=colour)
    if word in v.SIZE_WORDS:
        return replace(found, size=v.SIZE_WORDS[word])
    if word in v.MORE_SIZE:
        return replace(found, size=v.MORE_SIZE[word], compared=True)
    if word in v.SHAPE_WORDS:
        return replace(found, kinds=v.SHAPE_WORDS[word])
    if word in v.RANK_WORDS and (following or word.endswith("most")):
        return replace(found, rank=v.RANK_WORDS[word])
    if word in v.STATE_WORDS and any(noun in v.NOUNS or noun in v.ANYTHING for noun in following):
        return replace(found, state=v.STATE_WORDS[word])
    if word in ("other", "another"):
        return replace(found, other=True)
    return replace(found, many=True) if word in v.MANY else None


def is_known(word: str) -> bool:
    """Whether a word is of the vocabulary, a mark, an adverb, a number or no word at all."""
    return word in v.VOCABULARY or not (word.isalpha() and word.islower()) or word.endswith("ly")


def corrected(word: str) -> str:
    """A noun or colour that was typed with a letter too many, too few or two in the wrong order."""
    if len(word) < 5 or word in v.VOCABULARY:
        return word
    near = (known for known in (*v.NOUNS, *v.COLOUR_WORDS) if len(known) > 4 and _nearly(word, known))
    return next(near, word)


def _nearly(word: str, known: str) -> bool:
    longer, shorter = (word, known) if len(word) > len(known) else (known, word)
    if word[0] != known[0] or len(longer) > len(shorter) + 1:
        return False
    if len(longer) > len(shorter):
        return any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer)))
    return any(word[:i] + word[i + 1] + word[i] + word[i + 2 :] == known for i in range(len(word) - 1))
