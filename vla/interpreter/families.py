"""What one family of vision-language models does differently from another, and nowhere else.

A family is a row of `FAMILIES`, by the model type of its config: how square pictures become image tokens,
which patches the pointing head reads, how positions are counted, what the language model is called with
and in which words a prompt is wrapped. The facts are those of transformers' own processors and models;
prompts follow the chat templates that the models were published with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ideomotor.control.errors import UserError, unknown_name

HALF = (0.5, 0.5, 0.5)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ImageFeatures:
    """N pictures as the language model and the pointing head get them, row by row from the top left."""

    tokens: torch.Tensor  # (N, T, d)
    patches: torch.Tensor  # (N, P, width)
    deep: tuple[torch.Tensor, ...] = ()  # (N, T, d) each: added to the hidden states of the first layers


@dataclass(frozen=True)
class PatchGrid:
    """The grids that a square picture becomes."""

    size: int  # [pixels]
    tokens: int  # side of the grid of image tokens
    patches: int  # side of the grid that the pointing head reads
    width: int  # of a patch's features


@dataclass(frozen=True)
class Family:
    """How the models of one family are used."""

    encode: Callable[[Any, torch.Tensor], ImageFeatures]  # (model, (N, 3, S, S) normalised)
    step: Callable[[Any], int]  # config -> pixels along the side of an image token
    native: Callable[[Any], int]  # config -> side of the pictures it was trained on; 0: any
    patch: Callable[[Any], tuple[int, int]]  # config -> patches along a token's side, width of a patch
    reader: Callable[[Any], nn.Module]  # model -> what is called with embeddings
    language: Callable[[Any], nn.Module]  # model -> its language transformer, which adapters go into
    vision: Callable[[Any], nn.Module]
    fixed: bool = False  # takes pictures of its native size only
    axes: bool = False  # positions are counted along time, height and width (M-RoPE)
    prefix_lm: bool = False  # pictures and instruction see each other in both directions (PrefixLM)
    opening: tuple[str, ...] = ()  # pieces of a prompt: special tokens and plain text
    before: tuple[str, ...] = ()  # each picture
    after: tuple[str, ...] = ()
    asking: tuple[str, ...] = ()  # before the instruction
    closing: tuple[str, ...] = ()  # after the instruction
    mean: tuple[float, ...] = HALF  # of pixels in [0, 1]: what its own processor does by default
    std: tuple[float, ...] = HALF


def family_of(config: Any) -> Family:
    """The family of a model's config. UserError naming the families there are."""
    if config.model_type not in FAMILIES:
        raise unknown_name("interpreter: model type", str(config.model_type), FAMILIES)
    return FAMILIES[config.model_type]


def patch_grid(config: Any, size: int) -> PatchGrid:
    """What becomes of pictures of `size` pixels. UserError for a size that the model cannot take."""
    family = family_of(config)
    step, native = family.step(config), family.native(config)
    if size < step or size % step or (family.fixed and size != native):
        wanted = f"{native}" if family.fixed else f"a multiple of {step}"
        raise UserError(f"interpreter: pictures of {size} pixels, expected {wanted} for {config.model_type}")
    sub, width = family.patch(config)
    return PatchGrid(size=size, tokens=size // step, patches=size // step * sub, width=width)


def within_budget(config: Any, budget: int) -> tuple[int, int]:
    """(side of the pictures [pixels], side of the token grid) for at most `budget` tokens a picture.

    Smaller pictures where the model takes any size; its own size and tokens that are pooled where it does
    not. A picture is never made larger than those the model was trained on.
    """
    family, side = family_of(config), math.isqrt(max(budget, 0))
    if side < 1:
        raise UserError(f"image_tokens: got {budget}, expected 1 or more")
    step, native = family.step(config), family.native(config)
    if native:
        side = min(side, native // step)
    return (native if family.fixed else side * step), side


def pooled(features: ImageFeatures, side: int) -> ImageFeatures:
    """The same with at most side² image tokens, by averaging neighbours."""
    whole = math.isqrt(features.tokens.shape[1])
    if whole <= side:
        return features

    def fewer(tokens: torch.Tensor) -> torch.Tensor:
        grid = tokens.transpose(1, 2).unflatten(2, (whole, whole))
        return F.adaptive_avg_pool2d(grid, side).flatten(2).transpose(1, 2)

    return ImageFeatures(fewer(features.tokens), features.patches, tuple(map(fewer, features.deep)))


def axis_positions(image: torch.Tensor, side: int) -> torch.Tensor:
    """Positions (3, N, L) along time, height and width of prompts.

    The rule of Qwen2-VL (arXiv 2409.12191, section 2.1): text advances all three together; a picture stays
    at one time, its rows and columns count from there, and what follows starts after its longer side.

    Args:
        image: (N, L) bool, where the image tokens are.
        side: a picture has side² of them.
    """
    inside = (image.long().cumsum(1) - 1) % side**2  # which token of its picture
    ends = inside == side**2 - 1
    advance = torch.where(image, ends.long() * side, torch.ones_like(inside))
    start = advance.cumsum(1) - advance
    zero = torch.zeros_like(inside)
    rows = torch.where(image, inside // side, zero)
    columns = torch.where(image, inside % side, zero)
    return torch.stack([start, start + rows, start + columns])


@contextmanager
def first_layers(language: Any, count: int) -> Iterator[None]:
    """For the time of a with-block, the language model ends after so many layers, without its last norm."""
    layers, norm = language.layers, language.norm
    language.layers, language.norm = layers[:count], nn.Identity()
    try:
        yield
    finally:
        language.layers, language.norm = layers, norm


def say(vlm: Any, hidden: torch.Tensor) -> torch.Tensor:
    """(…, d) last hidden states -> (…, vocabulary) logits."""
    logits = vlm.get_output_embeddings()(hidden)
    cap = getattr(vlm.config.text_config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits


def _encode_idefics(vlm: Any, pixels: torch.Tensor) -> ImageFeatures:
    """SmolVLM, Idefics3: pixel values of shape (batch, images of a sample, …), patches of the encoder."""
    out = vlm.get_image_features(pixel_values=pixels.unsqueeze(1))
    return ImageFeatures(torch.stack(list(out.pooler_output)), out.last_hidden_state)


def _encode_grid(vlm: Any, pixels: torch.Tensor) -> Any:
    """Qwen-VL, GLM-4V: patches in blocks that become one token, each repeated for the frames of a video."""
    shape = vlm.config.vision_config
    patch, merge, frames = shape.patch_size, shape.spatial_merge_size, shape.temporal_patch_size
    count, channels, size = pixels.shape[:3]
    side = size // patch
    blocks = pixels.view(count, channels, side // merge, merge, patch, side // merge, merge, patch)
    blocks = blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6)  # (N, gh, gw, mh, mw, C, 1, ph, pw)
    flat = blocks.expand(-1, -1, -1, -1, -1, -1, frames, -1, -1).reshape(count * side**2, -1)
    grid = torch.tensor([[1, side, side]] * count, device=pixels.device)
    return vlm.get_image_features(pixel_values=flat, image_grid_thw=grid)


def _encode_merged(vlm: Any, pixels: torch.Tensor) -> ImageFeatures:
    """Of Qwen2.5-VL and GLM-4.5V the pointing head reads the tokens: the patches are in other orders."""
    tokens = torch.stack(list(_encode_grid(vlm, pixels).pooler_output))
    return ImageFeatures(tokens, tokens)


def _encode_deep(vlm: Any, pixels: torch.Tensor) -> ImageFeatures:
    """Qwen3-VL: patches are put back into rows; features of earlier layers are fed in deeper (DeepStack)."""
    out, merge = _encode_grid(vlm, pixels), vlm.config.vision_config.spatial_merge_size
    tokens = torch.stack(list(out.pooler_output))
    side = math.isqrt(tokens.shape[1])
    blocks = out.last_hidden_state.view(len(pixels), side, side, merge, merge, -1)
    patches = blocks.transpose(2, 3).flatten(1, 4)
    deep = tuple(torch.stack(list(features)) for features in out.deepstack_features)
    return ImageFeatures(tokens, patches, deep)


def _encode_llama4(vlm: Any, pixels: torch.Tensor) -> ImageFeatures:
    """Llama 4: the projection into the language model is not among the image features."""
    patches = vlm.get_image_features(pixel_values=pixels).last_hidden_state
    return ImageFeatures(vlm.multi_modal_projector(patches), patches)


def _encode_paligemma(vlm: Any, pixels: torch.Tensor) -> ImageFeatures:
    out = vlm.get_image_features(pixel_values=pixels)
    return ImageFeatures(out.pooler_output, out.last_hidden_state)


_IDEFICS = Family(
    encode=_encode_idefics,
    step=lambda config: config.vision_config.patch_size * config.scale_factor,
    native=lambda config: config.vision_config.image_size,
    patch=lambda config: (config.scale_factor, config.vision_config.hidden_size),
    reader=lambda vlm: vlm.model.text_model,
    language=lambda vlm: vlm.model.text_model,
    vision=lambda vlm: vlm.model.vision_model,
    opening=("<|im_start|>", "User:"),
    before=("<fake_token_around_image>", "<global-img>"),
    after=("<fake_token_around_image>",),
    closing=("<end_of_utterance>", "\nAssistant:"),
)
_GRID = Family(
    encode=_encode_merged,
    step=lambda config: config.vision_config.patch_size * config.vision_config.spatial_merge_size,
    native=lambda config: 0,
    patch=lambda config: (1, config.text_config.hidden_size),
    reader=lambda vlm: vlm.model.language_model,
    language=lambda vlm: vlm.model.language_model,
    vision=lambda vlm: vlm.model.visual,
    axes=True,
)
_QWEN = replace(
    _GRID,
    opening=("<|im_start|>", "user\n"),
    before=("<|vision_start|>",),
    after=("<|vision_end|>",),
    closing=("<|im_end|>", "\n", "<|im_start|>", "assistant\n"),
)
_QWEN3 = replace(
    _QWEN,
    encode=_encode_deep,
    patch=lambda config: (config.vision_config.spatial_merge_size, config.vision_config.hidden_size),
)
_GLM = replace(
    _GRID,
    opening=("[gMASK]", "<sop>", "<|user|>", "\n"),
    before=("<|begin_of_image|>",),
    after=("<|end_of_image|>",),
    closing=("<|assistant|>", "\n"),
    mean=CLIP_MEAN,
    std=CLIP_STD,
)

FAMILIES: dict[str, Family] = {
    "smolvlm": _IDEFICS,
    "idefics3": _IDEFICS,
    "qwen2_vl": replace(_QWEN, mean=CLIP_MEAN, std=CLIP_STD),
    "qwen2_5_vl": replace(_QWEN, mean=CLIP_MEAN, std=CLIP_STD),
    "qwen3_vl": _QWEN3,
    "qwen3_vl_moe": _QWEN3,
    "glm4v": _GLM,
    "glm4v_moe": _GLM,  # GLM-4.5V
    "llama4": Family(
        encode=_encode_llama4,
        step=lambda config: round(config.vision_config.patch_size / config.vision_config.pixel_shuffle_ratio),
        native=lambda config: config.vision_config.image_size,
        patch=lambda config: (1, config.vision_config.vision_output_dim),
        reader=lambda vlm: vlm.language_model.model,
        language=lambda vlm: vlm.language_model.model,
        vision=lambda vlm: vlm.vision_model,
        fixed=True,
        opening=("<|begin_of_text|>", "<|header_start|>", "user", "<|header_end|>", "\n\n"),
        before=("<|image_start|>", "<|image|>"),
        after=("<|image_end|>",),
        closing=("<|eot|>", "<|header_start|>", "assistant", "<|header_end|>", "\n\n"),
    ),
    "paligemma": Family(
        encode=_encode_paligemma,
        step=lambda config: config.vision_config.patch_size,
        native=lambda config: config.vision_config.image_size,
        patch=lambda config: (1, config.vision_config.hidden_size),
        reader=lambda vlm: vlm.model,
        language=lambda vlm: vlm.model.language_model,
        vision=lambda vlm: vlm.model.vision_tower,
        fixed=True,
        prefix_lm=True,
        asking=("<bos>",),
        closing=("\n",),
    ),
}
