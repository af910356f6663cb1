"""A language model on this machine as planner: any of `transformers`' causal or image-text-to-text models.

Decoding is constrained to the JSON schema of plans (llguidance), so that whatever the model, what it
writes is a plan about things that are seen, or is cut off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.plan import Plan
from ideomotor.vla.planner.proposing.interface import PlannerFailed, PlanRequest
from ideomotor.vla.planner.proposing.prompt import SYSTEM, asked, plans_in, schema

MAX_TOKENS = 600
MAX_SECONDS = 60.0  # of one answer [s]


class LocalPlanner:
    """Implements `interface.Planner` with a model of `transformers`.

    Args:
        source: folder, or ORG/NAME on the Hugging Face Hub.
        max_tokens, max_seconds: of one answer.
        clock: tells the time [s].

    Raises:
        UserError: the model cannot be loaded, or the extra `planner` is not installed.
    """

    def __init__(
        self, source: str, max_tokens: int = MAX_TOKENS, max_seconds: float = MAX_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        try:
            import llguidance
            import llguidance.hf
        except ImportError:
            raise UserError(
                "planner: local:… needs the extra `planner`: pip install 'ideomotor[planner]'"
            ) from None
        self.name = f"local:{source}"
        self._guidance = llguidance
        self._max_tokens, self._max_seconds, self._clock = max_tokens, max_seconds, clock
        self._tokenizer, self._model = _loaded(source)
        self._vocabulary = llguidance.hf.from_tokenizer(self._tokenizer)

    def propose(self, request: PlanRequest) -> list[Plan]:
        """See `Planner`."""
        return plans_in(self._written(request), request)

    @torch.inference_mode()
    def _written(self, request: PlanRequest) -> str:
        """What the model writes, token by token, each one that the schema allows."""
        guidance = self._guidance
        grammar = guidance.LLMatcher.grammar_from_json_schema(schema(request.things, request.count))
        matcher = guidance.LLMatcher(self._vocabulary, grammar)
        if matcher.is_error():
            raise PlannerFailed("malformed", f"the schema: {matcher.get_error()[:160]}")
        tokens = self._prompt(request)
        until = self._clock() + self._max_seconds
        past: Any = None
        written: list[int] = []
        while not matcher.is_stopped():
            if self._clock() > until:
                raise PlannerFailed("timed_out", f"no whole plan in {self._max_seconds:g} s")
            if len(written) >= self._max_tokens:
                raise PlannerFailed("over_budget", f"no whole plan in {self._max_tokens} tokens")
            output = self._model(input_ids=tokens, past_key_values=past, use_cache=True)
            past = output.past_key_values
            logits = output.logits[:, -1, : self._vocabulary.vocab_size].float()
            allowed = _bits(matcher.compute_bitmask(), logits.shape[1])
            token = int(logits.masked_fill(~allowed, -torch.inf).argmax())
            if not matcher.consume_token(token):
                raise PlannerFailed("malformed", matcher.get_error()[:160] or "a token that no plan has")
            written.append(token)
            tokens = torch.tensor([[token]])
        return self._tokenizer.decode(written, skip_special_tokens=True)

    def _prompt(self, request: PlanRequest) -> torch.Tensor:
        """(1, T) token ids, in the model's own chat form where it has one."""
        said = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked(request)}]
        if getattr(self._tokenizer, "chat_template", None):
            text = self._tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        else:
            text = f"{SYSTEM}\n\n{said[1]['content']}\n\n"
        return self._tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]


def _bits(mask: bytes, size: int) -> torch.Tensor:
    """(size,) bool of a mask, a bit a token."""
    return torch.from_numpy(np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")[:size]).bool()


def _loaded(source: str) -> tuple[Any, Any]:
    """(tokenizer, model)."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        try:
            model = AutoModelForCausalLM.from_pretrained(source)
        except ValueError:  # its configuration is of no causal language model
            model = AutoModelForImageTextToText.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"planner: {source!r} cannot be loaded ({reason})") from None
    return tokenizer, model.eval()
