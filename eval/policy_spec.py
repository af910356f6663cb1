"""Who drives in an evaluation, as something that can be sent to another process; and loading it there."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import Timing
from ideomotor.control.types import Policy
from ideomotor.vla.needed import EVERYTHING, Needed

if TYPE_CHECKING:
    from ideomotor.vla.exported.networks import ExportedNetworks
    from ideomotor.vla.networks import PolicyNetworks
    from ideomotor.vla.policy import EpisodePolicy

    AnyNetworks = PolicyNetworks | ExportedNetworks

BOTH = ("interpreter", "decoder")  # the parts of a policy
AS_IT_IS = (0, "", None, "")  # steps, sampler, noise and confidence of a checkpoint as it says


class DrivingPolicy(Policy, Protocol):
    """A policy that says when it is to be asked, and that can be run without some of its senses."""

    @property
    def timing(self) -> Timing: ...

    def run_without(self, senses: Iterable[str]) -> None:
        """UserError for a sense that it cannot be run without."""
        ...


class PolicySource(Protocol):
    """Where a policy is had from that is no checkpoint of ours: hashable, and can be sent to a process.

    Made and checked by `launch`, such as a policy of LeRobot's (launch/serving/lerobot_source.py).
    """

    @property
    def timing(self) -> Timing:
        """When it is to be asked."""
        ...

    @property
    def trained_on(self) -> str:
        """What it learned from, in words; empty: nobody knows."""
        ...

    def load(self, parts: tuple[str, ...] = BOTH) -> DrivingPolicy:
        """The policy, for this process; asked for the parts given alone. UserError if it cannot be had."""
        ...

    def fingerprint(self) -> bytes:
        """What another policy would have otherwise."""
        ...


@runtime_checkable
class RemoteCheckpoint(PolicySource, Protocol):
    """A checkpoint of ours that is asked over a network: it can be sampled otherwise, as one here."""

    @property
    def checkpoint_fingerprint(self) -> str:
        """`checkpoint_fingerprint` of it, where it lies."""
        ...

    def sampled(self, steps: int, sampler: str, noise: float | None, confidence: str) -> PolicySource: ...


@dataclass(frozen=True)
class PolicySpec:
    """Who drives, as something that can be sent to another process."""

    policy: Path | PolicySource | None  # checkpoint folder, or another's; None is the scripted expert
    robot: str = "so101"  # embodiment name or file
    steps: int = 0  # of the sampler; 0: as the checkpoint says
    sampler: str = ""  # as the checkpoint says if empty
    noise: float | None = None  # that chunks begin with; None: as the checkpoint says
    confidence: str = ""  # "told": calibrated as the checkpoint says, "agreement": not; empty: without
    needed: Needed = EVERYTHING  # what of a checkpoint is loaded and computed

    def load(self, parts: tuple[str, ...] = BOTH) -> DrivingPolicy | None:
        """The policy in this process, None for the expert.

        Args:
            parts: the networks that are loaded.

        Raises:
            UserError: it cannot be had so.
        """
        if self.policy is None:
            return None
        if not isinstance(self.policy, Path):
            how = self.steps, self.sampler, self.noise, self.confidence
            if self.needed != EVERYTHING:
                raise UserError("cameras, text: of a checkpoint that is loaded here, got another policy")
            if isinstance(self.policy, RemoteCheckpoint):
                return load_source(self.policy if how == AS_IT_IS else self.policy.sampled(*how), parts)
            if how != AS_IT_IS:
                raise UserError("policy: of others has neither a sampler of ours nor confidence")
            return load_source(self.policy, parts)
        how = self.steps, self.sampler, self.noise, self.confidence
        return load_policy(self.policy, self.robot, *how, parts, self.needed)


@functools.lru_cache(maxsize=1)
def load_source(source: PolicySource, parts: tuple[str, ...] = BOTH) -> DrivingPolicy:
    """A policy of others, loaded once in each process. UserError if it cannot be had."""
    return source.load(parts)


@functools.lru_cache(maxsize=1)
def load_policy(
    folder: Path,
    robot: str,
    steps: int = 0,
    sampler: str = "",
    noise: float | None = None,
    confidence: str = "",
    parts: tuple[str, ...] = BOTH,
    needed: Needed = EVERYTHING,
) -> EpisodePolicy:
    """A checkpoint for a robot, loaded once in each process, which from then on has one torch thread.

    `parts` are the networks that are loaded, and `needed` is what of them, see
    `PolicyNetworks.from_pretrained`; the rest is as in `PolicySpec`.

    Raises:
        UserError: the folder is missing or damaged, was made for another robot, or cannot be sampled so.
    """
    from ideomotor.vla.policy import EpisodePolicy

    networks = load_networks(folder, parts, needed=needed)
    networks.processor.check(load_embodiment(robot))
    return EpisodePolicy(sampled_so(networks, steps, sampler, noise, confidence))


def forget_loaded() -> None:
    """Lets go of what `load_policy` and `load_source` keep, for whoever bounds memory by other means."""
    load_policy.cache_clear()
    load_source.cache_clear()


def load_networks(
    folder: Path, parts: tuple[str, ...] = BOTH, threads: int = 1, needed: Needed = EVERYTHING
) -> AnyNetworks:
    """A checkpoint's networks in torch, or an exported policy's without.

    Args:
        folder: of either.
        parts: that are loaded.
        threads: of each network.
        needed: what of them. An exported policy has nothing else to begin with.

    Raises:
        UserError: naming the file that is missing or damaged, or the extra that is; or a camera that the
            policy has not.
    """
    from ideomotor.vla.checkpoint_info import is_exported

    if is_exported(folder):
        from ideomotor.vla.exported.networks import ExportedNetworks

        exported = ExportedNetworks.from_exported(folder, parts, threads)
        needed.check_exported(exported.config.cameras, exported.config.text)
        return exported
    import torch

    from ideomotor.vla.networks import PolicyNetworks

    torch.set_num_threads(threads)
    return PolicyNetworks.from_pretrained(folder, parts=parts, needed=needed)


def sampled_so(
    networks: AnyNetworks,
    steps: int = 0,
    sampler: str = "",
    noise: float | None = None,
    confidence: str = "",
) -> AnyNetworks:
    """The same networks, sampled otherwise; the arguments are those of `PolicySpec`.

    Raises:
        UserError: they cannot be sampled so.
    """
    how, calibrated = networks.sampling, networks.confidence
    if confidence == "agreement":
        calibrated = dataclasses.replace(calibrated, agreements=(), chances=())
    sampling = dataclasses.replace(
        how,
        steps=steps or how.steps,
        sampler=sampler or how.sampler,
        noise=how.noise if noise is None else noise,
    )
    return dataclasses.replace(
        networks, sampling=sampling, confidence=calibrated, tells_confidence=bool(confidence)
    )


@functools.lru_cache(maxsize=1)
def _fingerprint_here(policy_spec: PolicySpec) -> str:
    """The fingerprint in this process, read once as the policy is."""
    return fingerprint_of(policy_spec)


def fingerprint_of(policy_spec: PolicySpec) -> str:
    """What the rows of one run have in common: the robot, where it lives, and the bytes of the checkpoint."""
    policy = policy_spec.policy
    if isinstance(policy, RemoteCheckpoint):
        found = policy.checkpoint_fingerprint
    else:
        found = checkpoint_fingerprint(policy, load_embodiment(policy_spec.robot))
    how: tuple[object, ...] = (
        policy_spec.steps,
        policy_spec.sampler,
        policy_spec.noise,
        policy_spec.confidence,
    )
    how += (policy_spec.needed,) if policy_spec.needed != EVERYTHING else ()
    return found if how == AS_IT_IS else hashlib.sha256(f"{found} {how}".encode()).hexdigest()


def checkpoint_fingerprint(policy: Path | PolicySource | None, embodiment: Embodiment) -> str:
    """Of a robot, where it lives, and the bytes of a checkpoint's folder; None is the expert."""
    digest = hashlib.sha256(embodiment.fingerprint.encode())
    if embodiment.environment is not None:
        digest.update(repr(embodiment.environment).encode())
    if policy is not None and not isinstance(policy, Path):
        digest.update(policy.fingerprint())
    elif policy is not None:
        from ideomotor.vla.checkpoint_info import weight_files

        for name in weight_files(policy):
            digest.update((policy / name).read_bytes())
    return digest.hexdigest()


def check_fingerprint(policy_spec: PolicySpec, fingerprint: str | None) -> None:
    """UserError if the policy here has another fingerprint."""
    if fingerprint is not None and fingerprint != _fingerprint_here(policy_spec):
        what, node = policy_spec.policy or policy_spec.robot, platform.node()
        raise UserError(f"policy: {what} is another one on {node} than where the evaluation was started")
