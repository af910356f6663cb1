"""The tokenizer without transformers reads and writes as transformers' does."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from ideomotor.control.errors import UserError
from ideomotor.vla.checkpoint_info import bundled_checkpoint
from ideomotor.vla.exported.tokenizer import BytePairTokenizer, load_tokenizer
from ideomotor.vla.interpreter.language import decode_text, plain

FOLDER = bundled_checkpoint() / "interpreter"
THEIRS = AutoTokenizer.from_pretrained(FOLDER)
OURS = load_tokenizer(FOLDER / "tokenizer.json")
SENTENCES = [
    "lift the red cube",
    "Put the BLUE  bowl onto the (small) tray, don't drop it!",
    "it's 20 cm; we'll see  ½ of ² naïve café 东西 🤖",
    "<image> no <plan_3>x</s>",
    "",
    "   ",
    "'re 's'S a'b",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences_are_read_alike(text: str) -> None:
    line = plain(text)
    assert OURS.encode(line) == THEIRS([line], add_special_tokens=False)["input_ids"][0]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=40))
def test_any_text_is_read_alike(text: str) -> None:
    line = plain(text)
    assert OURS.encode(line) == THEIRS([line], add_special_tokens=False)["input_ids"][0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(THEIRS) - 1), max_size=30))
def test_any_ids_are_written_alike(ids: list[int]) -> None:
    assert OURS.decode(ids).strip() == decode_text(THEIRS, ids)


def test_every_special_token_has_its_id() -> None:
    assert len(OURS) == len(THEIRS)
    for token in [*THEIRS.all_special_tokens, "Ġthe"]:
        assert OURS.id_of(token) == THEIRS.convert_tokens_to_ids(token)


def test_other_tokenizers_are_refused(tmp_path: Path) -> None:
    described = json.loads((FOLDER / "tokenizer.json").read_text())
    described["model"]["type"] = "WordPiece"
    with pytest.raises(UserError, match="WordPiece, expected a byte-level BPE"):
        BytePairTokenizer(described)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer\.json: not a tokenizer's file"):
        load_tokenizer(tmp_path / "tokenizer.json")
