"""A policy's networks cut into the graphs that are exported: what each takes and gives, as torch modules.

    pictures ─► vision ─► tokens, map          plan, pictures, state ─► context ─► keys and values, summary
    prompt   ─► language ─► hidden states      noisy chunk, time     ─► step    ─► the chunk it leads to
    hidden states, map ─► heads ─► plan        (one step a pass, in any number; any committed prefix)

The language model is called for the prompt and again for each token of the readable plan, with the keys and
values of what came before. All graphs are of one sample. `nano`'s vision-language model is written out here
without what transformers needs for models of any size; tests compare the two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.vla.decoder.decoder import Context, Decoder, DecoderInputs
from ideomotor.vla.interpreter.interpreter import Interpreter


class VisionGraph(nn.Module):
    """The interpreter's pictures, and the map that the pointing head searches.

    Args:
        interpreter: whose it is.
        with_map: whether the first picture is that of the first camera, which is pointed in.

    Raises:
        UserError: a vision-language model of another family than nano's.
    """

    def __init__(self, interpreter: Interpreter, with_map: bool = True):
        super().__init__()
        check_family(interpreter)
        self.with_map = with_map
        vlm = interpreter.vlm
        self.vision, self.point = vlm.model.vision_model, interpreter.point
        self.project, self.merge = vlm.model.connector.modality_projection, vlm.config.scale_factor
        self.heads, self.side = vlm.config.vision_config.num_attention_heads, interpreter.side

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(1, cameras, 3, S, S) in [-1, 1] -> tokens (1, T, d), keys and values (1, cells², 2 width)."""
        vision, pictures = self.vision, pixels[0]
        x = vision.embeddings.patch_embedding(pictures).flatten(2).transpose(1, 2)
        x = x + vision.embeddings.position_embedding.weight
        for layer in vision.encoder.layers:
            normed, attend = layer.layer_norm1(x), layer.self_attn
            parts = [
                _heads(each(normed), self.heads) for each in (attend.q_proj, attend.k_proj, attend.v_proj)
            ]
            x = x + attend.out_proj(_attend(*parts))
            x = x + layer.mlp(layer.layer_norm2(x))
        patches = vision.post_layernorm(x)
        side, by = self.side, self.merge
        blocks = patches.unflatten(1, (side, by, side, by)).transpose(2, 3)
        tokens = self.project(blocks.flatten(3).flatten(1, 2))
        tokens = tokens.flatten(0, 1).unsqueeze(0)
        return (tokens, self.point.map(pictures[:1], patches[:1])) if self.with_map else (tokens,)


class LanguageGraph(nn.Module):
    """nano's language model, with the keys and values of the tokens before.

    Args:
        interpreter: whose it is.
        text: whether the readable plan can be written; without, only the layers below the plan are kept, and
            no keys and values are given.
    """

    def __init__(self, interpreter: Interpreter, text: bool):
        super().__init__()
        model = interpreter.vlm.model.text_model
        self.text, self.depth, self.layer = text, interpreter.depth, interpreter.layer
        self.layers: Any = model.layers if text else model.layers[: self.layer]
        self.norm = model.norm
        self.heads = interpreter.vlm.config.text_config.num_attention_heads

    def forward(
        self,
        embeddings: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        bias: torch.Tensor,
        past: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Reads L tokens after P others.

        Args:
            embeddings: (1, L, d).
            cos, sin: (L, head) of their rotary positions.
            bias: (L, P + L) added to scores: 0 where seen, else very negative.
            past: (layers, 2, heads, P, head), keys and values; left out where no text can be written.

        Returns:
            the hidden states that the plan is made of (1, L, d); with text also the last ones (1, L, d) and
            the tokens' own keys and values (layers, 2, heads, L, head).
        """
        x, kept, plan = embeddings, [], None
        for index, layer in enumerate(self.layers):
            if index == self.layer:
                plan = x
            normed, attend = layer.input_layernorm(x), layer.self_attn
            parts = [
                _heads(each(normed), self.heads) for each in (attend.q_proj, attend.k_proj, attend.v_proj)
            ]
            query, key, value = _rotated(parts[0], cos, sin), _rotated(parts[1], cos, sin), parts[2]
            if past is not None:
                kept.append(torch.stack([key[0], value[0]]))
                key, value = torch.cat([past[index, :1], key], 2), torch.cat([past[index, 1:], value], 2)
            x = x + attend.o_proj(_attend(query, key, value, bias))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        last = self.norm(x)
        if not self.text:
            return (last if self.layer == self.depth else x,)
        return last if plan is None else plan, last, torch.stack(kept)


class HeadsGraph(nn.Module):
    """Plan tokens, points, words and progress from the plan queries' hidden states."""

    def __init__(self, interpreter: Interpreter):
        super().__init__()
        self.interpreter = interpreter

    def forward(
        self,
        hidden: torch.Tensor,
        keys_values: torch.Tensor,
        has_first: torch.Tensor,
        spelled: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """What `PolicyNetworks.plans` makes of them.

        Args:
            hidden: (1, K, d).
            keys_values: (1, cells², 2 width), of `VisionGraph`.
            has_first: (1, 1) 1 where the first camera's picture is there.
            spelled: (words, d) embeddings of the words that can be ahead, of unit length.

        Returns:
            tokens (1, K, plan_dim), points (1, M, 2) and their presence (1, M) in [0, 1], logits of the words
            ahead (1, words), the progress in [0, 1] (1,).
        """
        interpreter = self.interpreter
        words = interpreter.say(hidden[:, -1]) @ spelled.T + interpreter.rarely
        pointing = interpreter.point(hidden.unsqueeze(1), keys_values)
        presence = pointing.presence.sigmoid() * has_first
        meaning = words.sigmoid() @ spelled
        tokens, progress = interpreter.plan_head(hidden, meaning, pointing.points, presence)
        return tokens, pointing.points, presence, words, progress.sigmoid()


class ProprioGraph(nn.Module):
    """What the joint state adds to the plan queries."""

    def __init__(self, interpreter: Interpreter):
        super().__init__()
        self.proprio: Any = interpreter.proprio

    def forward(self, state: torch.Tensor) -> tuple[torch.Tensor]:
        """(1, D) [rad or m], all known -> (1, d)."""
        return (self.proprio.layers(state),)


class ContextGraph(nn.Module):
    """What all steps of a chunk share.

    Args:
        decoder: whose context.
        embodiment: whose projections; those of others are not in the graph.
        cameras: those that it is run with; the tokens of the others are the ones learned for missing ones.
    """

    def __init__(self, decoder: Decoder, embodiment: str, cameras: tuple[str, ...]):
        super().__init__()
        self.decoder, self.embodiment, self.cameras = decoder, embodiment, cameras

    def forward(
        self,
        plan: torch.Tensor,
        has_plan: torch.Tensor,
        state: torch.Tensor,
        has_state: torch.Tensor,
        past_commands: torch.Tensor,
        has_past_commands: torch.Tensor,
        pixels: torch.Tensor | None = None,
        has_camera: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """As `DecoderInputs`, with the pictures of `cameras` alone; left out where there are none.

        Returns:
            summary (1, width), then keys and values of every cross-attention, each (1, heads, S, head).
        """
        nothing = torch.zeros(1, 0)
        inputs = DecoderInputs(
            plan=plan,
            has_plan=has_plan,
            pixels=nothing if pixels is None else pixels,
            has_camera=nothing if has_camera is None else has_camera,
            state=state,
            has_state=has_state,
            past_commands=past_commands,
            has_past_commands=has_past_commands,
        )
        context = self.decoder.context(self.embodiment, inputs, self.cameras)
        return context.summary, *(each for pair in context.keys_values for each in pair)


class StepGraph(nn.Module):
    """One pass of the decoder."""

    def __init__(self, decoder: Decoder, embodiment: str):
        super().__init__()
        self.decoder, self.embodiment = decoder, embodiment

    def forward(
        self,
        actions: torch.Tensor,
        is_committed: torch.Tensor,
        time: torch.Tensor,
        summary: torch.Tensor,
        *keys_values: torch.Tensor,
    ) -> tuple[torch.Tensor]:
        """(1, H, A), (1, H), (1,) and what `ContextGraph` gives (kv0, kv1, …) -> (1, H, A)."""
        pairs = list(zip(keys_values[::2], keys_values[1::2], strict=True))
        context = Context(pairs, summary)
        return (self.decoder(self.embodiment, actions, is_committed, time, context),)


def check_family(interpreter: Interpreter) -> None:
    """UserError unless the vision-language model is one that is written out here."""
    config = interpreter.vlm.config
    text = config.text_config
    if interpreter.config.context_tokens:
        raise UserError("export: the interpreter pools its pictures (context_tokens), which is not exported")
    known = (
        config.model_type == "smolvlm"
        and text.model_type == "llama"
        and text.num_key_value_heads == text.num_attention_heads
        and not interpreter.config.pretrained
    )
    if not known:
        raise UserError(
            f"export: the interpreter is a {config.model_type} of a pretrained base; only nano's, trained "
            "from scratch, can be exported"
        )


def _heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(N, L, d) -> (N, heads, L, d / heads)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """(N, heads, L, head) each -> (N, L, d)."""
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if bias is not None:
        scores = scores + bias
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions (arXiv 2104.09864) of (1, heads, L, head), its halves turned against each other."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
