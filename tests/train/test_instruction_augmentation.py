"""Unknown words are thrown in beside an instruction's own, never instead of them; or it is left out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.train.instruction_augmentation import MOST, augmented_instruction, with_unknown_words


@given(st.lists(st.text("abcdefg", min_size=1, max_size=6), min_size=1, max_size=8), st.integers(0, 2**32))
def test_the_words_of_an_instruction_stay_in_their_order(words: list[str], seed: int) -> None:
    line = with_unknown_words(" ".join(words), np.random.default_rng(seed), 1.0).split(" ")
    assert 1 <= len(line) - len(words) <= MOST
    rest = iter(line)
    assert all(word in rest for word in words)


def test_a_share_of_instructions_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    kept = [with_unknown_words("push it", rng, 0.25) == "push it" for _ in range(400)]
    assert 0.7 < np.mean(kept) < 0.8
    assert with_unknown_words("push it", rng, 0.0) == "push it"
    assert with_unknown_words("", rng, 1.0) == ""


def test_a_share_of_instructions_is_left_out() -> None:
    rng = np.random.default_rng(0)
    lines = [augmented_instruction("push it", rng, 0.0, 0.1) for _ in range(1000)]
    assert set(lines) == {"push it", ""}
    assert 70 < lines.count("") < 130
    assert {augmented_instruction("push it", rng, 0.0, 0.0) for _ in range(100)} == {"push it"}
