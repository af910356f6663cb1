"""A checkpoint that several clients ask: its networks in a thread each, and an episode for every client.

Plans and chunks are made in threads of their own, as a launch makes them in processes of their own: writing a
readable plan takes as long as several chunks, and must not hold them up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import Timing
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.eval.policy_spec import checkpoint_fingerprint, load_networks, sampled_so
from ideomotor.launch.serving.batching import Batcher, Network, Request
from ideomotor.launch.serving.fields import Fields
from ideomotor.launch.serving.messages import VERSION, PolicySizes
from ideomotor.vla.checkpoint_info import is_exported, read_facts
from ideomotor.vla.exported.networks import ExportedNetworks
from ideomotor.vla.needed import EVERYTHING, Needed
from ideomotor.vla.policy import EpisodePolicy, chunks, plans

if TYPE_CHECKING:
    from ideomotor.eval.policy_spec import AnyNetworks

PLAN, CHUNK = "plan", "chunk"
MAX_STEPS = 50  # of the sampler, that a client may ask for


@dataclass(frozen=True)
class ServedPolicy:
    """Networks, and what is reported of them to clients."""

    name: str  # how results call it
    networks: AnyNetworks
    embodiment: Embodiment
    timing: Timing
    fingerprint: str  # of the checkpoint and its robot, as evaluations have it
    dataset: str  # that it was trained on
    cameras: tuple[str, ...]
    has_decoder: bool

    @property
    def sizes(self) -> PolicySizes:
        """What observations and plans must look like."""
        processor, decoder = self.networks.processor, self.networks.decoder_config
        return PolicySizes(
            cameras=tuple(camera.name for camera in self.embodiment.cameras),
            joints=len(processor.joints),
            state=len(processor.state_mean),
            past_commands=self.timing.past_command_ticks,
            horizon=decoder.horizon,
            plan=(decoder.plan_tokens, decoder.plan_dim),
        )

    def metadata(self, max_message: int) -> dict[str, Any]:
        """What a connection begins with: for openpi's clients, and under `ideomotor` for ours."""
        timing, processor = self.timing, self.networks.processor
        return {
            "policy": self.name,
            "action_horizon": self.networks.decoder_config.horizon,
            "action_hz": timing.control_hz,
            "joint_names": list(processor.joints),
            "cameras": list(self.cameras),
            "ideomotor": {
                "version": VERSION,
                "robot": processor.embodiment,
                "robot_fingerprint": processor.fingerprint,
                "fingerprint": self.fingerprint,
                "dataset": self.dataset,
                "cameras": list(self.cameras),
                "horizon": self.networks.decoder_config.horizon,
                "calibrated": bool(self.networks.confidence.agreements),
                "has_decoder": self.has_decoder,
                "max_message": max_message,
                "timing": {
                    "control_hz": timing.control_hz,
                    "plan_every_ticks": timing.plan_every_ticks,
                    "act_every_ticks": timing.act_every_ticks,
                    "max_prefix_ticks": timing.max_prefix_ticks,
                    "past_command_ticks": timing.past_command_ticks,
                    "max_plan_age_s": timing.max_plan_age_s,
                },
            },
        }


def load_served(
    folder: Path,
    name: str,
    robot: str = "",
    device: str = "cpu",
    interpreter_only: bool = False,
    threads: int = 1,
    needed: Needed = EVERYTHING,
) -> ServedPolicy:
    """A checkpoint, ready to be asked: each network has been run once.

    Args:
        robot: name or file of the robot; empty: the one that the checkpoint names.
        device: "cpu" or "cuda".
        interpreter_only: for clients that decode beside the robot.
        threads: of each network, where it is exported; torch's are set in the thread that runs it.
        needed: what of a checkpoint is loaded and computed.

    Raises:
        UserError: no such checkpoint or device, or it was made for another robot.
    """
    facts = read_facts(folder)
    embodiment = load_embodiment(robot or facts.processor.embodiment)
    facts.check(embodiment)
    exported = is_exported(folder)
    if device.startswith("cuda"):
        _check_cuda(device, exported)
    parts = ("interpreter",) if interpreter_only else ("interpreter", "decoder")
    served = ServedPolicy(
        name=name,
        networks=_on(load_networks(folder, parts, threads, needed), device),
        embodiment=embodiment,
        timing=facts.timing,
        fingerprint=_fingerprint(folder, embodiment, needed),
        dataset=facts.processor.dataset,
        cameras=needed.of(facts.cameras),
        has_decoder=not interpreter_only,
    )
    _warm_up(served)
    return served


def _fingerprint(folder: Path, embodiment: Embodiment, needed: Needed) -> str:
    """Another one where it is shown less: evaluations over a network must not be taken for those of all."""
    whole = checkpoint_fingerprint(folder, embodiment)
    return whole if needed.cameras is None else hashlib.sha256(f"{whole} {needed}".encode()).hexdigest()


class ClientEpisode:
    """What the server remembers of one client's episode: two halves, each used by its network's thread alone.

    Resetting makes new ones, so that requests under way keep those that they began with.
    """

    def __init__(self, served: ServedPolicy) -> None:
        self._served = served
        self._without: list[str] = []
        self._begin(served.networks, 0)

    def reset(self, fields: Fields) -> None:
        """Begins an episode as a `reset` message asks for; UserError for what the policy cannot do."""
        seed = fields.whole("seed")
        without = fields.texts("without")
        steps, sampler = fields.whole("steps", default=0), fields.text("sampler", default="")
        noise = fields.number("noise") if "noise" in fields else None
        confidence = fields.text("confidence", default="")
        fields.end()
        if steps > MAX_STEPS:
            raise fields.error("steps", str(steps), f"at most {MAX_STEPS}")
        if confidence not in ("", "told", "agreement"):
            raise fields.error("confidence", repr(confidence), "told, agreement or nothing")
        networks = sampled_so(self._served.networks, steps, sampler, noise, confidence)
        EpisodePolicy(networks, without)  # an unknown sense is refused before anything changes
        self._without = without
        self._begin(networks, seed)

    def _begin(self, networks: AnyNetworks, seed: int) -> None:
        self._planner = EpisodePolicy(networks, self._without, seed)
        self._actor = EpisodePolicy(networks, self._without, seed)
        how = repr((networks.sampling, networks.confidence, networks.tells_confidence))
        self._how = (how, self._planner.without)

    def plan_request(self, client: Hashable, observation: Observation, **how: Any) -> Request:
        """Asks for a plan; `how` is the rest of a `Request`."""
        return Request(client, self._how, (self._planner, observation), **how)

    def chunk_request(
        self,
        client: Hashable,
        observation: Observation,
        plan: LatentPlan,
        committed_prefix: np.ndarray,
        **how: Any,
    ) -> Request:
        """Asks for a chunk."""
        alike = (*self._how, len(committed_prefix))
        return Request(client, alike, (self._actor, observation, plan, committed_prefix), **how)


def batchers(
    served: ServedPolicy,
    observers: Callable[[str], Callable[[int, str], None]],
    max_batch: int,
    wait_s: float,
    threads: int,
) -> dict[str, Batcher]:
    """{PLAN, CHUNK: the thread that makes them}, not started; without a decoder plans alone."""

    def begin() -> None:
        if not isinstance(served.networks, ExportedNetworks):
            import torch

            torch.set_num_threads(threads)

    networks = [Network(PLAN, _check, _plans, begin)]
    if served.has_decoder:
        networks.append(Network(CHUNK, _check, _chunks, begin))
    return {
        network.name: Batcher(network, max_batch, wait_s, observers(network.name)) for network in networks
    }


def _on(networks: AnyNetworks, device: str) -> AnyNetworks:
    return networks if isinstance(networks, ExportedNetworks) else networks.to(device)


def _check_cuda(device: str, exported: bool) -> None:
    if exported:
        raise UserError(f"device: got {device!r}, but an exported policy runs on the CPU; expected cpu")
    import torch

    if not torch.cuda.is_available():
        raise UserError(f"device: got {device!r}, but torch finds no CUDA device here; expected cpu")


def _check(given: Any) -> None:
    given[0].admit(given[1])


def _plans(given: Sequence[Any]) -> list[LatentPlan]:
    policies, observations = zip(*given, strict=True)
    return plans(policies, observations)


def _chunks(given: Sequence[Any]) -> Sequence[Any]:
    policies, observations, latent, committed_prefixes = zip(*given, strict=True)
    return chunks(policies, observations, latent, committed_prefixes)


def _warm_up(served: ServedPolicy) -> None:
    """What is slow the first time, before anyone waits for it."""
    processor, policy = served.networks.processor, EpisodePolicy(served.networks)
    shapes = {camera.name: (camera.height, camera.width, 3) for camera in served.embodiment.cameras}
    images = {name: np.zeros(shapes[name], np.uint8) for name in served.cameras}
    state = np.array(processor.state_mean, np.float32)
    seen = Observation(0.0, 0, images, state, "begin")
    plan = policy.plan(seen)
    if served.has_decoder:
        policy.act(seen, replace(plan), np.empty((0, len(processor.joints))))
