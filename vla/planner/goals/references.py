"""Words that speak of things: "the red cube", "both small balls", "two of them", "it"."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ideomotor.vla.planner.goals import words


@dataclass(frozen=True)
class Reference:
    """Words that speak of things."""

    text: str
    kinds: tuple[str, ...] = ()  # empty: not said
    colours: tuple[str, ...] = ()
    size: str = ""
    quantifier: str = "the"  # the, all, any, it, them or others
    number: int | None = None
    plural: bool = False
    matching: bool = False  # of the same colour as what is put there


@dataclass
class Cursor:
    tokens: list[str]
    at: int = 0

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]


def reference_at(cursor: Cursor) -> Reference | None:
    """The reference at the cursor, which moves behind it; None: there is none, and it stays."""
    start, found = cursor.at, Reference("")
    while token := cursor.peek():
        if token in words.PRONOUNS and cursor.at == start:
            cursor.take()
            return Reference(token, quantifier="it" if words.PRONOUNS[token] == 1 else "them")
        more = _with_noun(found, token) or _with_word(found, token, cursor.at == start, cursor.peek(1))
        if more is None:
            break
        found = more
        cursor.take()
        if found.kinds and cursor.peek() == "or" and singular(cursor.peek(1)) in words.NOUNS:
            cursor.take()
        elif found.kinds or (found.quantifier == "all" and cursor.peek() in words.PREPOSITIONS):
            break
    if found.kinds and cursor.peek() == "MATCHING":
        cursor.take()
        found = replace(found, matching=True)
    counted = found.number is not None or found.quantifier in ("all", "others")
    if not (found.kinds or found.colours or found.size or counted):
        cursor.at = start
        return None
    return replace(found, text=" ".join(cursor.tokens[start : cursor.at]))


def _with_noun(found: Reference, token: str) -> Reference | None:
    """A reference with a noun added; None for another word."""
    if token in words.EVERYTHING and not found.kinds:
        return replace(found, kinds=words.ANY_THING, quantifier="all", plural=True)
    if singular(token) not in words.NOUNS:
        return None
    kinds = words.NOUNS[singular(token)]
    return replace(found, kinds=(*found.kinds, *kinds), plural=singular(token) != token or token == "stuff")


def _with_word(found: Reference, token: str, begins: bool, following: str) -> Reference | None:
    """A reference with what qualifies it added; None: the word is no part of it."""
    if token in words.OTHERS:
        return replace(found, quantifier="others")
    if token in words.ALL:
        return replace(found, quantifier="all", number=words.NUMBERS.get(token, found.number))
    if token in words.THE or token in ("a", "an"):
        indefinite = token in ("a", "an") and begins
        allowed = begins or found.quantifier in ("all", "others")
        return replace(found, quantifier="any" if indefinite else found.quantifier) if allowed else None
    if token in ("one", "ones") and not begins:
        return found
    if token in words.NUMBERS:
        return replace(found, number=words.NUMBERS[token], quantifier="any" if begins else found.quantifier)
    if token in words.SIZE_WORDS:
        return replace(found, size=words.SIZE_WORDS[token])
    if token in words.COLOUR_WORDS:
        return replace(found, colours=(*found.colours, words.COLOUR_WORDS[token]))
    if token == "matching":
        return replace(found, matching=True)
    return found if token == "and" and found.colours and following in words.COLOUR_WORDS else None


def singular(token: str) -> str:
    if token.endswith(("boxes", "dishes", "switches")):
        return token[:-2]
    return token[:-1] if token.endswith("s") and len(token) > 3 else token


def is_filler(token: str) -> bool:
    return token in words.FILLERS and token not in words.NUMBERS
