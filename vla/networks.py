"""The two networks of a checkpoint and how they are used, for any number of episodes at once.

Stateless: what an episode remembers (its seed, its text, what was commanded) is `vla.policy.EpisodePolicy`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from ideomotor.control.timing import Timing
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla.checkpoint import BOTH, load_parts, save_parts
from ideomotor.vla.decoder.confidence import ConfidenceConfig, agreement
from ideomotor.vla.decoder.decoder import Context, Decoder, DecoderConfig, DecoderInputs
from ideomotor.vla.decoder.sampler import sample_in_context, source_noise
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.hub import checkpoint_folder, push_folder
from ideomotor.vla.images import to_pixels
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.shown import encode_shown
from ideomotor.vla.interpreter.text_generation import write_plan
from ideomotor.vla.needed import EVERYTHING, Needed
from ideomotor.vla.processor import Processor
from ideomotor.vla.requests import ChunkRequest, PlanDraft, SampledChunk
from ideomotor.vla.resizing import resized


@dataclass(frozen=True, eq=False)
class PolicyNetworks:
    """Both networks, or one of them and what is known of the other.

    Args:
        interpreter, decoder: as trained together; its config alone where a network runs in another process.
        processor: normalisation.
        timing: when they are asked, and what they can be given.
        sampling: how chunks are drawn.
        confidence: how sure the decoder is of a chunk.
        tells_confidence: whether chunks are compared with others that are not executed, which takes time.
        needed: what of them was loaded and is computed; None: everything.
    """

    interpreter_or_config: Interpreter | InterpreterConfig
    decoder_or_config: Decoder | DecoderConfig
    processor: Processor
    timing: Timing
    sampling: SamplingConfig = SamplingConfig()
    confidence: ConfidenceConfig = ConfidenceConfig()
    tells_confidence: bool = False
    needed: Needed | None = None

    def __post_init__(self) -> None:
        for part in (self.interpreter_or_config, self.decoder_or_config):
            if isinstance(part, torch.nn.Module):
                part.eval()

    @classmethod
    def from_pretrained(
        cls,
        source: Path | str,
        revision: str | None = None,
        parts: Sequence[str] = BOTH,
        needed: Needed | None = None,
    ) -> PolicyNetworks:
        """Those of a checkpoint folder, or of ORG/NAME (a revision of it) on the Hugging Face Hub.

        Args:
            parts: "interpreter", "decoder": which networks to load. Weights of others are not read.
            needed: what of them is loaded; None: everything.

        Raises:
            UserError: naming the file that is missing or damaged.
        """
        return cls(*load_parts(checkpoint_folder(source, revision), parts, needed), needed=needed)

    def save_pretrained(self, folder: Path | str, card: str = "") -> None:
        """Writes a checkpoint folder; `card` becomes its README.md. RuntimeError for parts of one."""
        if self.needed is not None:
            raise RuntimeError("only what a run needs was loaded, which is no checkpoint")
        save_parts(
            Path(folder),
            self.interpreter,
            self.decoder,
            self.processor,
            self.timing,
            self.sampling,
            self.confidence,
            card,
        )

    def push_to_hub(self, repository: str, card: str = "", private: bool | None = None) -> str:
        """Uploads it as a new revision of ORG/NAME and returns its address; see `hub.push_folder`."""
        with TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "policy", card)
            return push_folder(Path(folder) / "policy", repository, private)

    @property
    def interpreter(self) -> Interpreter:
        """RuntimeError where it was not loaded."""
        if not isinstance(self.interpreter_or_config, Interpreter):
            raise RuntimeError("the interpreter is not loaded in this process")
        return self.interpreter_or_config

    @property
    def decoder(self) -> Decoder:
        """RuntimeError where it was not loaded."""
        if not isinstance(self.decoder_or_config, Decoder):
            raise RuntimeError("the decoder is not loaded in this process")
        return self.decoder_or_config

    @property
    def interpreter_config(self) -> InterpreterConfig:
        """Of the interpreter, loaded or not."""
        part = self.interpreter_or_config
        return part.config if isinstance(part, Interpreter) else part

    @property
    def decoder_config(self) -> DecoderConfig:
        """Of the decoder, loaded or not."""
        part = self.decoder_or_config
        return part.config if isinstance(part, Decoder) else part

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those that either network is shown, the decoder's first."""
        every = dict.fromkeys((*self.decoder_config.cameras, *self.interpreter_config.cameras))
        return (self.needed or EVERYTHING).of(every)

    def to(self, device: torch.device | str) -> PolicyNetworks:
        """Itself, with its networks on that device; what it is given and gives stays on the CPU."""
        for part in (self.interpreter_or_config, self.decoder_or_config):
            if isinstance(part, torch.nn.Module):
                part.to(device)
        return self

    @torch.inference_mode()
    def plans(self, observations: Sequence[Observation], without: frozenset[str]) -> list[PlanDraft]:
        """What to do in several episodes, as one batch.

        A batch of one is what a single episode gets; in others float32 rounds otherwise (about 1e-6).

        Args:
            observations: one of each episode, as `InputCheck` gives them.
            without: the senses of `vla.policy.SENSES` that are missing.
        """
        interpreter, config = self.interpreter, self.interpreter_config
        device = interpreter.query_ids.device
        blind, needed = "early" in without, self.needed or EVERYTHING
        shown = needed.of(config.cameras)
        present = [[not blind and c in shown and c in o.images for c in config.cameras] for o in observations]
        pixels = _pixels(observations, shown, config.image_size, blind).to(device)
        states = np.stack([np.asarray(observation.state, np.float32) for observation in observations])
        if "state" in without:
            states = np.full_like(states, np.nan)
        prompts = interpreter.prompts([o.instruction for o in observations], present, state=states)
        encoded = encode_shown(interpreter, pixels, shown)
        output = interpreter.read(encoded, prompts.to(device))
        first = torch.tensor([[float(cameras[0])] for cameras in present], device=device)
        presence = output.pointing.presence.sigmoid() * first  # points are in the first camera
        tokens, progress = interpreter.plan_head(
            output.hidden, output.meaning, output.pointing.points, presence
        )

        def draft(row: int, observation: Observation) -> PlanDraft:
            points = output.pointing.points[row].clamp(0, 1).tolist()
            found = zip(config.names, points, presence[row].tolist(), strict=True)
            plan = LatentPlan(
                tokens=tokens[row].cpu().numpy(),
                observed_at=observation.time,
                keypoints={name: (config.cameras[0], u, v) for name, (u, v), share in found if share > 0.5},
                progress=float(progress[row].sigmoid()),
            )

            def write() -> str:
                if not needed.text:
                    return ""
                one, words = encoded.of(row), observation.instruction
                return write_plan(interpreter, one, words, present[row], state=states[row])

            words = frozenset((output.words[row] > 0).nonzero().flatten().tolist())
            return PlanDraft(plan, words, write)

        return [draft(row, observation) for row, observation in enumerate(observations)]

    @torch.inference_mode()
    def chunks(self, requests: Sequence[ChunkRequest], without: frozenset[str]) -> list[SampledChunk]:
        """The next chunks of several episodes, as `plans`; with prefixes of one length.

        Args:
            requests: one of each episode.
            without: the senses of `vla.policy.SENSES` that are missing.
        """
        decoder, processor, config = self.decoder, self.processor, self.decoder_config
        device = decoder.token_at.device
        observations = [request.observation for request in requests]
        blind = "vision" in without
        states = [np.asarray(observation.state, float) for observation in observations]
        planned = [float("plan" not in without and request.plan.tokens.size > 0) for request in requests]
        shown = (self.needed or EVERYTHING).of(config.cameras)
        present = [[float(not blind and c in o.images) for c in shown] for o in observations]
        remembered = [float(request.known and self.sampling.past_commands) for request in requests]
        inputs = DecoderInputs(
            plan=_stacked(self._plan_tokens(request.plan) for request in requests).to(device),
            has_plan=torch.tensor(planned, device=device),
            pixels=_pixels(observations, shown, config.image_size, blind).to(device),
            has_camera=torch.tensor(present, device=device),
            state=_stacked(
                processor.state(state, request.origin)
                for state, request in zip(states, requests, strict=True)
            ).to(device),
            has_state=torch.full((len(requests),), float("state" not in without), device=device),
            past_commands=_stacked(
                processor.past_commands(request.past_commands, request.origin) for request in requests
            ).to(device),
            has_past_commands=torch.tensor(remembered, device=device),
        )
        committed_prefix = _stacked(processor.relative(r.committed_prefix, r.origin) for r in requests).to(
            device
        )
        context = decoder.context(processor.embodiment, inputs, shown)
        noise = _joined(request.noise for request in requests).to(device)
        sampled = self._sampled(context, committed_prefix, self.sampling.noise * noise)
        return [
            SampledChunk(
                processor.absolute(sampled[row].cpu().numpy(), request.origin),
                self._confidence(
                    context.of(row), committed_prefix[row : row + 1], sampled[row : row + 1], request
                ),
            )
            for row, request in enumerate(requests)
        ]

    def generator(self, seed: int) -> torch.Generator:
        """What `noise` draws from."""
        return torch.Generator().manual_seed(seed)

    def noise(self, count: int, generator: torch.Generator) -> np.ndarray:
        """(count, H, A) float32 that sampling begins with."""
        horizon, joints = self.decoder_config.horizon, len(self.processor.joints)
        return source_noise(count, horizon, joints, self.sampling.noise_knots, generator).numpy()

    def _plan_tokens(self, plan: LatentPlan) -> np.ndarray:
        """(K, d) float32; zeros where there is no plan."""
        if plan.tokens.size:
            return np.asarray(plan.tokens, np.float32)
        return np.zeros((self.decoder_config.plan_tokens, self.decoder_config.plan_dim), np.float32)

    def _sampled(self, context: Context, committed_prefix: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        how = self.sampling
        return sample_in_context(
            self.decoder, self.processor.embodiment, context, committed_prefix, noise, how.steps, how.sampler
        )

    def _confidence(
        self, context: Context, committed_prefix: torch.Tensor, sampled: torch.Tensor, request: ChunkRequest
    ) -> float:
        """Of a chunk (1, H, A), by others in the same context."""
        if request.other_noise is None:
            return nan
        noise = torch.from_numpy(request.other_noise).to(sampled.device)
        count = len(noise)
        others = self._sampled(context.repeated(count), committed_prefix.expand(count, -1, -1), noise)
        free = torch.cat([sampled, others])[:, committed_prefix.shape[1] :]
        return self.confidence.of(agreement(free.cpu().numpy()))


def _pixels(
    observations: Sequence[Observation], cameras: tuple[str, ...], size: int, blind: bool
) -> torch.Tensor:
    """(B, cameras, 3, size, size); a missing camera is black, as are all of them where `blind`."""
    black = np.zeros((size, size, 3), np.uint8)

    def picture(observation: Observation, camera: str) -> np.ndarray:
        there = not blind and camera in observation.images
        return resized(np.asarray(observation.images[camera]), size) if there else black

    if not cameras:
        return torch.zeros(len(observations), 0, 3, size, size)
    rows = [to_pixels(np.stack([picture(o, camera) for camera in cameras])) for o in observations]
    return torch.cat([row.unsqueeze(0) for row in rows])  # `stack` would lay them out otherwise


def _stacked(rows: Iterable[np.ndarray]) -> torch.Tensor:
    """(B, …) of B arrays."""
    return torch.from_numpy(np.stack(list(rows)))


def _joined(batches: Iterable[np.ndarray]) -> torch.Tensor:
    """Batches as one."""
    return torch.from_numpy(np.concatenate(list(batches)))
