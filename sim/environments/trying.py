"""Tries an environment that an embodiment file describes, as a newcomer would: each thing by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import Command
from ideomotor.sim.environments.external import ExternalWorld, check_seeding, section

STEPS = 40
FIRST_SEED = 1_000_000  # scenes that no demonstration had


@dataclass(frozen=True)
class Trial:
    """One thing that was tried; `problem` is empty where nothing is wrong."""

    what: str
    found: str
    problem: str = ""


def trials(embodiment: Embodiment, task: str, episodes: int) -> Iterator[Trial]:
    """Tries a task's environment.

    Args:
        embodiment: with a section `environment`.
        task: one of its tasks.
        episodes: that its expert is given, if there is one.
    """
    for what, attempt in (
        ("spaces", _spaces),
        ("seeds", _seeds),
        ("pictures", _pictures),
        ("speed", _speed),
        ("success", _success),
    ):
        yield _tried(what, lambda attempt=attempt: attempt(embodiment, task))
    if not section(embodiment).expert:
        yield Trial("expert", "none: demonstrations have to come from elsewhere")
    elif episodes:
        yield _tried("expert", lambda: _expert(embodiment, task, episodes))


def _tried(what: str, attempt: Callable[[], str]) -> Trial:
    try:
        return Trial(what, attempt())
    except UserError as error:
        return Trial(what, "", str(error))
    except Exception as error:  # whatever somebody else's environment raises is what was to be found
        return Trial(what, "", f"{type(error).__name__}: {' '.join(str(error).split())}")


def _spaces(embodiment: Embodiment, task: str) -> str:
    world = ExternalWorld(task, 0, embodiment)
    try:
        state = world.state().position
        if not np.isfinite(state).all():
            raise UserError(f"state: {state}, expected finite numbers")
        commands, hz = len(embodiment.joints), embodiment.control_hz
        return f"{commands} commands ({embodiment.commands}) at {hz} Hz, {len(state)} numbers of state"
    finally:
        world.close()


def _seeds(embodiment: Embodiment, task: str) -> str:
    check_seeding(embodiment, task)
    return "a seed decides how an episode starts, and each starts differently"


def _pictures(embodiment: Embodiment, task: str) -> str:
    world = ExternalWorld(task, 0, embodiment)
    try:
        shown = []
        for camera in embodiment.cameras:
            world.render(camera.name)  # what is slow the first time
            began = time.perf_counter()
            picture = world.render(camera.name)
            took = 1000 * (time.perf_counter() - began)
            if picture.std() < 1:
                raise UserError(f"images.{camera.name}: shows nothing, all of it is {int(picture.flat[0])}")
            shown.append(f"{camera.name} {camera.width} x {camera.height} at {camera.hz} Hz, {took:.1f} ms")
        return "; ".join(shown) or "none: a policy has nothing to see"
    finally:
        world.close()


def _speed(embodiment: Embodiment, task: str) -> str:
    world = ExternalWorld(task, 0, embodiment)
    try:
        command = embodiment.home_position
        began = time.perf_counter()
        for _ in range(STEPS):
            world.step(Command(world.tick, command))
        rate = STEPS / (time.perf_counter() - began)
        return f"{rate:.0f} steps a second, {rate / embodiment.control_hz:.1f} x real time, without pictures"
    finally:
        world.close()


def _success(embodiment: Embodiment, task: str) -> str:
    """Random commands should not succeed."""
    world, draw = ExternalWorld(task, 0, embodiment), np.random.default_rng(0)
    try:
        for _ in range(min(STEPS, world.max_ticks)):
            world.step(Command(world.tick, draw.uniform(embodiment.lower, embodiment.upper)))
            if world.success:
                raise UserError(f"success: {section(embodiment).success!r} is reached by random commands")
        seconds = world.max_ticks / embodiment.control_hz
        return (
            f"{section(embodiment).success!r} within {world.max_ticks} steps ({seconds:g} s); not by chance"
        )
    finally:
        world.close()


def _expert(embodiment: Embodiment, task: str, episodes: int) -> str:
    solved, ticks = 0, []
    for seed in range(FIRST_SEED, FIRST_SEED + episodes):
        world = ExternalWorld(task, seed, embodiment)
        try:
            targets = world.expert()
            while not world.success and world.tick < world.max_ticks:
                world.step(Command(world.tick, np.clip(next(targets), embodiment.lower, embodiment.upper)))
            solved += bool(world.success)
            ticks += [world.tick] if world.success else []
        finally:
            world.close()
    if not solved:
        raise UserError(f"expert: solves none of {episodes} scenes")
    return (
        f"solves {solved} of {episodes} scenes, in {np.mean(ticks) / embodiment.control_hz:.1f} s on average"
    )
