"""Filmstrips show what the policy saw, cost nothing of the result, and are a bounded number."""

import io

import numpy as np
import pytest
from PIL import Image

from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.reporting import film
from ideomotor.eval.reporting.film import Film, Strips, subtask_kind
from ideomotor.eval.rollout import answered, episode, rollout
from ideomotor.eval.run import EpisodeRow
from ideomotor.eval.suites import suite
from ideomotor.sim.open_world import task_world


class Wave:
    """Swings the first joint by what it sees, so that another picture would end in another motion."""

    def reset(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def plan(self, observation: Observation) -> LatentPlan:
        return LatentPlan(np.zeros((1, 1), np.float32), observation.time, text="now: wave")

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        start = committed_prefix[-1] if len(committed_prefix) else observation.state
        sway = observation.images["front"].mean() / 255 + self.rng.normal()
        rows = start + 0.1 * sway * np.linspace(0, 1, 48)[:, None] * np.eye(len(start))[0]
        tick = observation.tick
        return ActionChunk(rows.astype(np.float32), 120.0, tick, observation.time, plan.observed_at)


def picture(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def test_a_filmed_episode_ends_as_it_would_and_shows_its_beginning_and_end():
    worlds = [task_world("reach", 3) for _ in range(2)]
    filmed, wave = Film(), Wave()
    plain = rollout(worlds[0], Wave())
    shown = answered(filmed.watch(episode(worlds[1], wave)), wave)
    np.testing.assert_array_equal(plain.commands, shown.commands)
    assert (plain.success, plain.seconds, plain.interventions) == (
        shown.success,
        shown.seconds,
        shown.interventions,
    )
    strip = picture(filmed.strip())
    assert strip.shape == (film.HEIGHT, 6 * 96 + 5 * film.GAP, 3)
    first, last = strip[:, :96], strip[:, -96:]
    start, end = task_world("reach", 3).observe().images["front"], worlds[1].observe().images["front"]
    assert np.abs(first - start).mean() < 6 < np.abs(first - last).mean() + 5
    assert np.abs(last - end).mean() < np.abs(first - end).mean()
    for world in worlds:
        world.close()


def observed(time: float, **images: np.ndarray) -> Observation:
    return Observation(time, round(time * 120), images, np.zeros(6, np.float32), "do")


def test_pictures_are_small_copies_of_one_camera_each_half_second():
    filmed = Film()
    assert filmed.strip() == b""
    wide = np.zeros((192, 384, 3), np.uint8)
    for number in range(40):
        wide[:] = 6 * number  # the renderer's own buffer, say
        images = {"wrist": wide} if number == 20 else {"front": wide, "wrist": wide * 0}
        filmed.take(observed(number / 10, **images))
    strip = picture(filmed.strip())
    assert strip.shape == (96, 6 * 192 + 5 * film.GAP, 3)
    levels = [int(strip[:, at + 20 : at + 150].mean()) for at in range(0, 6 * 194, 194)]
    assert levels == pytest.approx([6 * n for n in (0, 5, 15, 21, 30, 35)], abs=3)


def row(spec: EpisodeSpec, failed_at: str = "grasp the red cube", progress: float = 0.0) -> EpisodeRow:
    numbers = dict(seconds=1.0, interventions=0, holds=0)
    none = dict(jerk_ratio=None, boundary_jerk=None, interior_jerk=None, largest_step=None)
    jpeg = str(spec.seed).encode()
    return EpisodeRow(
        spec, "do", "do", not failed_at, progress=progress, failed_at=failed_at, film=jpeg, **numbers, **none
    )


def test_the_first_failures_of_each_subtask_are_kept(tmp_path):
    specs = suite("builtin", ["lift", "push"], 20, 0)
    rows = [row(spec, "" if spec.seed < 3 else f"grasp the {spec.seed}. cube") for spec in specs]
    rows[19] = row(specs[19], "lift the cube", 0.5)
    strips = Strips(tmp_path)
    for finished in rows:
        strips.keep(finished)
    shown = strips.load()
    assert [(spec.task, spec.seed) for spec in shown] == [
        *(("lift", seed) for seed in (3, 4, 5, 6, 19)),
        *(("push", seed) for seed in (3, 4, 5, 6)),
    ]
    assert all(jpeg == str(spec.seed).encode() for spec, jpeg in shown.items())
    assert len(list((tmp_path / "failures").iterdir())) == len(shown)
    again = Strips(tmp_path)
    for finished in rows:  # a run that was continued: rows from the file have no pictures, and lie there
        again.keep(EpisodeRow(**{**vars(finished), "film": b""}))
    assert again.load() == shown


def test_there_are_never_more_than_a_page_can_hold(tmp_path):
    strips = Strips(tmp_path)
    for number in range(200):
        strips.keep(row(EpisodeSpec(f"task{number}", 0, "heldout")))
    assert len(strips.load()) == film.IN_ALL


def test_subtasks_are_told_apart_by_verb_and_progress():
    assert subtask_kind("grasp the red cube", 0.0) == subtask_kind("grasp the blue ball", 0.0)
    assert subtask_kind("grasp the red cube", 3 / 7) == "grasp …, 43 % done"
    assert subtask_kind("", 0.5) == "unnamed …, 50 % done"
