"""Which of the things that are seen a reference means, in the order in which references are spoken."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.goals.references import Reference
from ideomotor.vla.planner.goals.words import ANY_THING
from ideomotor.vla.planner.things import is_graspable, kind_of, taken_apart


class SpokenThings:
    """Resolves references and remembers what was spoken of.

    Args:
        things: that are seen.

    Attributes:
        last: things that were spoken of last, which "them" means.
        last_drawer: the same of drawers; empty: none was.
    """

    def __init__(self, things: tuple[str, ...]):
        self.things = things
        self.last: tuple[str, ...] = ()
        self.last_drawer = ""
        self._spoken: set[str] = set()
        self._class = Reference("")  # of the last reference with a noun: "two" of them

    def one(self, ref: Reference, domain: Sequence[str]) -> str:
        """The one thing that is spoken of, of these kinds. UserError where it is none or several."""
        names = self.resolve(ref, domain)
        first, *more = names
        if more:
            raise UserError(f"goal: {ref.text!r} could be {' or '.join(names)}, expected one")
        return first

    def resolve(self, ref: Reference, domain: Sequence[str]) -> tuple[str, ...]:
        """The names of what is spoken of. UserError where that is nothing, or more than one for "the"."""
        if ref.quantifier in ("it", "them"):
            return self._pronoun(ref, domain)
        if not ref.kinds and not ref.colours and not ref.size and ref.number is not None and self._class.text:
            ref = replace(self._class, number=ref.number, quantifier="any", text=ref.text)
        elif not ref.kinds and ref.quantifier != "others" and self._class.kinds and (ref.colours or ref.size):
            fits = [kind for kind in self._class.kinds if kind in domain]
            ref = replace(ref, kinds=tuple(fits))  # "the red one"
        kinds = ref.kinds or tuple(domain)
        found = tuple(name for name in self.things if self._fits(ref, name, kinds))
        if ref.quantifier == "others":
            found = tuple(name for name in found if name not in self._spoken and is_graspable(name))
        if not found:
            raise self._nothing(ref)
        if self.last_drawer in found and ref.quantifier == "the" and not ref.plural:
            found = (self.last_drawer,)  # "the drawer" that was spoken of
        many = ref.plural or ref.quantifier in ("all", "any", "others") or ref.number is not None
        if not many and len(found) > 1:
            raise UserError(f"goal: {ref.text!r} could be {' or '.join(found)}, expected one")
        first, *more = list(found)
        if kind_of(first) == "drawer" and not more:
            self.last_drawer = first
        if ref.kinds:
            self._class = ref
        if all(is_graspable(name) for name in found):
            self.last = found
        self._spoken |= set(found)
        return found

    def _fits(self, ref: Reference, name: str, kinds: Sequence[str]) -> bool:
        thing = taken_apart(name)
        known = thing.kind in kinds or (set(ANY_THING) <= set(kinds) and is_graspable(name))
        size = not ref.size or thing.size == ref.size or (not thing.size and name.endswith(ref.text))
        return known and size and (not ref.colours or thing.colour in ref.colours)

    def _pronoun(self, ref: Reference, domain: Sequence[str]) -> tuple[str, ...]:
        if "drawer" in domain and self.last_drawer:
            return (self.last_drawer,)
        if "drawer" not in domain and self.last:
            return self.last
        raise UserError(f"goal: {ref.text!r} refers to nothing that was spoken of before")

    def _nothing(self, ref: Reference) -> UserError:
        near = difflib.get_close_matches(ref.text.removeprefix("the "), self.things, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return UserError(
            f"goal: {ref.text!r} is not seen{hint} (seen: {', '.join(self.things) or 'nothing'})"
        )
