"""A policy of LeRobot's in a process of its own: loads a checkpoint and answers with chunks.

    python lerobot_host.py FOLDER

Run by the Python of an environment with the real `lerobot`, not by ours. It speaks the messages of
framing.py: standard input has requests, standard output the answers. The first message says what was loaded,
{"version", "type", "parameters", "device"}; or {"error"}, after which it ends. A request is

    {"do": "reset", "seed": N}                          answered with {}
    {"do": "chunk", "task": TEXT, "frames": n}          answered with {} and "action" float32 (N, A)

with the arrays "0/KEY" … "n-1/KEY" of its newest n observations, the newest last: pictures uint8 (H, W, 3),
vectors float32. Values are the checkpoint's, as its data had them; its own processors normalise them.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import importlib.util
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    framing = _framing()
    answers = os.dup(1)  # what lerobot prints goes to the log
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        policy = Loaded(Path(sys.argv[1]))
        framing.send(answers, policy.facts)
    except Exception as error:
        framing.send(answers, {"error": f"{type(error).__name__}: {error}"})
        raise
    while True:
        try:
            head, arrays = framing.receive(0)
        except framing.BrokenMessage:
            return  # whoever asked is gone
        if head["do"] == "reset":
            policy.reset(head["seed"])
            framing.send(answers, {})
        else:
            framing.send(
                answers, {}, {"action": policy.chunk(head["task"], frames_of(arrays, head["frames"]))}
            )


def frames_of(arrays: dict[str, np.ndarray], count: int) -> list[dict[str, np.ndarray]]:
    """The observations of a request, oldest first."""
    frames: list[dict[str, np.ndarray]] = [{} for _ in range(count)]
    for name, array in arrays.items():
        number, _, key = name.partition("/")
        frames[int(number)][key] = array
    return frames


class Loaded:
    """A checkpoint with its processors."""

    def __init__(self, folder: Path) -> None:
        import lerobot
        import torch
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors

        self._torch = torch
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        config: Any = PreTrainedConfig.from_pretrained(folder)
        if hasattr(config, "pretrained_backbone_weights"):
            config.pretrained_backbone_weights = None  # the checkpoint has them
        if config.type == "diffusion":  # all that it makes, not only what it would execute
            config.n_action_steps = config.horizon - config.n_obs_steps + 1
        self.policy: Any = get_policy_class(config.type).from_pretrained(folder, config=config)
        self.policy.eval()
        device = {"device_processor": {"device": config.device}}
        self._before, self._after = make_pre_post_processors(
            config, str(folder), preprocessor_overrides=device, postprocessor_overrides={}
        )
        self._config = config
        self.facts = {
            "version": lerobot.__version__,
            "type": config.type,
            "parameters": sum(p.numel() for p in self.policy.parameters()),
            "device": str(config.device),
        }

    def reset(self, seed: int) -> None:
        self._torch.manual_seed(seed)
        self.policy.reset()

    def chunk(self, task: str, frames: list[dict[str, np.ndarray]]) -> np.ndarray:
        """(N, A) float32, from observations of its n_obs_steps newest frames, oldest first."""
        torch = self._torch
        with torch.inference_mode():
            batches = [self._batch(frame, task) for frame in frames]
            self.policy.reset()
            if getattr(self._config, "n_obs_steps", 1) > 1:
                batch = self._remember(batches)
            else:
                batch = batches[-1]
            made = self.policy.predict_action_chunk(batch)[0]
            return self._after(made).to("cpu", torch.float32).numpy()

    def _batch(self, frame: dict[str, np.ndarray], task: str) -> dict[str, Any]:
        """An observation as its networks want it."""
        torch = self._torch
        found: dict[str, Any] = {"task": task}
        for key, array in frame.items():
            value = torch.from_numpy(array)
            found[key] = value.permute(2, 0, 1).float() / 255 if array.dtype == np.uint8 else value
        return {key: value for key, value in self._before(found).items() if key != "action"}

    def _remember(self, batches: list[dict[str, Any]]) -> dict[str, Any]:
        """Fills the queues of a policy that looks back, and returns the newest batch as it wants it."""
        from lerobot.policies.utils import populate_queues
        from lerobot.utils.constants import OBS_IMAGES

        for batch in batches:
            if self._config.image_features:
                batch[OBS_IMAGES] = self._torch.stack(
                    [batch[key] for key in self._config.image_features], dim=-4
                )
            self.policy._queues = populate_queues(self.policy._queues, batch, exclude_keys=["action"])
        return batches[-1]


def _framing() -> Any:
    spec = importlib.util.spec_from_file_location("framing", Path(__file__).with_name("framing.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
