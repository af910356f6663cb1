"""The policies of one process of a launch: one for everything, and others for skills that have their own."""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.control.runtime.shared_state import text_of
from ideomotor.control.types import Policy, Watcher
from ideomotor.vla.planner.routing import LOADED, LoadedPolicies

if TYPE_CHECKING:
    from ideomotor.control.types import Observation


class ProcessConfig(Protocol):
    """What is needed of the configuration of a policy's processes."""

    @property
    def make_policy(self) -> Callable[[str], Policy]: ...
    @property
    def specialists(self) -> Mapping[str, Callable[[str], Policy]]: ...
    @property
    def seed(self) -> int: ...


class Looking(Protocol):
    """What has a tick, and pictures if they are asked for."""

    tick: int

    def observation(self) -> Observation | None: ...


class ProcessPolicies:
    """The policies of one process: the general one, and those of skills that have their own.

    What fits into memory is loaded before the process says that it lives, so before any torque; the rest when
    it is asked for, in another thread. One that cannot be loaded ends the process with a line that says why,
    and control then brings the arm home as after any death of a process.

    Args:
        part: the network that this process runs.
        config: what makes the policies.
        warm: asks a policy once, since the first answer is slow.

    Attributes:
        acting: the skill whose policy acts; empty: the general one.
        changed: since somebody set it to False.
        between: shows the acting policy frames between its chunks.
    """

    def __init__(self, part: str, config: ProcessConfig, warm: Callable[[Policy], object]) -> None:
        def load(make: Callable[[str], Policy]) -> Policy:
            policy = make(part)
            with contextlib.suppress(NoAnswer):
                warm(policy)
            return policy

        makes = {"": config.make_policy, **config.specialists}
        loads = {name: functools.partial(load, make) for name, make in makes.items()}
        self._policies, self._names, self._seed = LoadedPolicies(loads), frozenset(makes), config.seed
        self._switches, self.acting, self.changed = 0, "", False
        try:
            for name in list(config.specialists)[: LOADED - 1]:
                self._policies.get(name)
            general = self._policies.get("")
        except UserError as error:
            sys.exit(f"policy: {error}")
        general.reset(self._seed)
        self._acting: Policy | None = general  # None: another one is asked for, which is not there yet
        self.between = FramesBetween(general)

    def of(self, specialist: str) -> Policy | None:
        """The policy of a skill that has its own, else the general one; None while it is being loaded."""
        name = specialist if specialist in self._names else ""
        if name == self.acting and self._acting is not None:
            return self._acting
        self._acting, self.between = None, FramesBetween(None)
        try:
            policy = self._policies.ready(name)
        except UserError as error:
            sys.exit(f"policy: {name or 'general'}: {error}")
        if policy is None:
            return None
        self._switches += 1
        policy.reset(self._seed + self._switches)  # what it knew was of another moment
        self._acting, self.acting, self.changed = policy, name, True
        self.between = FramesBetween(policy)
        return policy

    def own(self, plan: np.ndarray) -> bool:
        """Whether the policy that acts made a plan; another one's tokens mean nothing to it."""
        return text_of(plan["specialist"]) == self.acting


class FramesBetween:
    """Shows a policy that looks back a frame every so many ticks, between its chunks."""

    def __init__(self, policy: Policy | None) -> None:
        self._watcher = policy if isinstance(policy, Watcher) else None
        self._every = policy.watch_every_ticks if isinstance(policy, Watcher) else 0
        self._last = -math.inf  # tick of the newest one

    def look(self, reader: Looking) -> None:
        """Copies pictures only where a frame is due."""
        if self._watcher is None or not self._every or 0 <= reader.tick - self._last < self._every:
            return
        if (observation := reader.observation()) is not None:
            self._last = reader.tick
            self._watcher.watch(observation)
