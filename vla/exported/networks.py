"""Both networks of an exported policy, without torch: as `vla.networks.PolicyNetworks` of a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np

from ideomotor.control.timing import Timing
from ideomotor.control.types import Observation
from ideomotor.vla.checkpoint_info import PROCESSOR
from ideomotor.vla.decoder.confidence import ConfidenceConfig, agreement
from ideomotor.vla.decoder.config import DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.exported.format import CONTEXT, STEP, ExportedConfig, read_exported
from ideomotor.vla.exported.interpreter import ExportedInterpreter, load_interpreter
from ideomotor.vla.exported.noise import TorchGenerator, source_noise
from ideomotor.vla.exported.pixels import pixels_of
from ideomotor.vla.exported.runtimes import Graph, open_graph
from ideomotor.vla.exported.samplers import sample
from ideomotor.vla.processor import Processor, load_processor
from ideomotor.vla.requests import ChunkRequest, PlanDraft, SampledChunk

BOTH = ("interpreter", "decoder")


@dataclass(frozen=True, eq=False)
class ExportedDecoder:
    """The decoder's graphs."""

    config: ExportedConfig
    context: Graph
    step: Graph

    def encode(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What all steps share, by the names of the step's inputs."""
        summary, *pairs = self.context(inputs)
        return {"summary": summary} | {f"kv{index}": each for index, each in enumerate(pairs)}

    def sampled(
        self,
        context: dict[str, np.ndarray],
        committed_prefix: np.ndarray,
        noise: np.ndarray,
        how: SamplingConfig,
    ) -> np.ndarray:
        """A chunk (1, H, A) normalised; see `samplers.sample`."""
        is_committed = np.zeros(noise.shape[:2], np.float32)
        is_committed[:, : committed_prefix.shape[1]] = 1.0

        def predict(x: np.ndarray, time: float) -> np.ndarray:
            given = {"actions": x, "is_committed": is_committed, "time": np.array([time], np.float32)}
            return self.step(given | context)[0]

        return sample(predict, committed_prefix, noise, how.steps, how.sampler)


@dataclass(frozen=True, eq=False)
class ExportedNetworks:
    """As `vla.requests.Networks` has it; a part that was not loaded is None."""

    config: ExportedConfig
    interpreter: ExportedInterpreter | None
    decoder: ExportedDecoder | None
    processor: Processor
    sampling: SamplingConfig
    confidence: ConfidenceConfig
    tells_confidence: bool = False

    @classmethod
    def from_exported(cls, folder: Path, parts: Sequence[str] = BOTH, threads: int = 1) -> ExportedNetworks:
        """Opens the graphs of the parts given.

        Raises:
            UserError: naming the file that is missing or damaged, or the extra that is.
        """
        config, interpreter, decoder = read_exported(folder), None, None
        if "interpreter" in parts:
            interpreter = load_interpreter(folder, config, threads)
        if "decoder" in parts:
            graphs = [open_graph(config.graph(folder, n), config.runtime, threads) for n in (CONTEXT, STEP)]
            decoder = ExportedDecoder(config, *graphs)
        processor = load_processor(folder / PROCESSOR)
        return cls(config, interpreter, decoder, processor, config.sampling, config.confidence)

    @property
    def timing(self) -> Timing:
        """When they are asked, and what they can be given."""
        return self.config.timing

    @property
    def decoder_config(self) -> DecoderConfig:
        """Of the decoder, loaded or not."""
        return self.config.decoder

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those that either network can be shown, the decoder's first."""
        return tuple(dict.fromkeys((*self.config.seen_by_decoder, *self.config.seen_by_interpreter)))

    def generator(self, seed: int) -> TorchGenerator:
        """What `noise` draws from: the numbers that the checkpoint would draw."""
        return TorchGenerator(seed)

    def noise(self, count: int, generator: TorchGenerator) -> np.ndarray:
        """(count, H, A) float32 that sampling begins with."""
        horizon, joints = self.decoder_config.horizon, len(self.processor.joints)
        return source_noise(count, horizon, joints, self.sampling.noise_knots, generator)

    def plans(self, observations: Sequence[Observation], without: frozenset[str]) -> list[PlanDraft]:
        """What to do in several episodes, one after the other: the same for each as alone."""
        if self.interpreter is None:
            raise RuntimeError("the interpreter is not loaded in this process")
        blind, stateless = "early" in without, "state" in without
        return [self.interpreter.plan(observation, blind, stateless) for observation in observations]

    def chunks(self, requests: Sequence[ChunkRequest], without: frozenset[str]) -> list[SampledChunk]:
        """The next chunks of several episodes, one after the other."""
        return [self._chunk(request, without) for request in requests]

    def _chunk(self, request: ChunkRequest, without: frozenset[str]) -> SampledChunk:
        if self.decoder is None:
            raise RuntimeError("the decoder is not loaded in this process")
        processor, origin = self.processor, request.origin
        context = self.decoder.encode(self.inputs(request, without))
        prefix = processor.relative(request.committed_prefix, origin)[None]
        noise = np.float32(self.sampling.noise) * request.noise
        sampled = self.decoder.sampled(context, prefix, noise, self.sampling)
        confidence = nan
        if request.other_noise is not None:
            others = [
                self.decoder.sampled(context, prefix, noise[None], self.sampling)
                for noise in request.other_noise
            ]
            free = np.concatenate([sampled, *others])[:, prefix.shape[1] :]
            confidence = self.confidence.of(agreement(free))
        return SampledChunk(processor.absolute(sampled[0], origin), confidence)

    def inputs(self, request: ChunkRequest, without: frozenset[str]) -> dict[str, np.ndarray]:
        """What the context graph is given for a chunk."""
        shape, processor, observation = self.decoder_config, self.processor, request.observation
        seen = self.config.seen_by_decoder
        there = {name: "vision" not in without and name in observation.images for name in seen}
        tokens = np.asarray(request.plan.tokens, np.float32)
        planned = "plan" not in without and tokens.size > 0
        if not tokens.size:
            tokens = np.zeros((shape.plan_tokens, shape.plan_dim), np.float32)
        given = {
            "plan": tokens[None],
            "has_plan": _flag(planned),
            "state": processor.state(np.asarray(observation.state, float), request.origin)[None],
            "has_state": _flag("state" not in without),
            "past_commands": processor.past_commands(request.past_commands, request.origin)[None],
            "has_past_commands": _flag(request.known and self.sampling.past_commands),
        }
        if seen:
            given["pixels"] = pixels_of(observation, seen, shape.image_size, there)
            given["has_camera"] = np.array([[float(there[name]) for name in seen]], np.float32)
        return given


def _flag(value: bool) -> np.ndarray:
    return np.array([float(value)], np.float32)
