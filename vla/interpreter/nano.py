"""The nano interpreter's model: an architecture of transformers scaled down by its config."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import AutoModelForImageTextToText, SmolVLMConfig

from ideomotor.vla.interpreter.language import IMAGE_TOKEN

PICTURE_MULTIPLE = (
    24  # [pixels] that a picture's side must be a multiple of: patches of 8, three by three to a token
)


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
