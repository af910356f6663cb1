"""A tiny random model of each family on disk, as one is published: config, weights, tokenizer, processor."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedTokenizerFast

from ideomotor.vla.families import FAMILIES, HALF

CORPUS = [
    "reach the red cube",
    "put the blue ball into the bowl",
    "scene: red cube. now: reach the red cube. next: hold still.",
    "user assistant User: Assistant:\n",
] * 3
WIDTH = 32
TEXT = dict(
    hidden_size=WIDTH,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=512,
)
GRID_TEXT = TEXT | dict(
    rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}
)
GRID_VISION = dict(
    depth=2,
    hidden_size=24,
    intermediate_size=32,
    num_heads=2,
    patch_size=8,
    spatial_merge_size=2,
    temporal_patch_size=2,
    out_hidden_size=WIDTH,
)
SIGLIP = dict(
    hidden_size=24,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    image_size=48,
    patch_size=8,
)
CONFIGS: dict[str, dict] = {
    "smolvlm": dict(vision_config=SIGLIP, text_config=TEXT | {"model_type": "llama"}, scale_factor=2),
    "qwen2_5_vl": dict(
        vision_config=GRID_VISION | dict(window_size=32, fullatt_block_indexes=[1]), text_config=GRID_TEXT
    ),
    "qwen3_vl": dict(
        vision_config=GRID_VISION | dict(num_position_embeddings=36, deepstack_visual_indexes=[0]),
        text_config=GRID_TEXT,
        tie_word_embeddings=True,
    ),
    "glm4v_moe": dict(
        vision_config=GRID_VISION | dict(image_size=48),
        text_config=GRID_TEXT
        | dict(
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [2, 1, 1],
                "partial_rotary_factor": 0.5,
            },
            moe_intermediate_size=16,
            n_routed_experts=4,
            num_experts_per_tok=2,
        ),
    ),
    "llama4": dict(
        vision_config=dict(
            hidden_size=24,
            intermediate_size=96,  # hidden_size / pixel_shuffle_ratio²
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=48,
            patch_size=8,
            vision_output_dim=40,
            projector_input_dim=40,
            projector_output_dim=40,
        ),
        text_config=TEXT
        | dict(
            intermediate_size_mlp=48, num_local_experts=2, interleave_moe_layer_step=2, attention_bias=False
        ),
    ),
    "paligemma": dict(
        vision_config=SIGLIP | {"model_type": "siglip_vision_model", "vision_use_head": False},
        text_config=TEXT | {"model_type": "gemma"},
        projection_dim=WIDTH,
        hidden_size=WIDTH,
    ),
}


def tokenizer_of(family: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with the special tokens of a family's prompts."""
    row = FAMILIES[family]
    parts = [*row.opening, *row.before, *row.after, *row.asking, *row.closing]
    special = [part for part in parts if part[0] in "<[" and part[-1] in ">]"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=["<pad>", "<eos>", "<picture>", "<film>", *dict.fromkeys(special)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        additional_special_tokens=list(dict.fromkeys(special)),
    )


def save_tiny_base(family: str, folder: Path, seed: int = 0) -> Path:
    """Writes the model with random weights; the folder."""
    tokenizer = tokenizer_of(family)
    values = CONFIGS[family]
    ids = dict(pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None)
    pictures = tokenizer.convert_tokens_to_ids("<picture>")
    values = values | {"image_token_id": pictures}
    if FAMILIES[family].axes:
        values = values | {"video_token_id": tokenizer.convert_tokens_to_ids("<film>")}
    text = values["text_config"] | ids | {"vocab_size": len(tokenizer) + 8}  # tables are often padded
    config = AutoConfig.for_model(family, **(values | {"text_config": text}))
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():  # weights of a trained model's size, so that everything shows in the output
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.15)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    row = FAMILIES[family]
    if row.mean != HALF:
        told = {"image_mean": list(row.mean), "image_std": list(row.std)}
        (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder
