"""Words to token ids and back without `tokenizers` or transformers: byte-level BPE.

Reads the `tokenizer.json` that a checkpoint has (the format of Hugging Face's `tokenizers`). Text is cut as
GPT-2's (Radford et al. 2019, section 2.2) into words, numbers and signs with the space before them, spelled
in 256 printable letters, one for each byte, and joined by the learned merges, the earliest learned first.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError

_ENDINGS = re.compile("'(?:s|t|re|ve|m|ll|d)")
_KINDS = re.compile(" ?L+| ?N+| ?O+|[ S]+(?![LNO])|[ S]+")


class BytePairTokenizer:
    """A vocabulary with its merges.

    Args:
        described: the content of a `tokenizer.json`.

    Raises:
        UserError: a tokenizer of another kind.
    """

    def __init__(self, described: dict[str, Any]) -> None:
        cut, model = described.get("pre_tokenizer") or {}, described.get("model") or {}
        plain = described.get("normalizer") is None and not model.get("byte_fallback")
        if model.get("type") != "BPE" or cut.get("type") != "ByteLevel" or not plain:
            raise UserError(f"tokenizer: a {model.get('type')}, expected a byte-level BPE, as `nano` has")
        self._spaced = bool(cut.get("add_prefix_space", True))
        self._vocabulary: dict[str, int] = dict(model["vocab"])
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self._special = {str(token["content"]): int(token["id"]) for token in described["added_tokens"]}
        self._spelled = {id_: token for token, id_ in self._vocabulary.items()}
        longest = sorted(self._special, key=len, reverse=True)
        self._cut = re.compile("(" + "|".join(map(re.escape, longest)) + ")") if longest else None
        self._joined = lru_cache(maxsize=4096)(self._join)

    def __len__(self) -> int:
        return len(self._vocabulary | self._special)

    def id_of(self, token: str) -> int:
        """Of one token, a special one too. KeyError for one that there is not."""
        return self._special[token] if token in self._special else self._vocabulary[token]

    def encode(self, text: str) -> list[int]:
        """Token ids, without any that mark its ends."""
        parts = self._cut.split(text) if self._cut else [text]
        ids: list[int] = []
        for part in filter(None, parts):
            if part in self._special:
                ids.append(self._special[part])
                continue
            spaced = f" {part}" if self._spaced and not part.startswith(" ") else part
            for word in _words(spaced):
                ids += self._joined(word)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text that tokens spell, without the special ones."""
        special, letters = set(self._special.values()), _bytes_of_letters()
        spelled = "".join(self._spelled.get(id_, "") for id_ in ids if id_ not in special)
        return bytes(letters[letter] for letter in spelled if letter in letters).decode(errors="replace")

    def _join(self, word: str) -> tuple[int, ...]:
        """A word's tokens."""
        letters = _letters_of_bytes()
        parts = [letters[byte] for byte in word.encode()]
        while len(parts) > 1:
            pairs = list(zip(parts, parts[1:], strict=False))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            parts = _merged(parts, best)
        return tuple(self._vocabulary[part] for part in parts if part in self._vocabulary)


def load_tokenizer(path: Path) -> BytePairTokenizer:
    """Reads a `tokenizer.json`. UserError naming the file when it is damaged or of another kind."""
    try:
        return BytePairTokenizer(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a tokenizer's file: {error}") from None


def _merged(parts: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """With every such pair as one part, from the left."""
    merged: list[str] = []
    index = 0
    while index < len(parts):
        if index + 1 < len(parts) and (parts[index], parts[index + 1]) == pair:
            merged.append(pair[0] + pair[1])
            index += 2
        else:
            merged.append(parts[index])
            index += 1
    return merged


def _words(text: str) -> Iterable[str]:
    """Endings such as 's; else letters, digits or signs with a space before them; else space."""
    kinds, at = "".join(map(_kind, text)), 0
    while at < len(text):
        found = _ENDINGS.match(text, at) or _KINDS.match(kinds, at)
        assert found is not None  # every kind is in the pattern
        yield text[at : found.end()]
        at = found.end()


def _kind(letter: str) -> str:
    if letter == " ":
        return " "
    first = unicodedata.category(letter)[0]
    return "S" if letter.isspace() else first if first in "LN" else "O"


@cache
def _letters_of_bytes() -> dict[int, str]:
    """A printable letter for each byte: itself where it is one, else one of those from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


@cache
def _bytes_of_letters() -> dict[str, int]:
    return {letter: byte for byte, letter in _letters_of_bytes().items()}
