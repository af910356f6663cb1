"""What the expert would do from anywhere: asked anew all the time it still solves, and it never jumps."""

import numpy as np
import pytest

from ideomotor.control.controller import Controller
from ideomotor.control.types import ActionChunk
from ideomotor.sim.expert_labels import expert_chunk
from ideomotor.sim.open_world import task_world
from ideomotor.sim.tasks import TASKS

ANEW = 24  # ticks after which the expert is asked again, knowing nothing of before
SEED = 900_300


def driven(world, label, until=None):
    """Executes `label(past commands)` for ANEW ticks at a time; (T, A) commands."""
    controller, commands = Controller(world.embodiment), []
    controller.reset(world.state())
    for tick in range(world.max_ticks if until is None else until):
        if world.success:
            break
        if tick % ANEW == 0:
            controller.forget()
            controller.submit(ActionChunk(label(controller.past_commands), 120.0, tick, 0.0, 0.0))
        command = controller.step(tick, world.state())
        world.step(command)
        commands.append(command.position)
    return np.stack(commands), controller


@pytest.mark.parametrize("task", sorted(TASKS.keys() - {"sort"}))  # which is place twice
def test_an_expert_that_is_asked_anew_all_the_time_solves_the_task(task):
    world = task_world(task, SEED)
    driven(world, lambda past: expert_chunk(world, past, ANEW))
    assert world.success, world.subtask()


@pytest.mark.parametrize("task", ["reach", "push", "place", "drawer"])
def test_a_label_goes_on_with_the_motion_under_way(task):
    """0.2 s into an expert's motion: what it would do from there is what it was going to do."""
    world = task_world(task, SEED)
    whole = expert_chunk(world, np.repeat(world.data.ctrl[:6][None], 3, axis=0), 96)
    begun = iter(range(0, 24, ANEW))
    commands, controller = driven(world, lambda past: whole[next(begun) :], until=24)
    label = expert_chunk(world, controller.past_commands, 24)
    assert np.abs(np.diff(commands[-3:], axis=0)).max() > 1e-3  # it moves
    assert np.abs(label - whole[24:48]).max() < 0.01


def test_labels_leave_the_world_as_it_is():
    world = task_world("push", SEED)
    _, controller = driven(world, lambda past: expert_chunk(world, past, ANEW), until=64)
    before = world.data.qpos.copy(), world.data.time, world.tick, world.subtask()
    once = expert_chunk(world, controller.past_commands, 96)
    assert np.array_equal(world.data.qpos, before[0])
    assert (world.data.time, world.tick, world.subtask()) == before[1:]
    assert once.dtype == np.float32 and once.shape == (96, 6)
    assert np.array_equal(once, expert_chunk(world, controller.past_commands, 96))  # nor itself


def test_an_expert_with_nothing_left_to_do_comes_to_rest():
    world = task_world("place", SEED)
    commands, controller = driven(world, lambda past: expert_chunk(world, past, ANEW))
    label = expert_chunk(world, controller.past_commands, 240)
    assert np.abs(np.diff(label[-60:], axis=0)).max() < 1e-6
    lower, upper = world.embodiment.lower, world.embodiment.upper
    assert (label >= lower - 1e-6).all() and (label <= upper + 1e-6).all()
