"""The dual-system policy in one episode: an interpreter that plans and a decoder that acts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.timing import Timing
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.vla.decoder.smoothing import ORDER, smooth
from ideomotor.vla.input_check import InputCheck, newest
from ideomotor.vla.requests import ChunkRequest, Networks, PlanDraft, SampledChunk

if TYPE_CHECKING:
    from ideomotor.vla.networks import PolicyNetworks

# What a policy can be run without, beside each of its cameras. The first three are the places of fusion:
# early in the interpreter, intermediate in the decoder's attention to the plan, late in the decoder's vision.
SENSES: dict[str, str] = {
    "early": "the interpreter's pictures, read with the instruction",
    "plan": "the latent plan",
    "vision": "the decoder's own pictures",
    "language": "the instruction",
    "state": "the joint state as the networks' input; commands stay relative to it",
}
OTHER_SAMPLES = 0x5EED  # added to the seed for the samples that are compared, not executed
LOST = 0.35  # [rad or m]: a robot farther than this from its last command did not follow it
N = TypeVar("N", bound=Networks)  # in torch, or exported


class EpisodePolicy(Generic[N]):
    """Implements `control.types.Policy`: what the networks need to know of one episode.

    Args:
        networks: may serve other episodes beside this one.
        without: senses that it is run without, see `run_without`.
        seed: of the episode, until `reset`.

    Attributes:
        without: the senses that are missing, those that were never there in training among them.
    """

    def __init__(self, networks: N, without: Iterable[str] = (), seed: int = 0):
        self.networks = networks
        self.run_without(without)
        self.reset(seed)

    @classmethod
    def from_pretrained(
        cls, source: Path | str, revision: str | None = None
    ) -> EpisodePolicy[PolicyNetworks]:
        """With the networks of a checkpoint; see `PolicyNetworks.from_pretrained`."""
        from ideomotor.vla.networks import PolicyNetworks

        return EpisodePolicy(PolicyNetworks.from_pretrained(source, revision))

    @property
    def timing(self) -> Timing:
        """When it is to be asked, and what it can be given."""
        return self.networks.timing

    def reset(self, seed: int) -> None:
        """Starts an episode: all randomness follows from `seed`."""
        self._generator = self.networks.generator(seed)
        self._others = self.networks.generator(seed + OTHER_SAMPLES)
        self._text = ""
        self._plans = 0
        self._text_words, self._plan_words = frozenset[int](), frozenset[int]()  # words ahead, by then
        self._commands = np.zeros((0, 0))  # of the ticks up to `_commands_until`
        self._commands_until = 0
        self._input = InputCheck(self.networks.cameras, self.networks.processor)

    def run_without(self, senses: Iterable[str]) -> None:
        """From now on runs as if these senses were missing, and those it was trained without.

        Raises:
            UserError: neither a key of SENSES nor a camera of the decoder.
        """
        senses, known = frozenset(senses), (*SENSES, *self.networks.decoder_config.cameras)
        for name in sorted(senses.difference(known)):
            raise unknown_name("without", name, known)
        self.without = senses | frozenset(self.networks.sampling.without)

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
            plan: the newest plan, of this or an earlier moment; one without tokens where there is none.
            committed_prefix: (d, A) commands already committed from this tick on.
        """
        return chunks([self], [observation], [plan], [committed_prefix])[0]

    def admit(self, observation: Observation) -> Observation:
        """Checked (see `InputCheck`), and without the cameras and the words that it is run without."""
        observation = self._input.admit(observation)
        if not self.without:
            return observation
        images = {name: image for name, image in observation.images.items() if name not in self.without}
        words = "" if "language" in self.without else observation.instruction
        return replace(observation, images=images, instruction=words)

    def finish_plan(self, draft: PlanDraft, describe: bool | None = None) -> LatentPlan:
        """A plan with its text, which is written anew where `plan` says."""
        every = self.networks.sampling.describe_every
        changed = draft.words == self._plan_words != self._text_words
        due = self._plans == 0 or changed or (every > 0 and self._plans % every == 0)
        if due if describe is None else describe:
            self._text, self._text_words = draft.write(), draft.words
        self._plan_words = draft.words
        self._plans += 1
        return replace(draft.plan, text=self._text)

    def request(
        self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray
    ) -> ChunkRequest:
        """What the next chunk is made from; takes the episode's next random numbers.

        Args:
            observation: as `admit` gives it.
            plan, committed_prefix: as in `act`.

        Raises:
            UserError: a prefix of other joints, or one that leaves nothing to decide.
        """
        networks = self.networks
        committed_prefix = self._checked(committed_prefix)
        past, known = self._past_commands(observation)
        origin = networks.processor.origin_of(np.asarray(observation.state, float), past)
        others = networks.confidence.samples - 1 if networks.tells_confidence else 0
        # Compared chunks are drawn apart, so that the executed one stays the same to the bit.
        other_noise = networks.noise(others, self._others) if others else None
        noise = networks.noise(1, self._generator)
        return ChunkRequest(observation, plan, committed_prefix, past, known, origin, noise, other_noise)

    def finish_chunk(self, request: ChunkRequest, sampled: SampledChunk) -> ActionChunk:
        """A chunk as it is executed: smoothed, behind what is committed; and remembers it."""
        networks, observation, committed_prefix = self.networks, request.observation, request.committed_prefix
        free = sampled.actions[len(committed_prefix) :]
        if networks.sampling.smoothing > 0:
            rest = self._at_rest(np.asarray(observation.state, float), ORDER)
            before = np.concatenate([request.past_commands if request.known else rest, committed_prefix])[
                -ORDER:
            ]
            free = smooth(free, before, networks.sampling.smoothing)
        actions = np.concatenate([committed_prefix, free.astype(np.float32)])
        self._commands = np.concatenate([request.past_commands, actions])
        self._commands_until = observation.tick + len(actions)
        return ActionChunk(
            actions=actions,
            hz=float(networks.processor.control_hz),
            starts_at=observation.tick,
            observed_at=observation.time,
            plan_observed_at=request.plan.observed_at,
            confidence=sampled.confidence,
        )

    def recall(self, observation: Observation) -> None:
        """Takes what was sent before an observation for its own commands, when another policy drives."""
        if observation.past_commands is not None:
            self._commands, self._commands_until = np.asarray(observation.past_commands), observation.tick

    def _checked(self, committed_prefix: np.ndarray) -> np.ndarray:
        """(d, A) float32."""
        horizon, joints = self.networks.decoder_config.horizon, len(self.networks.processor.joints)
        committed_prefix = np.asarray(committed_prefix, np.float32)
        if committed_prefix.size and committed_prefix.shape[1:] != (joints,):
            raise UserError(f"committed_prefix: shape {committed_prefix.shape}, expected (ticks, {joints})")
        committed_prefix = committed_prefix.reshape(-1, joints)
        if len(committed_prefix) >= horizon:
            raise UserError(
                f"committed_prefix: {len(committed_prefix)} ticks, expected fewer than the chunk's {horizon}"
            )
        return committed_prefix

    def _past_commands(self, observation: Observation) -> tuple[np.ndarray, bool]:
        """(P, A) commands before this observation, as they were sent or else as this policy meant them, and
        whether they led to where the robot is."""
        processor, past = self.networks.processor, observation.past_commands
        if processor.origin == "command" and processor.targets and past is not None:
            return newest(past, self.timing.past_command_ticks, len(processor.joints)), True
        return self._own_past(observation.tick, np.asarray(observation.state, float))

    def _own_past(self, tick: int, state: np.ndarray) -> tuple[np.ndarray, bool]:
        """(P, A) commands of the ticks before, and whether they are known. At the start: to rest."""
        length = self.timing.past_command_ticks
        rest = self._at_rest(state, length)
        if len(self._commands) == 0:
            return rest, True
        first = self._commands_until - len(self._commands)
        if not first + length <= tick <= self._commands_until:
            return rest, False
        past = self._commands[tick - length - first : tick - first]
        followed = bool(np.abs(past[-1] - state).max() < LOST) if self.networks.processor.targets else True
        return past, followed

    def _at_rest(self, state: np.ndarray, ticks: int) -> np.ndarray:
        """(ticks, A) commands that leave a robot in its state where it is."""
        if self.networks.processor.targets:
            return np.repeat(state[None], ticks, axis=0)
        return np.zeros((ticks, len(self.networks.processor.joints)))


def plans(
    policies: Sequence[EpisodePolicy], observations: Sequence[Observation], describe: bool | None = None
) -> list[LatentPlan]:
    """What the policies of several episodes plan, as one batch of the same networks and senses.

    Args:
        policies, observations: one of each for every episode.
        describe: as in `EpisodePolicy.plan`.
    """
    admitted = [policy.admit(o) for policy, o in zip(policies, observations, strict=True)]
    drafts = policies[0].networks.plans(admitted, policies[0].without)
    return [policy.finish_plan(draft, describe) for policy, draft in zip(policies, drafts, strict=True)]


def chunks(
    policies: Sequence[EpisodePolicy],
    observations: Sequence[Observation],
    latent: Sequence[LatentPlan],
    committed_prefixes: Sequence[np.ndarray],
) -> list[ActionChunk]:
    """The next chunks of several episodes, as `plans`.

    Args:
        policies, observations, latent, committed_prefixes: one of each for every episode; prefixes of one
            length.
    """
    every = zip(policies, observations, latent, committed_prefixes, strict=True)
    requests = [
        policy.request(policy.admit(o), plan, committed_prefix) for policy, o, plan, committed_prefix in every
    ]
    sampled = policies[0].networks.chunks(requests, policies[0].without)
    drawn = zip(policies, requests, sampled, strict=True)
    return [policy.finish_chunk(request, chunk) for policy, request, chunk in drawn]
