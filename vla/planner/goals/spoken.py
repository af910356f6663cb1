"""What a goal names, before anything is seen: evidence of what there is."""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.goals.reader import tokenised
from ideomotor.vla.planner.goals.references import Cursor, reference_at


@dataclass(frozen=True)
class Spoken:
    """So many things of a colour and a kind at least."""

    colour: str
    kind: str
    number: int = 1


def spoken_of(text: str) -> tuple[Spoken, ...]:
    """The things that a goal names by colour and kind; none where its words are not understood."""
    try:
        cursor = Cursor(tokenised(text))
    except UserError:
        return ()
    found: dict[tuple[str, str], int] = {}
    while cursor.peek():
        reference = reference_at(cursor)
        if reference is None:
            cursor.take()
        elif len(reference.kinds) == 1 and len(reference.colours) == 1:
            key = reference.colours[0], reference.kinds[0]
            found[key] = max(found.get(key, 1), reference.number or 1)
    return tuple(Spoken(*key, number) for key, number in found.items())
