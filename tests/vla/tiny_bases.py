"""A tiny random model of each family on disk, as one is published: config, weights, tokenizer, processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    GemmaTokenizer,
    GPT2Tokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

from ideomotor.vla.interpreter.families import FAMILIES, HALF
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.pretrained import adopt

CORPUS = [
    "reach the red cube",
    "put the blue ball into the bowl",
    "scene: red cube. now: reach the red cube. next: hold still.",
    "user assistant User: Assistant:\n",
] * 3
TOKENIZERS: dict[str, Any] = {  # the others are published with a plain fast one
    "smolvlm": GPT2Tokenizer,
    "idefics3": GPT2Tokenizer,
    "qwen2_vl": Qwen2Tokenizer,
    "qwen2_5_vl": Qwen2Tokenizer,
    "qwen3_vl": Qwen2Tokenizer,
    "qwen3_vl_moe": Qwen2Tokenizer,
    "paligemma": GemmaTokenizer,
}
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
GLM_TEXT = TEXT | dict(
    rope_parameters={
        "rope_type": "default",
        "rope_theta": 1e4,
        "mrope_section": [2, 1, 1],
        "partial_rotary_factor": 0.5,
    }
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
IDEFICS = dict(vision_config=SIGLIP, text_config=TEXT | {"model_type": "llama"}, scale_factor=2)
CONFIGS: dict[str, dict[str, Any]] = {
    "smolvlm": IDEFICS,
    "idefics3": IDEFICS,
    "qwen2_vl": dict(
        vision_config=dict(
            depth=2,
            embed_dim=24,
            hidden_size=WIDTH,
            mlp_ratio=2,
            num_heads=2,
            patch_size=8,
            spatial_merge_size=2,
            temporal_patch_size=2,
        ),
        text_config=GRID_TEXT,
    ),
    "qwen2_5_vl": dict(
        vision_config=GRID_VISION | dict(window_size=32, fullatt_block_indexes=[1]), text_config=GRID_TEXT
    ),
    "qwen3_vl": dict(
        vision_config=GRID_VISION | dict(num_position_embeddings=36, deepstack_visual_indexes=[0]),
        text_config=GRID_TEXT,
        tie_word_embeddings=True,
    ),
    "qwen3_vl_moe": dict(
        vision_config=GRID_VISION | dict(num_position_embeddings=36, deepstack_visual_indexes=[0, 1]),
        text_config=GRID_TEXT | dict(moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2),
    ),
    "glm4v": dict(vision_config=GRID_VISION | dict(image_size=48), text_config=GLM_TEXT),
    "glm4v_moe": dict(
        vision_config=GRID_VISION | dict(image_size=48),
        text_config=GLM_TEXT | dict(moe_intermediate_size=16, n_routed_experts=4, num_experts_per_tok=2),
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


def tokenizer_of(family: str) -> PreTrainedTokenizerBase:
    """A small tokenizer of the class a family is published with, with the special tokens of its prompts."""
    row = FAMILIES[family]
    parts = [*row.opening, *row.before, *row.after, *row.asking, *row.closing]
    own = [part for part in dict.fromkeys(parts) if part[0] in "<[" and part[-1] in ">]"]
    special = ["<pad>", "<eos>", "<picture>", "<film>", *own]
    names = dict(pad_token="<pad>", eos_token="<eos>", additional_special_tokens=special[2:])
    if family == "paligemma":
        names = dict(pad_token="<pad>", eos_token="<eos>", additional_special_tokens=["<picture>"])
        special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<picture>"]
        special += [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE())
    if family == "paligemma":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + 330,
        special_tokens=special,
        initial_alphabet=[] if family == "paligemma" else pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=8,
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    kind = TOKENIZERS.get(family)
    if kind is None:
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    return kind(vocab=learned["vocab"], merges=[tuple(merge) for merge in learned["merges"]], **names)


def save_tiny_base(family: str, folder: Path, seed: int = 0) -> Path:
    """Writes the model with random weights; the folder."""
    tokenizer = tokenizer_of(family)
    values: dict[str, Any] = dict(CONFIGS[family])
    ids = dict(pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None)
    values["image_token_id"] = tokenizer.convert_tokens_to_ids("<picture>")
    if FAMILIES[family].axes:
        values["video_token_id"] = tokenizer.convert_tokens_to_ids("<film>")
    text = values["text_config"] | ids | {"vocab_size": len(tokenizer) + 8}  # tables are often padded
    values["text_config"] = text
    config = AutoConfig.for_model(family, **values)
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
        asked = {"image_mean": list(row.mean), "image_std": list(row.std)}
        (folder / "preprocessor_config.json").write_text(json.dumps(asked))
    return folder


def make(
    folder: Path, tuning: str = "frozen", image_tokens: int = 9, cameras=("front",), **config
) -> Interpreter:
    """An interpreter around the model of a folder, by the path that real ones take."""
    torch.manual_seed(0)
    vlm, tokenizer, base = adopt(
        str(folder), tuning, ["reach the red cube. next: hold still."], image_tokens, lora_rank=2
    )
    config = InterpreterConfig(cameras=cameras, plan_dim=24, pretrained=base, **config)
    interpreter = Interpreter(vlm, tokenizer, config).eval()
    for name, parameter in interpreter.named_parameters():  # what starts at zero would hide mistakes
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return interpreter


def pictures(count: int = 2, cameras: int = 1) -> torch.Tensor:
    """(count, cameras, 3, 96, 96) noise, the same every time."""
    return torch.rand(count, cameras, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
