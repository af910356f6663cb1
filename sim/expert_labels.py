"""What the expert would command from exactly here: labels for the states that a policy gets into.

Data aggregation (DAgger, Ross et al., AISTATS 2011) at every decision of a policy that drives: the world is
forked, the expert drives the fork for a while without any picture, and what it commanded is the label.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from ideomotor.control.types import Command
from ideomotor.sim.world import World


def expert_chunk(world: World, past_commands: np.ndarray, horizon: int) -> np.ndarray:
    """The expert's commands from the world's present state on, which stays as it is.

    Args:
        world: of ours, with a goal that is judged.
        past_commands: (P, A) [rad], P at least 3, of the ticks before, the newest last.
        horizon: H [ticks].

    Returns:
        (H, A) float32 [rad], the last repeated where the expert is done.

    Raises:
        Unreachable: the expert knows no way from here.
    """
    fork = world.fork()
    lower, upper = world.embodiment.lower, world.embodiment.upper
    commands = np.empty((horizon, past_commands.shape[1]))
    done = 0
    for target in islice(fork.expert(past_commands=past_commands), horizon):
        commands[done] = np.clip(target, lower, upper)
        fork.step(Command(fork.tick, commands[done]))
        done += 1
    commands[done:] = commands[done - 1] if done else past_commands[-1]
    return commands.astype(np.float32)
