"""PushT as a preset: its expert pushes the T onto its outline, the same way each time."""

import numpy as np
import pytest

pytest.importorskip("gym_pusht", reason="gym-pusht is not installed: make pusht")

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import Command
from ideomotor.sim.environments import pusht
from ideomotor.sim.environments.external import ExternalWorld, check_seeding

BODY = load_embodiment("pusht")


def solved(seed: int) -> tuple[ExternalWorld, np.ndarray]:
    world = ExternalWorld("push", seed, BODY)
    targets, commands = world.expert(), []
    while not world.success and world.tick < world.max_ticks:
        commands.append(next(targets))
        world.step(Command(world.tick, commands[-1]))
    return world, np.array(commands)


def test_the_expert_solves_a_scene_the_same_way_each_time():
    check_seeding(BODY, "push")
    (world, commands), (again, repeated) = solved(1_000_003), solved(1_000_003)
    assert world.success and np.array_equal(commands, repeated)
    assert commands.min() >= 0 and commands.max() <= 512
    seen = world.observe()
    assert seen.images["top"].shape == (96, 96, 3) and seen.state.shape == (2,)
    u, v = world.keypoints()["place"][1:]
    assert (u, v) == (0.5, 0.5)
    for each in (world, again):
        each.close()


def test_the_way_goes_around_the_t():
    pose = (np.array([256.0, 200.0]), 0.0)
    path = [np.array([256.0, 160.0]), *pusht.way(np.array([256.0, 160.0]), np.array([256.0, 360.0]), pose)]
    assert len(path) > 2 and np.array_equal(path[-1], [256.0, 360.0])
    along = [
        a + share * (b - a) for a, b in zip(path, path[1:], strict=False) for share in np.linspace(0, 1, 20)
    ]
    assert pusht.clearance(np.array(along), pose).min() > pusht.RADIUS


def test_distances_from_the_t_are_those_of_its_outline():
    places = np.array([[0.0, -10.0], [0.0, 60.0], [70.0, 15.0], [30.0, 50.0], [0.0, 130.0]])
    turned = np.array([100.0, 50.0]) + places @ pusht.rotation(0.7).T
    found = pusht.clearance(turned, (np.array([100.0, 50.0]), 0.7))
    assert np.allclose(found, [10.0, 0.0, 10.0, 15.0, 10.0])
