"""Who drives in an evaluation, as something that can be sent to another process; and loading it there."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError

if TYPE_CHECKING:
    from ideomotor.vla.policy import EpisodePolicy


@dataclass(frozen=True)
class PolicySpec:
    """Who drives, as something that can be sent to another process."""

    policy: Path | None  # checkpoint folder; None is the scripted expert
    robot: str = "so101"  # embodiment name or file
    steps: int = 0  # of the sampler; 0: as the checkpoint says
    sampler: str = ""  # as the checkpoint says if empty
    noise: float | None = None  # that chunks begin with; None: as the checkpoint says
    confidence: str = ""  # "told": calibrated as the checkpoint says, "agreement": not; empty: without

    def load(self) -> EpisodePolicy | None:
        """The policy in this process, None for the expert. UserError if it cannot be had so."""
        if self.policy is None:
            return None
        return load_policy(self.policy, self.robot, self.steps, self.sampler, self.noise, self.confidence)


@functools.lru_cache(maxsize=1)
def load_policy(
    folder: Path,
    robot: str,
    steps: int = 0,
    sampler: str = "",
    noise: float | None = None,
    confidence: str = "",
    parts: tuple[str, ...] = ("interpreter", "decoder"),
) -> EpisodePolicy:
    """A checkpoint for a robot, loaded once in each process, which from then on has one torch thread.

    `parts` are the networks that are loaded, see `PolicyNetworks.from_pretrained`; the rest is as in
    `PolicySpec`.

    Raises:
        UserError: the folder is missing or damaged, was made for another robot, or cannot be sampled so.
    """
    import torch

    from ideomotor.vla.networks import PolicyNetworks
    from ideomotor.vla.policy import EpisodePolicy

    torch.set_num_threads(1)
    networks = PolicyNetworks.from_pretrained(folder, parts=parts)
    networks.processor.check(load_embodiment(robot))
    how, calibrated = networks.sampling, networks.confidence
    if confidence == "agreement":
        calibrated = dataclasses.replace(calibrated, agreements=(), chances=())
    sampling = dataclasses.replace(
        how,
        steps=steps or how.steps,
        sampler=sampler or how.sampler,
        noise=how.noise if noise is None else noise,
    )
    return EpisodePolicy(
        dataclasses.replace(
            networks, sampling=sampling, confidence=calibrated, tells_confidence=bool(confidence)
        )
    )


@functools.lru_cache(maxsize=1)
def _fingerprint_here(policy_spec: PolicySpec) -> str:
    """The fingerprint in this process, read once as the policy is."""
    return fingerprint_of(policy_spec)


def fingerprint_of(policy_spec: PolicySpec) -> str:
    """What the rows of one run have in common: the robot, where it lives, and the bytes of the checkpoint."""
    embodiment = load_embodiment(policy_spec.robot)
    digest = hashlib.sha256(embodiment.fingerprint.encode())
    if embodiment.environment is not None:
        digest.update(repr(embodiment.environment).encode())
    if policy_spec.policy is not None:
        from ideomotor.vla.checkpoint_info import CONFIG, PROCESSOR, WEIGHTS

        for name in (CONFIG, PROCESSOR, WEIGHTS):
            digest.update((policy_spec.policy / name).read_bytes())
    if policy_spec.steps or policy_spec.sampler or policy_spec.noise is not None or policy_spec.confidence:
        digest.update(
            repr((policy_spec.steps, policy_spec.sampler, policy_spec.noise, policy_spec.confidence)).encode()
        )
    return digest.hexdigest()


def check_fingerprint(policy_spec: PolicySpec, fingerprint: str | None) -> None:
    """UserError if the policy here has another fingerprint."""
    if fingerprint is not None and fingerprint != _fingerprint_here(policy_spec):
        what, node = policy_spec.policy or policy_spec.robot, platform.node()
        raise UserError(f"policy: {what} is another one on {node} than where the evaluation was started")
