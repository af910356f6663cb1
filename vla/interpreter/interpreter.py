"""The interpreter (System 2): a vision-language model that turns a picture and an instruction into a plan.

Any `transformers` image-text-to-text model of a family in `families.py` can serve, `nano` or a pretrained
one. K plan queries stand at the end of the prompt as added vocabulary; their hidden states are the latent
plan. Heads on them point at the things the instruction refers to, name the words of the subtasks ahead and
tell the progress. Points and words are written back into the plan tokens (`plan_head.py`), so that the
decoder gets geometry as numbers and intentions in the same words however the instruction was phrased. The
language head writes the readable plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.vla.interpreter.alignment import Alignment
from ideomotor.vla.interpreter.context_pool import ContextPool
from ideomotor.vla.interpreter.families import (
    axis_positions,
    family_of,
    first_layers,
    patch_grid,
    pooled,
    say,
)
from ideomotor.vla.interpreter.grounding import PointingHead
from ideomotor.vla.interpreter.language import (
    IMAGE_TOKEN,
    NO_IMAGE_TOKEN,
    PLAN_TOKENS,
    Frame,
    Prompts,
    encode_prompts,
    encode_texts,
)
from ideomotor.vla.interpreter.output import EncodedImages, InterpreterOutput
from ideomotor.vla.interpreter.plan_head import PlanHead
from ideomotor.vla.interpreter.pretrained import (
    ADAPTER,
    AddedTokens,
    Pretrained,
    checked_layer,
    fitted,
    frame_of,
)
from ideomotor.vla.interpreter.state_encoder import ProprioEncoder
from ideomotor.vla.interpreter.vocabulary import PLAN_QUERIES


@dataclass(frozen=True)
class InterpreterConfig:
    """What surrounds the vision-language model."""

    cameras: tuple[str, ...] = ("front",)  # pictures in the prompt; points are in the first
    image_size: int = 96  # [pixels]
    names: tuple[str, ...] = ("target", "place")  # what is pointed at, by plan token 0, 1, …
    plan_dim: int = 128
    layer: int = -1  # which hidden state is the plan: -1 the last, normalised one
    map_width: int = 64  # channels of the pointing map
    align_dim: int = 0  # of the space in which pictures and descriptions meet; 0: there is none
    # That all pictures are pooled into, see `ContextPool`; 0: they are not. Left out of the repr, by which
    # plans are cached: those of interpreters that do not pool keep their names.
    context_tokens: int = field(default=0, repr=False)
    proprio: int = 0  # numbers of the joint state that the plan queries are given; 0: pictures alone
    pretrained: Pretrained | None = None  # the base; None: nano, trained from scratch


class Interpreter(nn.Module):
    """A vision-language model with plan queries, pointing and progress.

    Args:
        vlm: nano or a base, with its adapters.
        tokenizer: one that knows ADDED_TOKENS.
        config: what surrounds the model.

    Raises:
        UserError: a layer that the model does not have, or pictures of a size it cannot take.
    """

    word_ids: torch.Tensor  # (words,)
    query_ids: torch.Tensor  # (K,)

    def __init__(self, vlm: nn.Module, tokenizer: Any, config: InterpreterConfig):
        super().__init__()
        self.vlm: Any = vlm
        self.tokenizer = tokenizer
        self.config = config
        base, text = config.pretrained, self.vlm.config.text_config
        self.family = family_of(self.vlm.config)
        self.patch_grid = patch_grid(self.vlm.config, base.image_size if base else config.image_size)
        self.side = base.token_side if base else self.patch_grid.tokens
        pictures, names = len(config.cameras), len(config.names)
        self.image_tokens = self.side**2 * pictures
        self.layer = checked_layer(self.vlm.config, config.layer)
        self.depth = int(text.num_hidden_layers)
        self.point = PointingHead(
            self.patch_grid.width,
            text.hidden_size,
            names,
            config.image_size // 4,
            self.patch_grid.patches,
            config.map_width,
        )
        self.plan_head = PlanHead(text.hidden_size, config.plan_dim, names)
        self.align = Alignment(text.hidden_size, config.align_dim) if config.align_dim else None
        self.proprio = ProprioEncoder(config.proprio, text.hidden_size) if config.proprio else None
        # From the last plan token: which words the subtasks ahead are written in.
        self.say = nn.Linear(text.hidden_size, text.hidden_size)
        self.words = base.words if base else range(len(tokenizer))  # ids that are named
        self.rarely = nn.Parameter(torch.full((len(self.words),), -5.0))  # most words are not
        self.register_buffer("word_ids", torch.tensor(self.words), persistent=False)
        queries = torch.tensor(tokenizer.convert_tokens_to_ids(list(PLAN_TOKENS)))
        self.register_buffer("query_ids", queries, persistent=False)
        self.frame, self.added = Frame(pictures=pictures, context=config.context_tokens), None
        self.pool = None
        if config.context_tokens:
            if base:
                raise UserError("interpreter.context_tokens: of nano alone, expected 0 around a base")
            self.pool = ContextPool(text.hidden_size, pictures, config.context_tokens)
        if base:
            self.frame = frame_of(tokenizer, self.vlm.config, pictures)
            self.added = AddedTokens(tokenizer, self.vlm.get_input_embeddings())

    @property
    def hidden_dim(self) -> int:
        """Width of the plan hidden states."""
        return int(self.vlm.config.text_config.hidden_size)

    def own(self, name: str) -> bool:
        """Whether a tensor is the interpreter's own, not one of a base that is only named."""
        base = self.config.pretrained
        return base is None or base.stored or not name.startswith("vlm.") or ADAPTER in name

    def train(self, mode: bool = True) -> Interpreter:
        """As every module's; a frozen base has no dropout even then."""
        super().train(mode)
        if self.config.pretrained and self.config.pretrained.tuning == "frozen":
            self.vlm.eval()
        return self

    def encode_images(self, pixels: torch.Tensor) -> EncodedImages:
        """Encodes pictures: (B, cameras, 3, H, W) in [-1, 1]."""
        count = pixels.shape[:2]
        pictures, base = pixels.flatten(0, 1), self.config.pretrained
        if base:
            pictures = fitted(pictures, base, self.vlm.dtype)
        features = pooled(self.family.encode(self.vlm, pictures), self.side)
        tokens = features.tokens.unflatten(0, count).flatten(1, 2)
        patches = features.patches.unflatten(0, count)[:, 0]
        deep = tuple(part.unflatten(0, count).flatten(1, 2) for part in features.deep)
        return EncodedImages(tokens, self.point.map(pixels[:, 0], patches.to(pixels.dtype)), deep)

    def prompts(
        self,
        instructions: Sequence[str],
        has_image: Sequence[bool | Sequence[bool]],
        texts: Sequence[str | None] | None = None,
        state: np.ndarray | None = None,
    ) -> Prompts:
        """Prompts for this model's number of image tokens; see `encode_prompts`.

        Args:
            state: (N, D) joint states [rad or m], NaN where unknown; None: everywhere. Of no effect on a
                model that has no use for them.
        """
        proprio = torch.full((len(instructions), self.config.proprio), torch.nan)
        if state is not None and self.config.proprio:
            proprio = torch.from_numpy(np.asarray(state, np.float32))
        return encode_prompts(
            self.tokenizer, instructions, self.image_tokens, has_image, texts, frame=self.frame, state=proprio
        )

    def embed(
        self, encoded: EncodedImages, ids: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Prompts as the language model is called with them; N is a multiple of B.

        Args:
            encoded: of B samples.
            ids: (N, L).
            state: (N, D), of `Prompts`.

        Returns:
            (N, L, d) embeddings with the pictures' tokens in place, and what else its family wants.
        """
        embeddings = self.embed_words(ids)
        here = ids == self.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        places = here | (ids == self.tokenizer.convert_tokens_to_ids(NO_IMAGE_TOKEN))
        present, group = here[places].view(len(ids), -1), ids.shape[0] // encoded.tokens.shape[0]
        if self.pool is not None:  # the first of these only tell which pictures there are
            pictures = self.frame.pictures
            pooled = self.pool(encoded.tokens, present[:, :pictures])
            encoded, group, present = EncodedImages(pooled, encoded.keys_values), 1, present[:, pictures:]
            here = here & (places.cumsum(1) > pictures)

        def placed(tokens: torch.Tensor) -> torch.Tensor:
            return tokens.repeat_interleave(group, dim=0)[present].to(embeddings.dtype)

        also: dict[str, Any] = {}
        if self.family.axes:
            also["position_ids"] = axis_positions(here, self.side)
        if self.family.prefix_lm:
            first = self.tokenizer.convert_tokens_to_ids(PLAN_TOKENS[0])
            also["token_type_ids"] = (ids == first).cumsum(1)  # 0 as long as both directions are seen
        if encoded.deep:
            also |= {
                "visual_pos_masks": here,
                "deepstack_visual_embeds": [placed(features) for features in encoded.deep],
            }
        if self.proprio is not None:
            proprio = self.proprio(state).to(embeddings.dtype).unsqueeze(1)
            embeddings = embeddings + torch.isin(ids, self.query_ids).unsqueeze(-1) * proprio
        return embeddings.masked_scatter(here.unsqueeze(-1), placed(encoded.tokens)), also

    def forward(self, pixels: torch.Tensor, prompts: Prompts) -> InterpreterOutput:
        """Reads G prompts about each of B pictures (prompts b G … b G + G - 1 are about picture b).

        Args:
            pixels: (B, cameras, 3, H, W) in [-1, 1].
            prompts: N = B G rows; with texts, their logits are computed too.
        """
        return self.read(self.encode_images(pixels), prompts)

    def read(self, encoded: EncodedImages, prompts: Prompts) -> InterpreterOutput:
        """As `forward`, of pictures that are encoded already."""
        inputs, layer, depth = self.embed(encoded, prompts.ids, prompts.state), self.layer, self.depth
        logits = targets = None
        spoken = prompts.labels[:, 1:] >= 0
        if spoken.any() or layer == depth:
            out = self.hidden_states(*inputs, output_hidden_states=layer != depth)
            hidden = out.last_hidden_state if layer == depth else out.hidden_states[layer]
        else:  # nobody asks for what the layers above make of it
            with first_layers(self.family.language(self.vlm), layer):
                hidden = self.hidden_states(*inputs).last_hidden_state
            out = None
        if out is not None and spoken.any():
            logits = say(self.vlm, out.last_hidden_state[:, :-1][spoken])
            targets = prompts.labels[:, 1:][spoken]
        plan = _take(hidden, prompts.plan_at).float()
        if self.config.pretrained:  # hidden states of large models have entries in the hundreds
            plan = F.layer_norm(plan, plan.shape[-1:])
        grouped = plan.unflatten(0, (encoded.tokens.shape[0], -1))
        words, meaning = self._mean(plan[:, -1])
        pointing = self.point(grouped, encoded.keys_values)
        return InterpreterOutput(plan, words, meaning, pointing, logits, targets, encoded)

    def embed_pictures(self, encoded: EncodedImages) -> torch.Tensor:
        """(B, align_dim) unit vectors of the first camera's pictures, near those of their descriptions."""
        assert self.align is not None
        return self.align.pictures(encoded.tokens[:, : self.side**2])

    def embed_texts(self, ids: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        """(B, align_dim) unit vectors of texts, as `encode_texts` gives them."""
        assert self.align is not None
        hidden = self.hidden_states(self.embed_words(ids), {}).last_hidden_state
        return self.align.texts(hidden[torch.arange(len(ids), device=ids.device), ends])

    def encoded(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids (B, L) of texts without pictures, and (B,) where they end."""
        return encode_texts(self.tokenizer, texts)

    def embed_words(self, ids: torch.Tensor) -> torch.Tensor:
        """(N, L) ids -> (N, L, d) embeddings."""
        table = self.vlm.get_input_embeddings()
        return table(ids) if self.added is None else self.added(ids, table)

    def _mean(self, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The last plan token (N, d) -> `words` and `meaning` of a `InterpreterOutput`."""
        with torch.autocast(last.device.type, enabled=False):
            table = self.vlm.get_input_embeddings().weight
            spelled = F.normalize(F.embedding(self.word_ids, table).float(), dim=-1)
            words = self.say(last.float()) @ spelled.T + self.rarely
            return words, words.sigmoid() @ spelled

    def hidden_states(self, embeddings: torch.Tensor, also: dict[str, Any], **options: Any) -> Any:
        """What the language model gives: last hidden states, and what the options ask for."""
        options = {"use_cache": False} | options
        return self.family.reader(self.vlm)(inputs_embeds=embeddings, **options, **also)


def _take(hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """(N, L, d) at (N, K) positions -> (N, K, d)."""
    assert positions.shape[1] == PLAN_QUERIES
    return hidden.gather(1, positions.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
