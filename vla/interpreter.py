"""The interpreter (System 2): a vision-language model that turns a picture and an instruction into a plan.

Any `transformers` image-text-to-text model can serve. K plan queries stand at the end of the prompt as
added vocabulary; their hidden states are the latent plan. Heads on them point at the things the
instruction refers to, name the words of the subtasks ahead and tell the progress. Points and words are
written back into the plan tokens, so that the decoder gets geometry as numbers and intentions in the same
words however the instruction was phrased. The language head writes the readable plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForImageTextToText, DynamicCache, SmolVLMConfig

from ideomotor.vla.grounding import OCTAVES, Pointing, PointingHead, fourier
from ideomotor.vla.language import IMAGE_TOKEN, PLAN_QUERIES, Prompts, decode_text, encode_prompts


@dataclass(frozen=True)
class InterpreterConfig:
    """What surrounds the vision-language model."""

    cameras: tuple[str, ...] = ("front",)  # pictures in the prompt; points are in the first
    image_size: int = 96  # [pixels]
    names: tuple[str, ...] = ("target", "place")  # what is pointed at, by plan token 0, 1, …
    plan_dim: int = 128
    layer: int = -1  # which hidden state is the plan: -1 the last, normalised one
    map_width: int = 64  # channels of the pointing map


@dataclass(frozen=True)
class Vision:
    """The pictures of B samples, encoded once for any number of prompts."""

    tokens: torch.Tensor  # (B, T, d) what the language model reads
    keys_values: torch.Tensor  # (B, cells², 2 width) what the pointing head searches


@dataclass(frozen=True)
class Reading:
    """What the model makes of N = B G prompts."""

    hidden: torch.Tensor  # (N, K, d) plan hidden states
    words: torch.Tensor  # (N, vocabulary) logits: this word is in the subtasks ahead
    meaning: torch.Tensor  # (N, d) the sum of those words' embeddings, each as far as it is likely
    pointing: Pointing
    logits: torch.Tensor | None  # (text positions, vocabulary), aligned with `text_labels`
    text_labels: torch.Tensor | None  # (text positions,)


def nano_vlm(tokenizer: Any, vision: int = 128, text: int = 160, layers: int = 4) -> nn.Module:
    """SmolVLM scaled down by its config to about 1.8 M parameters, to be trained from scratch.

    Attention is the plain kind: on a CPU in bfloat16 it trains 1.7 times faster than the fused one.
    """
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": vision,
            "intermediate_size": 2 * vision,
            "num_hidden_layers": layers,
            "num_attention_heads": max(1, vision // 64),
            "image_size": 96,
            "patch_size": 8,
            "hidden_act": "gelu",
        },
        text_config={
            "model_type": "llama",
            "hidden_size": text,
            "intermediate_size": 2 * text,
            "num_hidden_layers": layers,
            "num_attention_heads": max(1, text // 40),
            "num_key_value_heads": max(1, text // 40),
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 512,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "tie_word_embeddings": True,
        },
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        scale_factor=3,
        tie_word_embeddings=True,
    )
    return AutoModelForImageTextToText.from_config(config, attn_implementation="eager")


class PlanHead(nn.Module):
    """Latent plan tokens and progress from plan hidden states and points.

    Small and apart, because it is trained with the decoder while the interpreter behind it is frozen.
    """

    def __init__(self, hidden: int, plan_dim: int, names: int):
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, plan_dim))
        self.mean = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, plan_dim))
        features = 4 * OCTAVES + 3
        self.write = nn.ModuleList(
            nn.Sequential(nn.Linear(features, plan_dim), nn.GELU(), nn.Linear(plan_dim, plan_dim))
            for _ in range(names)
        )
        self.progress = nn.Sequential(nn.Linear(hidden, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(
        self,
        hidden: torch.Tensor,
        meaning: torch.Tensor,
        points: torch.Tensor,
        presence: torch.Tensor,
        felt: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder is told: points in the first tokens, words in the next.

        Args:
            hidden, meaning: (N, K, hidden) and (N, hidden), of a `Reading`.
            points, presence: (N, M, 2) and (N, M) in [0, 1].
            felt: (N,) 0 where the hidden states are withheld and points and words must do; None: nowhere.

        Returns:
            tokens (N, K, plan_dim) and the progress' logit (N,).
        """
        tokens = self.project(hidden)
        if felt is not None:
            tokens = tokens * felt[:, None, None]
        features = torch.cat([fourier(points), torch.ones_like(presence).unsqueeze(-1)], dim=-1)
        features = features * presence.unsqueeze(-1)
        parts = [write(features[:, m]) for m, write in enumerate(self.write)]
        written = torch.stack([*parts, self.mean(meaning)], dim=1)
        rest = torch.zeros_like(tokens[:, written.shape[1] :])
        tokens = tokens + torch.cat([written.to(tokens.dtype), rest], dim=1)
        return tokens, self.progress(hidden[:, -1]).squeeze(-1)


class Interpreter(nn.Module):
    """A vision-language model with plan queries, pointing and progress."""

    def __init__(self, vlm: nn.Module, tokenizer: Any, config: InterpreterConfig):
        super().__init__()
        self.vlm: Any = vlm
        self.tokenizer = tokenizer
        self.config = config
        vision, text = self.vlm.config.vision_config, self.vlm.config.text_config
        patches = config.image_size // vision.patch_size
        self.image_tokens = (patches // self.vlm.config.scale_factor) ** 2 * len(config.cameras)
        names = len(config.names)
        self.point = PointingHead(
            vision.hidden_size, text.hidden_size, names, config.image_size // 4, patches, config.map_width
        )
        self.plan_head = PlanHead(text.hidden_size, config.plan_dim, names)
        # From the last plan token: which words the subtasks ahead are told in.
        self.say = nn.Linear(text.hidden_size, text.hidden_size)
        self.rarely = nn.Parameter(torch.full((len(tokenizer),), -5.0))  # most words are not

    @property
    def hidden_dim(self) -> int:
        """Width of the plan hidden states."""
        return int(self.vlm.config.text_config.hidden_size)

    def see(self, pixels: torch.Tensor) -> Vision:
        """Encodes pictures: (B, cameras, 3, H, W) in [-1, 1]."""
        seen = self.vlm.get_image_features(pixel_values=pixels)
        tokens = torch.cat(list(seen.pooler_output)).unflatten(0, (pixels.shape[0], -1))
        patches = seen.last_hidden_state.unflatten(0, pixels.shape[:2])[:, 0]
        return Vision(tokens=tokens, keys_values=self.point.map(pixels[:, 0], patches))

    def prompts(
        self,
        instructions: Sequence[str],
        has_image: Sequence[bool],
        texts: Sequence[str | None] | None = None,
    ) -> Prompts:
        """Prompts for this model's number of image tokens."""
        return encode_prompts(self.tokenizer, instructions, self.image_tokens, has_image, texts)

    def embed(self, vision: Vision, ids: torch.Tensor) -> torch.Tensor:
        """(N, L) ids -> (N, L, d) embeddings with the pictures' tokens in place; N is a multiple of B."""
        embeddings = self.vlm.get_input_embeddings()(ids)
        tokens = vision.tokens.repeat_interleave(ids.shape[0] // vision.tokens.shape[0], dim=0)
        here = ids == self.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        seeing = here.any(-1)
        tokens = tokens[seeing].flatten(0, 1).to(embeddings.dtype)
        return embeddings.masked_scatter(here.unsqueeze(-1), tokens)

    def forward(self, pixels: torch.Tensor, prompts: Prompts) -> Reading:
        """Reads G prompts about each of B pictures (prompts b G … b G + G - 1 are about picture b).

        Args:
            pixels: (B, cameras, 3, H, W) in [-1, 1].
            prompts: N = B G rows; with texts, their logits are computed too.
        """
        vision = self.see(pixels)
        last, hidden, _ = self._run(self.embed(vision, prompts.ids), keep=False)
        plan = _take(hidden, prompts.plan_at)
        grouped = plan.unflatten(0, (pixels.shape[0], -1))
        logits = targets = None
        spoken = prompts.labels[:, 1:] >= 0
        if spoken.any():
            logits = self.vlm.lm_head(last[:, :-1][spoken])
            targets = prompts.labels[:, 1:][spoken]
        words, meaning = self._mean(plan[:, -1])
        return Reading(plan, words, meaning, self.point(grouped, vision.keys_values), logits, targets)

    @torch.inference_mode()
    def describe(
        self, pixels: torch.Tensor, instruction: str, has_image: bool = True, limit: int = 80
    ) -> str:
        """The readable plan, written greedily, for one sample (1, cameras, 3, H, W)."""
        prompts = self.prompts([instruction], [has_image])
        last, _, cache = self._run(self.embed(self.see(pixels), prompts.ids), keep=True)
        words: list[int] = []
        while len(words) < limit:
            word = int(self.vlm.lm_head(last[:, -1]).argmax(-1))
            if word == self.tokenizer.eos_token_id:
                break
            words.append(word)
            step = self.vlm.get_input_embeddings()(torch.tensor([[word]], device=last.device))
            last, _, cache = self._run(step, keep=True, cache=cache)
        return decode_text(self.tokenizer, words)

    def _mean(self, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The last plan token (N, d) -> `words` and `meaning` of a `Reading`."""
        with torch.autocast(last.device.type, enabled=False):
            spelled = F.normalize(self.vlm.get_input_embeddings().weight[: len(self.rarely)].float(), dim=-1)
            words = self.say(last.float()) @ spelled.T + self.rarely
            return words, words.sigmoid() @ spelled

    def _run(
        self, embeddings: torch.Tensor, keep: bool, cache: DynamicCache | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """The language model: (last hidden states, those of the plan layer, key-value cache)."""
        deep = self.config.layer != -1
        out = self.vlm.model(
            inputs_embeds=embeddings, use_cache=keep, past_key_values=cache, output_hidden_states=deep
        )
        hidden = out.hidden_states[self.config.layer] if deep else out.last_hidden_state
        return out.last_hidden_state, hidden, out.past_key_values


def _take(hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """(N, L, d) at (N, K) positions -> (N, K, d)."""
    assert positions.shape[1] == PLAN_QUERIES
    return hidden.gather(1, positions.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
