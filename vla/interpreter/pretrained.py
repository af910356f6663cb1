"""Pretrained vision-language models as interpreters: loading one, and what of it is trained and stored.

A base is any model of `families.FAMILIES`, by hub id or folder. Its weights and its embedding table stay
as they are; the added tokens have rows of their own beside the table. So a frozen base can be named in a
checkpoint instead of copied into it, and a fingerprint tells whether it is the same one later.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.vla.interpreter.families import HALF, family_of, within_budget
from ideomotor.vla.interpreter.language import ADDED_TOKENS, Frame, pieces

TUNING = ("frozen", "lora", "full")
ADAPTED = r".*\.(q|k|v|o|gate|up|down|gate_up)_proj"  # linear layers of a language model
ADAPTER = "lora_"  # is in the names of adapters' weights


@dataclass(frozen=True)
class Pretrained:
    """The base of an interpreter, as its checkpoint's config tells it."""

    source: str  # hub id, or absolute path of a folder
    fingerprint: str  # of the base's weights before any training
    tuning: str  # "frozen", "lora" (adapters in the language model) or "full"
    stored: bool  # whether the checkpoint has all weights; if not, the base is loaded from `source`
    lora_rank: int
    image_size: int  # pictures as the base is given them [pixels]
    token_side: int  # its image tokens are pooled to a grid of this side
    words: tuple[int, ...]  # ids of the words that subtasks are written in
    mean: tuple[float, ...]  # of pixels in [0, 1]
    std: tuple[float, ...]


class AddedTokens(nn.Module):
    """Embeddings of ADDED_TOKENS beside a base's table, which is neither extended nor trained for them."""

    ids: torch.Tensor  # (len(ADDED_TOKENS),)

    def __init__(self, tokenizer: Any, table: nn.Module):
        super().__init__()
        ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(ADDED_TOKENS)))
        self.register_buffer("ids", ids, persistent=False)
        with torch.no_grad():  # new rows look like the table's own, scaled as the model scales them
            count = int(table.weight.shape[0])  # type: ignore[union-attr]
            known = table(torch.arange(0, count, -(-count // 2048))).float()
            spread = known.std(0) * torch.randn(len(ids), known.shape[1])
            self.rows = nn.Parameter(known.mean(0) + spread)

    def forward(self, ids: torch.Tensor, table: nn.Module) -> torch.Tensor:
        """(N, L) ids -> (N, L, d) embeddings."""
        mine = ids.unsqueeze(-1) == self.ids
        added = mine.any(-1)
        embeddings = table(ids.masked_fill(added, 0))
        rows = self.rows[mine.int().argmax(-1)].to(embeddings.dtype)
        return torch.where(added.unsqueeze(-1), rows, embeddings)

    def unsaid(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (…, vocabulary) without the added tokens, which spare rows of a table may stand for."""
        return logits.index_fill(-1, self.ids[self.ids < logits.shape[-1]], -torch.inf)


def adopt(
    source: str,
    tuning: str,
    spoken: list[str],
    image_tokens: int = 64,
    lora_rank: int = 16,
    stored: bool = False,
) -> tuple[nn.Module, Any, Pretrained]:
    """A base to make an interpreter of: (model with its adapters, extended tokenizer, description).

    Args:
        source: hub id or folder.
        tuning: one of TUNING.
        spoken: texts with the words that subtasks are written in.
        image_tokens: how many tokens a picture may become.
        lora_rank: of the adapters, with "lora".
        stored: whether checkpoints copy a frozen base instead of naming it; one tuned in full is copied.

    Raises:
        UserError: the base cannot be loaded or is of no known family; a choice that does not exist.
    """
    check(source, tuning, image_tokens, lora_rank)
    folder = Path(source)
    source = str(folder.resolve()) if folder.is_dir() else source
    vlm = load_base(source, tuning)
    tokenizer = load_tokenizer(source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.add_special_tokens(
        {"additional_special_tokens": list(ADDED_TOKENS)}, replace_extra_special_tokens=False
    )
    size, side = within_budget(vlm.config, image_tokens)
    mean, std = normalisation(source, vlm.config)
    described = Pretrained(
        source=source,
        fingerprint=fingerprint(vlm),
        tuning=tuning,
        stored=stored or tuning == "full",
        lora_rank=lora_rank if tuning == "lora" else 0,
        image_size=size,
        token_side=side,
        words=tuple(
            sorted({id_ for ids in tokenizer(spoken, add_special_tokens=False).input_ids for id_ in ids})
        ),
        mean=mean,
        std=std,
    )
    return with_adapters(vlm, described), tokenizer, described


def check(source: str, tuning: str, image_tokens: int = 64, lora_rank: int = 16, layer: int = -1) -> None:
    """What can be checked without loading weights: raises as `adopt` and `Interpreter` do."""
    if tuning not in TUNING:
        raise unknown_name("tuning", tuning, TUNING)
    if tuning == "lora":
        _peft()
        if lora_rank < 1:
            raise UserError(f"lora_rank: got {lora_rank}, expected 1 or more")
    config = _config(source)
    within_budget(config, image_tokens)
    checked_layer(config, layer)


def checked_layer(config: Any, layer: int) -> int:
    """How many layers lie below the plan. UserError for one that the model does not have."""
    depth = int(config.text_config.num_hidden_layers)
    if not -depth - 1 <= layer <= depth:
        raise UserError(f"layer: got {layer}, expected -1 (the last) or 0 to {depth}")
    return layer % (depth + 1)


def load_base(source: str, tuning: str) -> Any:
    """The model as it was published. UserError when it is not there or of no known family."""
    from transformers import AutoModelForImageTextToText

    config = _config(source)
    try:
        vlm = AutoModelForImageTextToText.from_pretrained(
            source,
            config=config,
            dtype=torch.float32 if tuning == "full" else "auto",
            use_safetensors=True,  # never pickle
        )
    except Exception as error:  # transformers and the hub raise many kinds
        raise UserError(_not_there(source, error)) from None
    return vlm.eval()


def reload_base(described: Pretrained) -> Any:
    """The base that a checkpoint names. UserError when it is not there any more or is another one."""
    if _is_gone(described.source):
        raise UserError(
            f"interpreter.pretrained.source: no folder {described.source!r}, which this checkpoint names as "
            "its base; put it back, or write where it is now into the checkpoint's config.json"
        )
    vlm = load_base(described.source, described.tuning)
    if (found := fingerprint(vlm)) != described.fingerprint:
        raise UserError(
            f"interpreter.pretrained.source: {described.source!r} has other weights ({found}) than those "
            f"this checkpoint was trained with ({described.fingerprint})"
        )
    return vlm


def load_tokenizer(source: str | Path) -> Any:
    """The tokenizer of a base or of a checkpoint made from one."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source)
    except Exception as error:  # many kinds, as above
        raise UserError(_not_there(str(source), error)) from None


def with_adapters(vlm: Any, described: Pretrained) -> Any:
    """The model, with new LoRA adapters in its language half if it is tuned so, and with what is to be
    trained marked. UserError naming the extra when peft is not installed."""
    vlm.requires_grad_(described.tuning == "full")
    if described.tuning == "lora":
        peft, rank = _peft(), described.lora_rank
        adapters = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=ADAPTED)
        peft.inject_adapter_in_model(adapters, family_of(vlm.config).language(vlm))
        for name, parameter in vlm.named_parameters():
            parameter.requires_grad_(ADAPTER in name)
            if ADAPTER in name:
                parameter.data = parameter.data.float()
    return vlm


def fingerprint(vlm: nn.Module) -> str:
    """Tells bases apart: by the names and shapes of their weights, and 32 values of each."""
    digest = hashlib.sha256()
    for name, parameter in sorted(vlm.named_parameters()):
        flat = parameter.detach().flatten()
        some = flat[:: max(1, flat.numel() // 32)][:32].float().cpu()
        digest.update(f"{name} {tuple(parameter.shape)}".encode() + some.numpy().tobytes())
    return digest.hexdigest()[:16]


def normalisation(source: str, config: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) of pixels in [0, 1]: what the base's image processor says, or its family's default."""
    from transformers.image_processing_base import ImageProcessingMixin

    family = family_of(config)
    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(source)
    except (OSError, ValueError):
        settings = {}
    mean, std = settings.get("image_mean") or family.mean, settings.get("image_std") or family.std
    return tuple(map(float, mean)), tuple(map(float, std))


def fitted(pixels: torch.Tensor, base: Pretrained, dtype: torch.dtype) -> torch.Tensor:
    """(N, 3, H, W) in [-1, 1] -> (N, 3, S, S) as the base wants them: its size, normalisation and type."""
    if pixels.shape[-1] != base.image_size:
        shrinks, size = pixels.shape[-1] > base.image_size, (base.image_size, base.image_size)
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=shrinks)
    if (base.mean, base.std) != (HALF, HALF):
        mean, std = (pixels.new_tensor(part).view(3, 1, 1) for part in (base.mean, base.std))
        pixels = (pixels * 0.5 + 0.5 - mean) / std
    return pixels.to(dtype)


def frame_of(tokenizer: Any, config: Any, pictures: int) -> Frame:
    """The prompt's frame of a base, in its own words."""
    family = family_of(config)
    parts = (family.opening, family.before, family.after, family.asking, family.closing)
    return Frame(*(pieces(tokenizer, part) for part in parts), pictures=pictures)


def _config(source: str) -> Any:
    """A base's config. UserError when there is none, or of no known family."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source)
    except Exception as error:  # transformers and the hub raise many kinds
        raise UserError(_not_there(source, error)) from None
    family_of(config)
    return config


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise UserError("tuning: 'lora' needs the extra 'peft': pip install 'ideomotor[peft]'") from None
    return peft


def _not_there(source: str, error: Exception) -> str:
    if _is_gone(source):
        return f"interpreter: no folder {source!r}, expected one with a vision-language model, or a hub id"
    reason = (str(error).strip().splitlines() or [repr(error)])[0]
    return (
        f"interpreter: cannot load {source!r}, expected the id or folder of a vision-language model: {reason}"
    )


def _is_gone(source: str) -> bool:
    """Whether a source can only be a folder that is not there: a hub id is NAME or ORG/NAME."""
    path = source.startswith(("/", ".", "~")) or source.count("/") > 1 or "\\" in source
    return path and not Path(source).is_dir()
