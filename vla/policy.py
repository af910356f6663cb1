"""The dual-system policy: an interpreter that plans and a decoder that acts, one `control.types.Policy`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import torch

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.vla.checkpoint import load_parts, save_parts
from ideomotor.vla.confidence import ConfidenceConfig, agreement
from ideomotor.vla.decoder import Context, Decoder, DecoderInputs
from ideomotor.vla.images import resized, to_pixels
from ideomotor.vla.interpreter import Interpreter
from ideomotor.vla.processor import Processor
from ideomotor.vla.sampler import SamplingConfig, sample_in_context, source_noise
from ideomotor.vla.smoothing import ORDER, smooth

# What a policy can be run without, beside each of its cameras. The first three are the places of fusion:
# early in the interpreter, intermediate in the decoder's attention to the plan, late in the decoder's eyes.
SENSES: dict[str, str] = {
    "early": "the interpreter's pictures, read with the instruction",
    "plan": "the latent plan",
    "vision": "the decoder's own pictures",
    "language": "the instruction",
    "state": "the joint state as the decoder's input; commands stay relative to it",
}
OTHER_SAMPLES = 0x5EED  # added to the seed for the samples that are compared, not executed
LOST = 0.35  # [rad or m]: a robot farther than this from its last command did not follow it


class IdeomotorPolicy:
    """Implements `control.types.Policy` with both networks in this process.

    Args:
        interpreter, decoder, processor: as trained together.
        sampling: how chunks are drawn.
        confidence: how sure it is of a chunk, for when `tells_confidence` is set.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        decoder: Decoder,
        processor: Processor,
        sampling: SamplingConfig = SamplingConfig(),  # noqa: B008 (frozen)
        confidence: ConfidenceConfig = ConfidenceConfig(),  # noqa: B008 (frozen)
    ):
        self.interpreter = interpreter.eval()
        self.decoder = decoder.eval()
        self.processor, self.sampling, self.confidence = processor, sampling, confidence
        self.tells_confidence = False  # costs time: chunks are compared with others that are not executed
        self._lacks = frozenset(sampling.without)
        self.reset(0)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> IdeomotorPolicy:
        """The policy of a checkpoint folder. UserError naming the file that is missing or damaged."""
        return cls(*load_parts(Path(folder)))

    def save_pretrained(self, folder: Path | str, card: str = "") -> None:
        """Writes a checkpoint folder; `card` becomes its README.md."""
        save_parts(
            Path(folder), self.interpreter, self.decoder, self.processor, self.sampling, self.confidence, card
        )

    def reset(self, seed: int) -> None:
        """Starts an episode: all randomness follows from `seed`."""
        self._generator = torch.Generator().manual_seed(seed)
        self._others = torch.Generator().manual_seed(seed + OTHER_SAMPLES)
        self._text = ""
        self._plans = 0
        self._told, self._meant = frozenset[int](), frozenset[int]()  # words of the text, of the last plan
        self._sent = np.zeros((0, 0))  # commands of the ticks up to `_sent_until`
        self._sent_until = 0

    def run_without(self, senses: Iterable[str]) -> None:
        """From now on runs as if these senses were missing, and those it was trained without.

        Raises:
            UserError: neither a key of SENSES nor a camera.
        """
        senses, known = frozenset(senses), (*SENSES, *self.decoder.config.cameras)
        for name in sorted(senses.difference(known)):
            raise unknown_name("without", name, known)
        self._lacks = senses | frozenset(self.sampling.without)

    @torch.inference_mode()
    def plan(self, observation: Observation, describe: bool | None = None) -> LatentPlan:
        """What to do, from the picture and the instruction.

        Args:
            observation: a missing camera is allowed.
            describe: whether to write the readable plan anew; by default at the start of an episode, when
                the words of the subtasks ahead have changed in two plans running, and as `sampling` says.
        """
        config, observation = self.interpreter.config, self._sensed(observation)
        if "early" in self._lacks:
            observation = replace(observation, images={})
        seen = [camera in observation.images for camera in config.cameras]
        pixels = self._pixels(observation, config.cameras, config.image_size)
        prompts = self.interpreter.prompts([observation.instruction], [seen])
        vision = self.interpreter.see(pixels)
        reading = self.interpreter.read(vision, prompts)
        presence = reading.pointing.presence.sigmoid() * float(seen[0])  # points are in the first
        tokens, progress = self.interpreter.plan_head(
            reading.hidden, reading.meaning, reading.pointing.points, presence
        )
        every = self.sampling.describe_every
        meant = frozenset((reading.words[0] > 0).nonzero().flatten().tolist())
        if describe is None:
            changed = meant == self._meant != self._told
            describe = self._plans == 0 or changed or (every > 0 and self._plans % every == 0)
        if describe:
            self._text = self.interpreter.describe(vision, observation.instruction, seen)
            self._told = meant
        self._meant = meant
        self._plans += 1
        points = reading.pointing.points[0].clamp(0, 1).tolist()
        return LatentPlan(
            tokens=tokens[0].numpy(),
            observed_at=observation.time,
            text=self._text,
            keypoints={
                name: (config.cameras[0], u, v)
                for name, (u, v), there in zip(config.names, points, presence[0].tolist(), strict=True)
                if there > 0.5
            },
            progress=float(progress.sigmoid()),
        )

    @torch.inference_mode()
    def act(self, observation: Observation, plan: LatentPlan, prefix: np.ndarray) -> ActionChunk:
        """The next chunk; its first d commands are `prefix`, unchanged.

        Args:
            observation: of the chunk's first tick.
            plan: the newest plan, of this or an earlier moment.
            prefix: (d, A) commands already committed from this tick on.
        """
        config, body, lacks = self.decoder.config, self.processor.embodiment, self._lacks
        observation = self._sensed(observation)
        if "vision" in lacks:
            observation = replace(observation, images={})
        state = np.asarray(observation.state, float)
        normal = torch.from_numpy(self.processor.state(state)).unsqueeze(0)
        prefix = np.asarray(prefix, np.float32).reshape(-1, len(self.processor.joints))
        if len(prefix) >= config.horizon:
            raise UserError(
                f"prefix: {len(prefix)} commands, expected fewer than the chunk's {config.horizon}"
            )
        tick = round(observation.time * self.processor.control_hz)
        history, known = self._history(tick, state)
        inputs = DecoderInputs(
            plan=torch.from_numpy(np.asarray(plan.tokens, np.float32)).unsqueeze(0),
            has_plan=torch.tensor([float("plan" not in lacks)]),
            pixels=self._pixels(observation, config.cameras, config.image_size),
            has_camera=torch.tensor([[float(camera in observation.images) for camera in config.cameras]]),
            state=normal,
            has_state=torch.tensor([float("state" not in lacks)]),
            history=torch.from_numpy(self.processor.history(history, state)).unsqueeze(0),
            has_history=torch.tensor([float(known and self.sampling.history)]),
        )
        given = torch.from_numpy(self.processor.relative(prefix, state)).unsqueeze(0)
        joints = len(self.processor.joints)
        noise = source_noise(1, config.horizon, joints, self.sampling.noise_knots, self._generator)
        context = self.decoder.context(body, inputs)
        sampled = self._sampled(context, given, noise)
        chunk = self.processor.absolute(sampled[0].numpy(), state)
        free = chunk[len(prefix) :]
        if self.sampling.smoothing > 0:
            before = np.concatenate([history if known else self._still(state, ORDER), prefix])[-ORDER:]
            free = smooth(free, before, self.sampling.smoothing)
        actions = np.concatenate([prefix, free.astype(np.float32)])
        self._remember(tick, history, actions)
        return ActionChunk(
            actions=actions,
            hz=float(self.processor.control_hz),
            starts_at=tick,
            observed_at=observation.time,
            plan_observed_at=plan.observed_at,
            confidence=self._confidence(context, given, sampled) if self.tells_confidence else nan,
        )

    def _sampled(self, context: Context, prefix: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        how = self.sampling
        return sample_in_context(
            self.decoder, self.processor.embodiment, context, prefix, noise, how.steps, how.sampler
        )

    def _confidence(self, context: Context, prefix: torch.Tensor, sampled: torch.Tensor) -> float:
        """Of a chunk (1, H, A). The others are drawn apart, so that it stays the same to the bit."""
        count, (_, ticks, joints) = self.confidence.samples - 1, sampled.shape
        noise = source_noise(count, ticks, joints, self.sampling.noise_knots, self._others)
        others = self._sampled(context.repeated(count), prefix.expand(count, -1, -1), noise)
        return self.confidence.of(agreement(torch.cat([sampled, others])[:, prefix.shape[1] :]))

    def _sensed(self, observation: Observation) -> Observation:
        """Without the cameras and the words that it is run without."""
        if not self._lacks:
            return observation
        images = {name: image for name, image in observation.images.items() if name not in self._lacks}
        words = "" if "language" in self._lacks else observation.instruction
        return replace(observation, images=images, instruction=words)

    def _history(self, tick: int, state: np.ndarray) -> tuple[np.ndarray, bool]:
        """(P, A) commands of the ticks before, and whether they are known. At the start: to rest."""
        length = self.decoder.config.history
        still = self._still(state, length)
        if len(self._sent) == 0:
            return still, True
        first = self._sent_until - len(self._sent)
        if not first + length <= tick <= self._sent_until:
            return still, False
        sent = self._sent[tick - length - first : tick - first]
        return sent, not self.processor.targets or bool(np.abs(sent[-1] - state).max() < LOST)

    def _still(self, state: np.ndarray, ticks: int) -> np.ndarray:
        """(ticks, A) commands that leave a robot in its state where it is."""
        if self.processor.targets:
            return np.repeat(state[None], ticks, axis=0)
        return np.zeros((ticks, len(self.processor.joints)))

    def _remember(self, tick: int, history: np.ndarray, actions: np.ndarray) -> None:
        self._sent = np.concatenate([history, actions])
        self._sent_until = tick + len(actions)

    def _pixels(self, observation: Observation, cameras: tuple[str, ...], size: int) -> torch.Tensor:
        """(1, cameras, 3, size, size); a missing camera is black."""
        black = np.zeros((size, size, 3), np.uint8)
        frames = [
            resized(np.asarray(observation.images[camera]), size) if camera in observation.images else black
            for camera in cameras
        ]
        return to_pixels(np.stack(frames)).unsqueeze(0)
