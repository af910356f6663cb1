"""Planners that are asked over the network: servers that speak OpenAI's chat completions, and Anthropic's.

Keys come from the environment and are shown nowhere. An answer is text of a stranger: it is read as a plan
(`plan.py`) and checked skill by skill against what is seen, and nothing else is done with it. Time, retries,
tokens and money have limits; an equal question is answered from memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import httpx
import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.plan import Plan
from ideomotor.vla.planner.proposing.interface import PlannerFailed, PlanRequest
from ideomotor.vla.planner.proposing.prompt import SYSTEM, asked, plans_in, schema

KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
BASES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1"}
RETRIED = frozenset(
    (408, 409, 425, 429, 500, 502, 503, 504, 529)
)  # HTTP states after which it is asked again
MAX_ANSWER_BYTES = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one episode may take."""

    timeout_s: float = 30.0  # for one answer, from the question to its last byte [s]
    total_s: float = 120.0  # for one plan, retries and pauses included [s]
    retries: int = 3
    pause_s: float = 1.0  # before the first retry, doubled for each further one [s]
    max_tokens: int = 2_000  # of one answer
    episode_tokens: int = 60_000  # of all questions and answers
    episode_cost: float = 0.50  # in the currency of `cost_per_million`
    cost_per_million: tuple[float, float] = (0.0, 0.0)  # of tokens asked, answered; 0: nobody counts


@dataclass
class Used:
    """What the episode has taken so far."""

    tokens: int = 0
    cost: float = 0.0
    requests: int = 0
    cache: dict[str, str] = field(default_factory=dict)


class HostedPlanner:
    """Implements `interface.Planner` with a server.

    Args:
        kind: openai or anthropic.
        model: as the server calls it.
        base_url: of the server; empty: the company's own.
        limits: of an episode.
        share_images: whether pictures are sent; without it none leaves this machine.
        transport: of the tests.
        sleep, clock: waits and tells the time [s].

    Raises:
        UserError: no such kind, no model, or no key where the company's own server needs one.
    """

    def __init__(
        self, kind: str, model: str, base_url: str = "", limits: Limits | None = None,
        share_images: bool = False, transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        if kind not in KEYS or not model:
            raise UserError(f"planner: got {kind}:{model}, expected openai:MODEL or anthropic:MODEL")
        if base_url and not base_url.startswith(("http://", "https://")):
            raise UserError(f"base-url: got {base_url!r}, expected http://… or https://…")
        self.name = f"{kind}:{model}"
        self.used, self.limits = Used(), limits or Limits()
        self._kind, self._model, self._share = kind, model, share_images
        self._base = (base_url or BASES[kind]).rstrip("/")
        self._key = os.environ.get(KEYS[kind], "")
        if not self._key and not base_url:
            raise UserError(f"planner: {self.name} needs a key in the environment variable {KEYS[kind]}")
        self._client = httpx.Client(
            timeout=self.limits.timeout_s, transport=transport, follow_redirects=False,
            limits=httpx.Limits(max_keepalive_connections=0),  # it is asked too seldom to keep a connection
        )  # fmt: skip
        self._sleep, self._clock = sleep, clock

    def propose(self, request: PlanRequest) -> list[Plan]:
        """See `Planner`. What was asked before, to the word, is not asked again."""
        body = self._body(request)
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if key not in self.used.cache:
            self._afford()
            self.used.cache[key] = self._answer(body)
        return plans_in(self.used.cache[key], request)

    def _afford(self) -> None:
        used, limits = self.used, self.limits
        if used.tokens + limits.max_tokens > limits.episode_tokens:
            raise PlannerFailed("over_budget", f"{used.tokens} of {limits.episode_tokens} tokens are used")
        if used.cost >= limits.episode_cost > 0:
            raise PlannerFailed("over_budget", f"{used.cost:.2f} of {limits.episode_cost:.2f} are spent")

    def _answer(self, body: Mapping[str, Any]) -> str:
        """The text of an answer; retries with growing pauses what a server may do better the next time."""
        limits, began, why, attempt = self.limits, self._clock(), "", 0
        outcome = "unreachable"
        for attempt in range(limits.retries + 1):
            if attempt:
                pause = limits.pause_s * 2 ** (attempt - 1)
                if self._clock() - began + pause > limits.total_s:
                    break
                self._sleep(pause)
            self.used.requests += 1
            try:
                status, content = self._ask(body, began)
            except httpx.TimeoutException:
                outcome, why = "timed_out", f"no answer in {limits.timeout_s:g} s"
                continue
            except httpx.HTTPError as error:
                outcome, why = "unreachable", f"{self._base}: {type(error).__name__}"
                continue
            if status == 200:
                return self._text(content)
            outcome, why = "unreachable", f"{self._base} answered with HTTP {status}"
            if status not in RETRIED:
                break
        raise PlannerFailed(outcome, f"{why}, after {attempt + 1} requests")

    def _ask(self, body: Mapping[str, Any], began: float) -> tuple[int, bytes]:
        """One request; its answer is read only as long and as far as the limits go."""
        path = "/chat/completions" if self._kind == "openai" else "/messages"
        until = min(self._clock() + self.limits.timeout_s, began + self.limits.total_s)
        read = bytearray()
        with self._client.stream("POST", self._base + path, json=body, headers=self._headers()) as answer:
            for piece in answer.iter_bytes():
                read += piece
                if self._clock() > until:
                    raise httpx.ReadTimeout("too slow")
                if len(read) > MAX_ANSWER_BYTES:
                    raise PlannerFailed("malformed", f"an answer of more than {MAX_ANSWER_BYTES} bytes")
            return answer.status_code, bytes(read)

    def _headers(self) -> dict[str, str]:
        if self._kind == "anthropic":
            return {"x-api-key": self._key, "anthropic-version": "2023-06-01"}
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    def _body(self, request: PlanRequest) -> dict[str, Any]:
        text, limits = asked(request), self.limits
        images = [_png(image) for image in request.images.values()] if self._share else []
        if self._kind == "anthropic":
            parts: list[dict[str, Any]] = [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
                for data in images
            ]
            return {
                "model": self._model, "max_tokens": limits.max_tokens, "system": SYSTEM,
                "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}],
            }  # fmt: skip
        seen = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{d}"}} for d in images]
        content: Any = [*seen, {"type": "text", "text": text}] if images else text
        return {
            "model": self._model, "max_completion_tokens": limits.max_tokens,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "plans", "schema": schema(request.things)},
            },
        }  # fmt: skip

    def _text(self, content: bytes) -> str:
        try:
            answer = json.loads(content)
            self._count(answer.get("usage") or {})
            if self._kind == "anthropic":
                stopped, parts = answer.get("stop_reason"), answer["content"]
                text = "".join(part["text"] for part in parts if part.get("type") == "text")
                refused = stopped == "refusal"
            else:
                message = answer["choices"][0]["message"]
                text, refused = message.get("content") or "", bool(message.get("refusal"))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            raise PlannerFailed("malformed", "the answer is no chat completion") from None
        if refused:
            raise PlannerFailed("refused", "the model declined")
        if not isinstance(text, str) or not text.strip():
            raise PlannerFailed("malformed", "an empty answer")
        return text

    def _count(self, usage: Mapping[str, Any]) -> None:
        asked_for = _number(usage, "prompt_tokens", "input_tokens")
        answered = _number(usage, "completion_tokens", "output_tokens")
        self.used.tokens += asked_for + answered
        dear = self.limits.cost_per_million
        self.used.cost += (asked_for * dear[0] + answered * dear[1]) / 1e6


def _number(usage: Mapping[str, Any], *names: str) -> int:
    found = next((usage[name] for name in names if isinstance(usage.get(name), int)), 0)
    return max(0, found)


def _png(image: np.ndarray) -> str:
    """A picture, uint8 (H, W, 3) RGB, as base64; a PNG holds pixels and nothing about who made it."""
    return base64.b64encode(cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()).decode()
