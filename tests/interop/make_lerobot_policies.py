"""Runs in the environment with the real lerobot: small random checkpoints, and what LeRobot does with them.

    python make_lerobot_policies.py FOLDER HOME TYPE…

Writes FOLDER/TYPE, a checkpoint, and FOLDER/TYPE.npz: "state" (n, 6), "front" and "wrist" (n, 96, 96, 3),
frames one after the other, and "actions" (N, 6), what `select_action` gives one after the other from the last
frame on, by its own processors. HOME is six numbers as JSON, near which its commands stay.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature  # pyright: ignore[reportMissingImports]
from lerobot.policies.factory import (  # pyright: ignore[reportMissingImports]
    get_policy_class,
    make_policy_config,
    make_pre_post_processors,
)

SIZE, JOINTS = 96, 6
SMALL: dict[str, dict[str, Any]] = {
    "smolvla": {
        "chunk_size": 10,
        "n_action_steps": 10,
        "num_steps": 2,
        "num_vlm_layers": 2,
        "resize_imgs_with_padding": (64, 64),
        "load_vlm_weights": False,
        "expert_width_multiplier": 0.5,
        "max_state_dim": 8,
        "max_action_dim": 8,
    },
    "act": {
        "chunk_size": 12,
        "n_action_steps": 12,
        "dim_model": 32,
        "n_heads": 2,
        "dim_feedforward": 32,
        "n_encoder_layers": 1,
        "n_vae_encoder_layers": 1,
        "latent_dim": 8,
    },
    "diffusion": {
        "horizon": 16,
        "n_action_steps": 15,
        "n_obs_steps": 2,
        "down_dims": (16, 32),
        "n_groups": 4,
        "diffusion_step_embed_dim": 16,
        "noise_scheduler_type": "DDIM",
        "num_inference_steps": 2,
        "spatial_softmax_num_keypoints": 4,
    },
    "vqbet": {
        "n_obs_steps": 2,
        "action_chunk_size": 5,
        "n_action_pred_token": 3,
        "gpt_block_size": 50,
        "gpt_n_layer": 1,
        "gpt_n_head": 2,
        "gpt_hidden_dim": 32,
        "gpt_input_dim": 32,
        "gpt_output_dim": 32,
        "crop_shape": (84, 84),
        "vqvae_n_embed": 4,
        "vqvae_embedding_dim": 16,
        "vqvae_enc_hidden_dim": 16,
        "spatial_softmax_num_keypoints": 4,
    },
}


def tiny_smolvlm(folder: Path) -> Path:
    """A vision-language model's folder without weights: its config, tokenizer and processor."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import (
        AutoConfig,
        PreTrainedTokenizerFast,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    marks = ("image", "fake_image", "global_image", "end_of_utterance")
    special = ["<pad>", "<eos>", *(f"<{mark}>" for mark in marks)]
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    learned.train_from_iterator(["lift it"] * 3, trainer)
    named = {f"{mark}_token": f"<{mark}>" for mark in marks}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learned, pad_token="<pad>", eos_token="<eos>", extra_special_tokens=named
    )
    text = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 512}
    text |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    vision = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 2, "image_size": 64, "patch_size": 16}
    image = tokenizer.convert_tokens_to_ids("<image>")
    config = AutoConfig.for_model(
        "smolvlm", vision_config=vision, text_config=text, scale_factor=2, image_token_id=image
    )
    config.save_pretrained(folder)
    processor = SmolVLMProcessor(SmolVLMImageProcessor(), tokenizer, SmolVLMVideoProcessor(), image_seq_len=4)
    processor.save_pretrained(folder)
    return folder


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    visual = {
        f"observation.images.{n}": PolicyFeature(FeatureType.VISUAL, (3, SIZE, SIZE))
        for n in ("front", "wrist")
    }
    all_inputs = {**visual, "observation.state": PolicyFeature(FeatureType.STATE, (JOINTS,))}
    outputs = {"action": PolicyFeature(FeatureType.ACTION, (JOINTS,))}
    home = torch.tensor(json.loads(sys.argv[2]))
    spread = {"mean": home, "std": torch.full((JOINTS,), 0.1), "min": home - 0.2, "max": home + 0.2}
    picture = {"mean": torch.full((3, 1, 1), 0.4), "std": torch.full((3, 1, 1), 0.2),
               "min": torch.zeros(3, 1, 1), "max": torch.ones(3, 1, 1)}  # fmt: skip
    stats = {"observation.state": spread, "action": spread, **dict.fromkeys(visual, picture)}
    for kind, changes in SMALL.items():
        if kind not in sys.argv[3:]:
            continue
        torch.manual_seed(1)
        inputs = dict(all_inputs)
        changes = dict(changes)
        if kind == "vqbet":  # sees one camera
            del inputs["observation.images.wrist"]
        if kind == "smolvla":
            changes["vlm_model_name"] = str(tiny_smolvlm(folder / "smolvlm"))
        else:
            changes["pretrained_backbone_weights"] = None
        features = {"input_features": inputs, "output_features": outputs}
        here = {"device": "cpu", "push_to_hub": False}
        config = make_policy_config(kind, **features, **here, **changes)
        policy = get_policy_class(kind)(config)
        before, after = make_pre_post_processors(config, dataset_stats=stats)
        root = folder / kind
        policy.save_pretrained(root)
        before.save_pretrained(root)
        after.save_pretrained(root)
        path = root / "config.json"  # which lacks the type under some versions of draccus
        path.write_text(json.dumps({"type": kind, **json.loads(path.read_text())}))
        # As they come back from the disk, which is what anybody runs.
        policy = get_policy_class(kind).from_pretrained(root)
        before, after = make_pre_post_processors(config, str(root))
        frames = [
            {name: draw.integers(0, 255, (SIZE, SIZE, 3), np.uint8) for name in ("front", "wrist")}
            | {"state": draw.normal(0, 0.3, JOINTS).astype(np.float32)}
            for _ in range(config.n_obs_steps)
        ]
        actions = theirs(policy, before, after, frames)
        arrays = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
        np.savez(folder / f"{kind}.npz", actions=actions, **arrays)


def theirs(policy: Any, before: Any, after: Any, frames: list[dict[str, np.ndarray]]) -> np.ndarray:
    """As a robot is driven: an observation in, an action out, until the chunk is used up."""
    policy.eval()
    batches = []
    for frame in frames:
        seen: dict[str, Any] = {
            "observation.state": torch.from_numpy(frame["state"]),
            "task": "lift it",
        }
        for name in ("front", "wrist"):
            seen[f"observation.images.{name}"] = torch.from_numpy(frame[name]).permute(2, 0, 1).float() / 255
        batches.append({key: value for key, value in before(seen).items() if key != "action"})
    policy.reset()
    policy.config.n_action_steps = (
        1  # the frames before the last are looked at, and what is made of them let go
    )
    for batch in batches[:-1]:
        policy.select_action(dict(batch))
        policy._queues["action"].clear()
    torch.manual_seed(7)
    count = {"act": 12, "diffusion": 15, "vqbet": 5, "smolvla": 10}[policy.config.type]
    policy.config.n_action_steps = count
    made = [policy.select_action(dict(batches[-1])) for _ in range(count)]
    return np.concatenate([after(action).numpy() for action in made])


if __name__ == "__main__":
    main()
