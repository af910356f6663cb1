"""What an edited dataset consists of: pieces of episodes, in order, as a person asks for them.

Episodes are numbered through all datasets given, as the plan shows them. Whatever is not there is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ideomotor.control.errors import UserError

_RANGE = re.compile(r"(\d+)(?:(-)(\d*))?")


@dataclass(frozen=True)
class Piece:
    """The frames `start` to `stop` of an episode."""

    dataset: int
    episode: int  # in its dataset
    number: int  # through all datasets
    start: int
    stop: int  # exclusive
    instruction: str | None = None  # instead of its own


def all_pieces(lengths: Sequence[Sequence[int]]) -> list[Piece]:
    """Every episode whole; `lengths` has the frames of each episode of each dataset."""
    placed = [(number, episode) for number, own in enumerate(lengths) for episode in range(len(own))]
    return [
        Piece(dataset, episode, number, 0, lengths[dataset][episode])
        for number, (dataset, episode) in enumerate(placed)
    ]


def episodes_named(text: str, total: int, field: str) -> list[int]:
    """The numbers that "0,3-5,7-" names, of `total` episodes; each once, in order.

    Raises:
        UserError: not such a list, or a number that is not there.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if not match:
            raise UserError(f"{field}: got {text!r}, expected episode numbers such as 0,3-5 or 7-")
        first = int(match[1])
        last = first if not match[2] else int(match[3]) if match[3] else total - 1
        if last < first or last >= total:
            there = f"0 to {total - 1}" if total else "none"
            raise UserError(f"{field}: got {part.strip()}, episodes there are: {there}")
        found.update(range(first, last + 1))
    return sorted(found)


def deleted(pieces: Sequence[Piece], numbers: Sequence[int]) -> list[Piece]:
    """The pieces without some episodes; UserError where none is left."""
    left = [piece for piece in pieces if piece.number not in set(numbers)]
    if not left:
        raise UserError("delete: no episode would be left")
    return left


def trimmed(pieces: Sequence[Piece], cuts: Mapping[int, tuple[int, int]]) -> list[Piece]:
    """The pieces with some cut to frames (start, stop); UserError for frames that are not there."""
    for piece in pieces:
        if piece.number in cuts:
            start, stop = cuts[piece.number]
            if not piece.start <= start < stop <= piece.stop:
                raise UserError(
                    f"trim: episode {piece.number}: got {start}:{stop}, expected frames in "
                    f"{piece.start}:{piece.stop}"
                )
    return [
        replace(piece, start=cuts[piece.number][0], stop=cuts[piece.number][1])
        if piece.number in cuts
        else piece
        for piece in pieces
    ]


def cut_of(text: str, lengths: Sequence[int]) -> tuple[int, tuple[int, int]]:
    """(episode, (start, stop)) of "EPISODE=START:STOP" [frames]; either end may be left out."""
    match = re.fullmatch(r"(\d+)=(\d*):(\d*)", text)
    if not match:
        raise UserError(f"trim: got {text!r}, expected EPISODE=START:STOP in frames, such as 3=15:240")
    episode = int(match[1])
    if episode >= len(lengths):
        raise UserError(f"trim: got episode {episode}, there are {len(lengths)}")
    return episode, (int(match[2] or 0), int(match[3] or lengths[episode]))


def instructed(pieces: Sequence[Piece], numbers: Sequence[int], text: str) -> list[Piece]:
    """The pieces with another instruction for some episodes."""
    if not text.strip():
        raise UserError("instruction: empty, expected what the episode shows")
    return [replace(p, instruction=text) if p.number in set(numbers) else p for p in pieces]
