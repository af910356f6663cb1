"""Words: nothing is lost to an unknown token, and prompts put everything where the model looks for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.vla.interpreter.language import (
    IGNORED,
    PLAN_TOKENS,
    decode_text,
    encode_prompts,
    plain,
    train_tokenizer,
)

TOKENIZER = train_tokenizer(["reach the red cube", "now: reach the red cube. next: hold still."] * 5, 300)


@given(st.text(max_size=40))
def test_any_text_survives_the_tokenizer(text: str) -> None:
    if any(token in plain(text) for token in TOKENIZER.all_special_tokens):
        return
    ids = TOKENIZER(plain(text), add_special_tokens=False)["input_ids"]
    assert decode_text(TOKENIZER, ids) == plain(text)


def test_prompts_end_with_the_plan_queries_and_the_text() -> None:
    prompts = encode_prompts(
        TOKENIZER, ["reach the red cube", "zzz the red cube"], 4, [True, False], ["now: reach", None]
    )
    plan = TOKENIZER.convert_tokens_to_ids(list(PLAN_TOKENS))
    for row, at in zip(prompts.ids, prompts.plan_at, strict=True):
        assert row[at].tolist() == plan
    assert prompts.ids[0, :4].tolist() == [TOKENIZER.convert_tokens_to_ids("<image>")] * 4
    assert prompts.ids[1, :4].tolist() == [TOKENIZER.convert_tokens_to_ids("<no_image>")] * 4
    spoken = prompts.labels[0][prompts.labels[0] != IGNORED].tolist()
    assert spoken[-1] == TOKENIZER.eos_token_id
    assert decode_text(TOKENIZER, spoken) == "now: reach"
    assert (prompts.labels[1] == IGNORED).all()


@pytest.mark.parametrize("instruction", ["", "   "])
def test_a_missing_instruction_has_its_own_token(instruction: str) -> None:
    prompts = encode_prompts(TOKENIZER, [instruction], 2, [True])
    assert prompts.ids[0, 2] == TOKENIZER.convert_tokens_to_ids("<no_instruction>")
