"""Things that come to other spots between two attempts."""

import numpy as np
import pytest

from ideomotor.control.types import Command
from ideomotor.sim.layout import free, within_reach
from ideomotor.sim.sim_state_channel import SceneSpec


@pytest.mark.parametrize("task", ["lift", "place", "stack", "sort", "push"])
def test_things_that_are_rearranged_stand_elsewhere_free_and_within_reach(task: str) -> None:
    world, again = (SceneSpec(task, seed=1).world() for _ in range(2))
    first = world.scene
    world.put_back(3)
    again.put_back(5)
    again.put_back(3)
    np.testing.assert_array_equal(world.data.qpos, again.data.qpos)  # a function of the number and the seed
    moved = [now for now, before in zip(world.scene.things, first.things, strict=True) if now != before]
    assert moved and all(thing.graspable for thing in moved)
    for thing in world.scene.things:
        np.testing.assert_allclose(world.position(thing.name)[:2], thing.position, atol=1e-3)
        np.testing.assert_allclose(world.start_positions[thing.name], world.position(thing.name))
    assert all(free(thing, [other for other in world.scene.things if other != thing]) for thing in moved)
    assert all(within_reach(thing.position) for thing in moved)
    world.put_back()
    assert world.scene == first
    world.put_back(3)
    for target in world.expert():
        world.step(Command(world.tick, target))
        if world.success:
            break
    assert world.success
