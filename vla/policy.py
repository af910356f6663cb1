"""The dual-system policy: an interpreter that plans and a decoder that acts, one `control.types.Policy`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.vla.checkpoint import load_parts, save_parts
from ideomotor.vla.confidence import ConfidenceConfig, agreement
from ideomotor.vla.decoder import Context, Decoder, DecoderInputs
from ideomotor.vla.hub import checkpoint_folder, push_folder
from ideomotor.vla.images import resized, to_pixels
from ideomotor.vla.input_check import InputCheck
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
    "state": "the joint state as the networks' input; commands stay relative to it",
}
OTHER_SAMPLES = 0x5EED  # added to the seed for the samples that are compared, not executed
LONGEST_DELAY_S = 0.25  # [s]: decoders are trained to be given the commands of this much time at most
LOST = 0.35  # [rad or m]: a robot farther than this from its last command did not follow it


class _Past(NamedTuple):
    """What was commanded in the ticks before a chunk."""

    commands: np.ndarray  # (P, A) [rad or m]
    known: bool  # whether they led to where the robot is
    origin: np.ndarray  # (A,) what the chunk is relative to


class IdeomotorPolicy:
    """Implements `control.types.Policy` with both networks in this process.

    Args:
        interpreter, decoder, processor: as trained together.
        sampling: how chunks are drawn.
        confidence: how sure it is of a chunk, for when `tells_confidence` is set.

    Attributes:
        lacks: the senses that it runs without, see `run_without`.
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
        self.lacks = frozenset(sampling.without)
        self.reset(0)

    @classmethod
    def from_pretrained(cls, source: Path | str, revision: str | None = None) -> IdeomotorPolicy:
        """The policy of a checkpoint folder, or of ORG/NAME (a revision of it) on the Hugging Face Hub.

        Raises:
            UserError: naming the file that is missing or damaged.
        """
        return cls(*load_parts(checkpoint_folder(source, revision)))

    def save_pretrained(self, folder: Path | str, card: str = "") -> None:
        """Writes a checkpoint folder; `card` becomes its README.md."""
        save_parts(
            Path(folder), self.interpreter, self.decoder, self.processor, self.sampling, self.confidence, card
        )

    def push_to_hub(self, repository: str, card: str = "", private: bool | None = None) -> str:
        """Uploads it as a new revision of ORG/NAME and returns its address; see `hub.push_folder`."""
        with TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "policy", card)
            return push_folder(Path(folder) / "policy", repository, private)

    def reset(self, seed: int) -> None:
        """Starts an episode: all randomness follows from `seed`."""
        self._generator = torch.Generator().manual_seed(seed)
        self._others = torch.Generator().manual_seed(seed + OTHER_SAMPLES)
        self._text = ""
        self._plans = 0
        self._told, self._meant = frozenset[int](), frozenset[int]()  # words of the text, of the last plan
        self._sent = np.zeros((0, 0))  # commands of the ticks up to `_sent_until`
        self._sent_until = 0
        cameras = (*self.decoder.config.cameras, *self.interpreter.config.cameras)
        self._input = InputCheck(cameras, self.processor)

    @property
    def max_delay_ticks(self) -> int:
        """The longest inference time whose committed commands it can be given [ticks]."""
        longest = round(LONGEST_DELAY_S * self.processor.control_hz)
        return min(longest, self.decoder.config.horizon - 1)

    def check_delay(self, name: str, delay_ms: float) -> None:
        """Raises UserError for an inference time that it cannot be given; `name` is of the option."""
        most, hz = self.max_delay_ticks, self.processor.control_hz
        if round(delay_ms * hz / 1000) > most:
            raise UserError(
                f"{name}: got {delay_ms:g} ms, expected 0 to {1000 * most / hz:g}: the policy can be given "
                f"{most} committed commands at {hz} Hz"
            )

    def run_without(self, senses: Iterable[str]) -> None:
        """From now on runs as if these senses were missing, and those it was trained without.

        Raises:
            UserError: neither a key of SENSES nor a camera.
        """
        senses, known = frozenset(senses), (*SENSES, *self.decoder.config.cameras)
        for name in sorted(senses.difference(known)):
            raise unknown_name("without", name, known)
        self.lacks = senses | frozenset(self.sampling.without)

    def beside(self) -> IdeomotorPolicy:
        """Another one with the same networks and settings, for an episode of its own beside this one's."""
        other = copy.copy(self)
        other.reset(0)
        return other

    def plan(self, observation: Observation, describe: bool | None = None) -> LatentPlan:
        """What to do, from the picture and the instruction.

        Args:
            observation: a missing camera is allowed.
            describe: whether to write the readable plan anew; by default at the start of an episode, when
                the words of the subtasks ahead have changed in two plans running, and as `sampling` says.
        """
        return plans([self], [observation], describe)[0]

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        """The next chunk; its first d commands are `committed_prefix`, unchanged.

        Args:
            observation: of the chunk's first tick.
            plan: the newest plan, of this or an earlier moment.
            committed_prefix: (d, A) commands already committed from this tick on.
        """
        return chunks([self], [observation], [plan], [committed_prefix])[0]

    def _wants_text(self, meant: frozenset[int], asked: bool | None) -> bool:
        """Whether the readable plan is to be written anew, where the words ahead are now `meant`."""
        every = self.sampling.describe_every
        changed = meant == self._meant != self._told
        wants = self._plans == 0 or changed or (every > 0 and self._plans % every == 0)
        return wants if asked is None else asked

    def _committed(self, prefix: np.ndarray) -> np.ndarray:
        """(d, A) float32. UserError if there is nothing left to decide."""
        horizon = self.decoder.config.horizon
        prefix, joints = np.asarray(prefix, np.float32), len(self.processor.joints)
        if prefix.size and prefix.shape[1:] != (joints,):
            raise UserError(f"prefix: shape {prefix.shape}, expected (ticks, {joints})")
        prefix = prefix.reshape(-1, joints)
        if len(prefix) >= horizon:
            raise UserError(f"prefix: {len(prefix)} commands, expected fewer than the chunk's {horizon}")
        return prefix

    def _finished(
        self, sampled: np.ndarray, prefix: np.ndarray, tick: int, state: np.ndarray, past: _Past
    ) -> np.ndarray:
        """(H, A) commands of a sampled chunk: in the robot's units, smoothed behind what is committed."""
        history, known, origin = past
        free = self.processor.absolute(sampled, origin)[len(prefix) :]
        if self.sampling.smoothing > 0:
            before = np.concatenate([history if known else self._still(state, ORDER), prefix])[-ORDER:]
            free = smooth(free, before, self.sampling.smoothing)
        actions = np.concatenate([prefix, free.astype(np.float32)])
        self._remember(tick, history, actions)
        return actions

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
        """Checked (see `InputCheck`), and without the cameras and the words that it is run without."""
        observation = self._input.admit(observation)
        if not self.lacks:
            return observation
        images = {name: image for name, image in observation.images.items() if name not in self.lacks}
        words = "" if "language" in self.lacks else observation.instruction
        return replace(observation, images=images, instruction=words)

    def _past(self, observation: Observation, tick: int, state: np.ndarray) -> _Past:
        """What was commanded before this observation: as it was sent, or else as this policy meant it."""
        sent = observation.past_commands
        if self.processor.origin == "command" and self.processor.targets and sent is not None:
            history, known = np.asarray(sent, float)[-self.decoder.config.history :], True
        else:
            history, known = self._history(tick, state)
        return _Past(history, known, self.processor.origin_of(state, history))

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


@torch.inference_mode()
def plans(
    policies: Sequence[IdeomotorPolicy], observations: Sequence[Observation], describe: bool | None = None
) -> list[LatentPlan]:
    """What the policies of several episodes plan, in one batch: of the same networks (`beside`) and senses.

    A batch of one is what `IdeomotorPolicy.plan` does; in others float32 rounds otherwise (about 1e-6).

    Args:
        policies, observations: one of each for every episode.
        describe: as in `IdeomotorPolicy.plan`.
    """
    interpreter, lacks = policies[0].interpreter, policies[0].lacks
    config = interpreter.config
    observations = [policy._sensed(o) for policy, o in zip(policies, observations, strict=True)]
    if "early" in lacks:
        observations = [replace(observation, images={}) for observation in observations]
    seen = [[camera in observation.images for camera in config.cameras] for observation in observations]
    pixels = [policies[0]._pixels(o, config.cameras, config.image_size) for o in observations]
    felt = np.stack([np.asarray(observation.state, np.float32) for observation in observations])
    if "state" in lacks:
        felt = np.full_like(felt, np.nan)
    prompts = interpreter.prompts([observation.instruction for observation in observations], seen, state=felt)
    vision = interpreter.see(torch.cat(pixels))
    reading = interpreter.read(vision, prompts)
    first = torch.tensor([[float(cameras[0])] for cameras in seen])  # the camera that points are in
    presence = reading.pointing.presence.sigmoid() * first
    tokens, progress = interpreter.plan_head(
        reading.hidden, reading.meaning, reading.pointing.points, presence
    )
    made = []
    for row, (policy, observation) in enumerate(zip(policies, observations, strict=True)):
        meant = frozenset((reading.words[row] > 0).nonzero().flatten().tolist())
        if policy._wants_text(meant, describe):
            policy._text = interpreter.describe(
                vision.of(row), observation.instruction, seen[row], state=felt[row]
            )
            policy._told = meant
        policy._meant = meant
        policy._plans += 1
        points = reading.pointing.points[row].clamp(0, 1).tolist()
        there = zip(config.names, points, presence[row].tolist(), strict=True)
        made.append(
            LatentPlan(
                tokens=tokens[row].numpy(),
                observed_at=observation.time,
                text=policy._text,
                keypoints={name: (config.cameras[0], u, v) for name, (u, v), share in there if share > 0.5},
                progress=float(progress[row].sigmoid()),
            )
        )
    return made


@torch.inference_mode()
def chunks(
    policies: Sequence[IdeomotorPolicy],
    observations: Sequence[Observation],
    latent: Sequence[LatentPlan],
    prefixes: Sequence[np.ndarray],
) -> list[ActionChunk]:
    """The next chunks of several episodes, as `plans`.

    Args:
        policies, observations, latent, prefixes: one of each for every episode, prefixes of one length.
    """
    decoder, processor, lacks = policies[0].decoder, policies[0].processor, policies[0].lacks
    config, body, how = decoder.config, processor.embodiment, policies[0].sampling
    observations = [policy._sensed(o) for policy, o in zip(policies, observations, strict=True)]
    if "vision" in lacks:
        observations = [replace(observation, images={}) for observation in observations]
    states = [np.asarray(observation.state, float) for observation in observations]
    given = [policy._committed(prefix) for policy, prefix in zip(policies, prefixes, strict=True)]
    ticks = [observation.tick for observation in observations]
    past = [
        policy._past(observation, tick, state)
        for policy, observation, tick, state in zip(policies, observations, ticks, states, strict=True)
    ]
    count = len(policies)
    inputs = DecoderInputs(
        plan=_stacked(np.asarray(plan.tokens, np.float32) for plan in latent),
        has_plan=torch.full((count,), float("plan" not in lacks)),
        pixels=torch.cat([policies[0]._pixels(o, config.cameras, config.image_size) for o in observations]),
        has_camera=torch.tensor([[float(c in o.images) for c in config.cameras] for o in observations]),
        state=_stacked(processor.state(state, p.origin) for state, p in zip(states, past, strict=True)),
        has_state=torch.full((count,), float("state" not in lacks)),
        history=_stacked(processor.history(p.commands, p.origin) for p in past),
        has_history=torch.tensor([float(p.known and how.history) for p in past]),
    )
    committed = _stacked(processor.relative(g, p.origin) for g, p in zip(given, past, strict=True))
    joints = len(processor.joints)
    noise = [source_noise(1, config.horizon, joints, how.noise_knots, p._generator) for p in policies]
    context = decoder.context(body, inputs)
    sampled = policies[0]._sampled(context, committed, how.noise * torch.cat(noise))
    made = []
    for row, (policy, observation) in enumerate(zip(policies, observations, strict=True)):
        sure = nan
        if policy.tells_confidence:
            one = slice(row, row + 1)
            sure = policy._confidence(context.of(row), committed[one], sampled[one])
        made.append(
            ActionChunk(
                actions=policy._finished(
                    sampled[row].numpy(), given[row], ticks[row], states[row], past[row]
                ),
                hz=float(processor.control_hz),
                starts_at=ticks[row],
                observed_at=observation.time,
                plan_observed_at=latent[row].observed_at,
                confidence=sure,
            )
        )
    return made


def _stacked(rows: Iterable[np.ndarray]) -> torch.Tensor:
    """(B, …) of B arrays."""
    return torch.from_numpy(np.stack(list(rows)))
