"""Several policies as one: each skill goes to the checkpoint that is best at it, loaded when first asked.

The hand-over from one to the next is the runtime's own, as from chunk to chunk: the next policy is given the
commands that are committed already and goes on from them. A latent plan is its own interpreter's; until the
next one is there, its decoder acts without.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Thread

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.timing import Timing, timing_of
from ideomotor.control.types import ActionChunk, LatentPlan, Observation, Policy
from ideomotor.vla.planner.skills import SKILLS

LOADED = 2  # policies in memory at a time

Load = Callable[[], Policy]


class LoadedPolicies:
    """Policies by the skill that each is for, of which only some are in memory at a time.

    Args:
        loads: {skill, or "" for the general one: what loads its policy}.
        most: that are kept in memory; the one that was asked for longest ago is let go first.
    """

    def __init__(self, loads: Mapping[str, Load], most: int = LOADED):
        self._loads, self._most = dict(loads), max(1, most)
        self._kept: OrderedDict[str, Policy] = OrderedDict()
        self._loading: _Loading | None = None

    @property
    def kept(self) -> Sequence[str]:
        """Whose policies are in memory, the newest last."""
        return tuple(self._kept)

    def get(self, name: str) -> Policy:
        """A policy; loaded here where it has to be. Whatever its `Load` raises."""
        if name not in self._kept:
            self._make_room()
            self._kept[name] = self._loads[name]()
        self._kept.move_to_end(name)
        return self._kept[name]

    def ready(self, name: str) -> Policy | None:
        """A policy; None while it is loaded in another thread. Whatever its `Load` raised."""
        if self._loading is not None and not self._loading.thread.is_alive():
            done, self._loading = self._loading, None
            if done.error is not None:
                raise done.error
            assert done.policy is not None
            self._make_room()
            self._kept[done.name] = done.policy
        if name not in self._kept:
            if self._loading is None:
                self._make_room()  # before, not after: it is memory that is short
                self._loading = _Loading(name, self._loads[name])
                self._loading.thread.start()
            return None
        self._kept.move_to_end(name)
        return self._kept[name]

    def _make_room(self) -> None:
        while len(self._kept) >= self._most:
            self._kept.popitem(last=False)


@dataclass
class _Loading:
    """A policy that is being loaded."""

    name: str
    load: Load
    policy: Policy | None = None
    error: Exception | None = None
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = Thread(target=self._run, name=f"loading {self.name}", daemon=True)

    def _run(self) -> None:
        try:
            self.policy = self.load()
        except Exception as error:  # raised where it is waited for
            self.error = error


class RoutedPolicy:
    """Implements `control.types.Policy` with the policies of several checkpoints.

    Args:
        general: acts where no specialist is asked for.
        specialists: {skill: what loads its policy}.
        embodiment: the robot's.
        most: policies that are kept in memory; the one that was asked longest ago is let go first.
        log: takes every switch, one line each.

    Attributes:
        specialist: skill whose policy acts now; empty: the general one.
    """

    def __init__(
        self, general: Load, specialists: Mapping[str, Load], embodiment: Embodiment, most: int = LOADED,
        log: Callable[[str], None] = lambda line: None,
    ):  # fmt: skip
        for name in specialists:
            if name not in SKILLS:
                raise unknown_name("policy", name, SKILLS)
        self._names = frozenset(specialists)
        self._policies = LoadedPolicies({"": general, **specialists}, most)
        self._embodiment, self._log = embodiment, log
        self._seed, self._switches, self._foreign_until = 0, 0, -np.inf
        self.specialist = ""
        self._active = self._get("")
        self._timing = timing_of(self._active, embodiment)

    @property
    def timing(self) -> Timing:
        """Of all of them, which is the same."""
        return self._timing

    @property
    def loaded(self) -> Sequence[str]:
        """Whose policies are in memory, the newest last."""
        return self._policies.kept

    def route(self, specialist: str) -> None:
        """From now on a skill's own policy acts; the general one where it has none.

        Raises:
            UserError: it cannot be loaded, or is to be asked at other times than the general one.
        """
        name = specialist if specialist in self._names else ""
        if name == self.specialist:
            return
        self._active = self._get(name)
        self.specialist = name
        self._switches += 1
        self._active.reset(self._seed + self._switches)
        self._foreign_until = np.inf
        self._log(f"policy       {name or 'general'}")

    def reset(self, seed: int) -> None:
        """See `Policy`."""
        self._seed, self._switches, self._foreign_until = seed, 0, -np.inf
        self.route("")
        self._active.reset(seed)

    def plan(self, observation: Observation) -> LatentPlan:
        """See `Policy`."""
        plan = self._active.plan(observation)
        self._foreign_until = min(self._foreign_until, plan.observed_at)
        return plan

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        """See `Policy`; a plan of another interpreter is left out."""
        if plan.observed_at < self._foreign_until:
            plan = LatentPlan(np.empty((0, 0), np.float32), plan.observed_at)
        return self._active.act(observation, plan, committed_prefix)

    def _get(self, name: str) -> Policy:
        policy = self._policies.get(name)
        if name and (timing := timing_of(policy, self._embodiment)) != self._timing:
            raise UserError(f"policy {name}: timing {timing}, expected the general one's {self._timing}")
        return policy


def routes_of(chosen: str | None) -> tuple[str | None, dict[str, str]]:
    """What `--policy` says: the general policy (None: the bundled one), and {skill: its own}.

    Args:
        chosen: "DIR", or "DIR,skill=DIR,…"; either may be left out.

    Raises:
        UserError: a skill is unknown or named twice, or two policies are general.
    """
    general: str | None = None
    routes: dict[str, str] = {}
    for part in chosen.split(",") if chosen else ():
        name, equals, where = part.partition("=")
        if not equals or "/" in name or ":" in name:
            if general is not None:
                raise UserError(f"policy: got {general!r} and {part!r}, expected one without skill=")
            general = part
        elif name not in SKILLS:
            raise unknown_name("policy", name, SKILLS)
        elif name in routes or not where:
            raise UserError(f"policy: got {part!r}, expected skill=DIR once for each skill")
        else:
            routes[name] = where
    return general, routes
