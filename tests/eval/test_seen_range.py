"""What an evaluation saw: kept with a checkpoint, and what a running arm is compared with."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.eval.drivers import PolicyRequest
from ideomotor.eval.seen_range import FILE, Watch, load_seen_range, means, rms_jerk, seen_range

ROBOT = load_embodiment("so101")
PLAN = LatentPlan(np.zeros((1, 1), np.float32), 0.0)


def seen(rng: np.random.Generator, tick: int, brightness: int = 120) -> Observation:
    image = rng.normal(brightness, 20, (96, 96, 3)).clip(0, 255).astype(np.uint8)
    past = np.repeat(ROBOT.home_position[None], 8, axis=0)
    return Observation(tick / 120, tick, {"front": image}, ROBOT.home_position.astype(np.float32), "", past)


def watched(observations: list[Observation], confidence: float = math.nan) -> dict:
    watch = Watch(ROBOT)

    def episode():
        for one in observations:
            yield PolicyRequest(one)
            yield PolicyRequest(one, PLAN)
        return "done"

    looked_at, answer = watch.over(episode()), None
    try:
        while True:
            request = looked_at.send(answer)
            chunk = ActionChunk(np.zeros((2, 6), np.float32), 120, 0, 0, 0, confidence)
            answer = PLAN if request.plan is None else chunk
    except StopIteration as end:
        assert end.value == "done"
    return watch.to_json()


def test_the_worst_of_solved_episodes_is_kept_and_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    calm = [seen(rng, tick) for tick in range(0, 360, 12)]
    lagging = replace(calm[-1], state=calm[-1].state + np.float32([0.1, 0, 0, 0, 0, 0]))
    gripping = replace(calm[-1], state=calm[-1].state + np.float32([0, 0, 0, 0, 0, 1.0]))
    rows = [watched(calm, 0.9), watched([*calm, lagging, gripping], 0.7)]
    found = seen_range(rows, ((), ()))
    assert found.episodes == 2 and found.confidence == pytest.approx(0.7)
    assert found.following_rad == pytest.approx(0.1, abs=1e-6)  # a gripper that holds something is no lag
    found.save(tmp_path)
    again = load_seen_range(tmp_path)
    assert again == found and load_seen_range(tmp_path / "nowhere") is None
    usual = found.pictures["front"]
    assert usual.distance_of(seen(rng, 0).images["front"]) < 1.25 * usual.distance
    assert usual.distance_of(seen(rng, 0, 200).images["front"]) > 2 * usual.distance
    assert seen_range(rows, ((0.6, 0.8), (0.2, 0.6))).confidence == pytest.approx(0.4)


def test_jerk_is_the_third_difference() -> None:
    times = np.arange(10) / 120
    assert rms_jerk(np.stack([times**3, 0 * times], axis=1), 120.0) == pytest.approx(6.0)
    assert rms_jerk(np.zeros((3, 6)), 120.0) == 0.0


def test_a_short_dip_of_confidence_counts_less_than_a_second_of_it() -> None:
    sure = [(i / 8, 0.9) for i in range(40)]
    dip = [(t, 0.1 if 2.0 <= t < 2.2 else v) for t, v in sure]
    long = [(t, 0.1 if 2.0 <= t < 3.5 else v) for t, v in sure]
    assert min(means(sure)) == pytest.approx(0.9)
    assert min(means(dip)) == pytest.approx(0.7, abs=0.05)
    assert min(means(long)) == pytest.approx(0.1)
    assert means([(0.0, math.nan)]) == [] and means([(0.0, 0.5)]) == [0.5]


def test_no_solved_episode_and_a_damaged_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no episode was solved"):
        seen_range([], ((), ()))
    (tmp_path / FILE).write_text('{"episodes": 3}')
    with pytest.raises(UserError, match=f"{FILE}: not as `eval --calibrate` writes it"):
        load_seen_range(tmp_path)
