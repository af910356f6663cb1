"""Suite generalization: its list, its sensors, and what its rows come to."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.reporting.generalization import cells, section
from ideomotor.eval.reporting.report import render_html
from ideomotor.eval.rollout import rollout
from ideomotor.eval.run import EpisodeRow, evaluate
from ideomotor.eval.sensors import Sensors, sensors_for
from ideomotor.eval.stats.measures import paired, wilson
from ideomotor.eval.suites import suite
from ideomotor.eval.summary import summary
from ideomotor.sim.generalization.axes import AXES
from ideomotor.sim.open_world import task_world

HOME = load_embodiment("so101").home_position


def row(spec: EpisodeSpec, success: bool) -> EpisodeRow:
    numbers = dict(seconds=1.0, progress=1.0, failed_at="", interventions=0, holds=0)
    none = dict(jerk_ratio=None, boundary_jerk=None, interior_jerk=None, largest_step=None)
    return EpisodeRow(spec, "do", "do", success, **numbers, **none)


def test_the_list_begins_with_suite_builtin() -> None:
    specs = suite(
        "generalization", ["reach", "press"], 2, 7, axes=["lighting", "shapes", "delay", "lighting"]
    )
    assert specs[:4] == suite("builtin", ["reach", "press"], 2, 7)
    along = {axis: [spec for spec in specs if spec.axis == axis] for axis in ("lighting", "shapes", "delay")}
    assert [len(group) for group in along.values()] == [12, 6, 12]
    assert {spec.task for spec in along["shapes"]} == {"reach"}  # a button has no shape to change
    assert [spec.strength for spec in along["lighting"]] == [1] * 4 + [2] * 4 + [3] * 4
    assert {(spec.strength, spec.delay_ms) for spec in along["delay"]} == {(1, 50), (2, 100), (3, 200)}
    assert all(replace(spec, axis="", strength=0, delay_ms=0) in specs[:4] for spec in specs)
    assert len(set(specs)) == len(specs)
    with pytest.raises(UserError, match=r"axis: unknown name 'lights'"):
        suite("generalization", ["reach"], 1, 0, axes=["lights"])


def test_every_strength_is_compared_with_the_same_episodes() -> None:
    specs = suite("generalization", ["lift", "press"], 4, 0, axes=["gain", "sizes"])
    solved = [spec.strength < 2 or (spec.seed == 0) for spec in specs]
    solved[1] = False  # lift 1 fails as it is, and is solved at gain 1
    results = summary("generalization", "x", [row(*pair) for pair in zip(specs, solved, strict=True)])
    assert results["mean"]["rate"] == 7 / 8 and results["tasks"]["lift"]["successes"] == 3
    gain, sizes = (results["generalization"][axis]["strengths"] for axis in ("gain", "sizes"))
    assert [entry["value"] for entry in gain] == ["÷4", "÷16", "÷64"]
    one, two, _ = gain
    assert (one["successes"], one["episodes"], one["lost"], one["gained"]) == (8, 8, 0, 1)
    assert (two["successes"], two["lost"], two["gained"]) == (2, 5, 0)
    assert two["before"] == 7 / 8 and two["difference"] == 2 / 8 - 7 / 8
    assert two["p"] == paired([(True, False)] * 5).p
    assert (two["low"], two["high"]) == wilson(2, 8)
    assert two["tasks"]["press"]["successes"] == 1
    assert sizes[1]["episodes"] == 4 and sizes[1]["before"] == 3 / 4  # of lift alone


def test_json_of_other_suites_stays_as_it_was() -> None:
    plain, varied = suite("generalization", ["lift"], 1, 0, axes=["gain"])[:2]
    assert {"axis", "strength"}.isdisjoint(row(plain, True).to_json())
    assert (row(varied, True).to_json()["axis"], row(varied, True).to_json()["strength"]) == ("gain", 1)
    assert "generalization" not in summary("builtin", "x", [row(plain, True)])


def test_page_and_json_say_the_same() -> None:
    specs = suite("generalization", ["lift", "reach"], 3, 0, axes=list(AXES))
    rows = [row(spec, (spec.seed + spec.strength) % 3 != 2) for spec in specs]
    results = json.loads(json.dumps(summary("generalization", "x", rows)))
    found, page = results["generalization"], render_html(results)
    assert set(found) == {spec.axis for spec in specs} - {""}
    assert section(found) in page
    assert page.count('<svg viewBox="0 0 180') == len(found)
    for line in cells(found):
        assert all(f">{cell}</td>" in page for cell in line[2:])
    worst = found["lighting"]["strengths"][1]
    assert f"{100 * worst['low']:.1f}% to {100 * worst['high']:.1f}%" in page
    assert "(lighting 2)" in page


class Looking:
    """Stays where it is and keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def reset(self, seed: int) -> None:
        pass

    def plan(self, observation: Observation) -> LatentPlan:
        return LatentPlan(np.zeros((1, 1), np.float32), observation.time)

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        self.seen.append(observation)
        # Swings the shoulder, whatever it is shown, so that old pictures differ from new ones.
        tick = observation.tick
        actions = np.tile(HOME, (40, 1)).astype(np.float32)
        actions[:, 0] += 0.3 * np.sin((tick + np.arange(40)) / 60)
        return ActionChunk(actions, 120.0, tick, observation.time, plan.observed_at)


def observations(sensors: Sensors | None) -> list[Observation]:
    policy, world = Looking(), task_world("reach", 4)
    rollout(world, policy, sensors=sensors)
    world.close()
    return policy.seen


@pytest.fixture(scope="module")
def plain() -> list[Observation]:
    return observations(None)


def spec(axis: str, strength: int) -> EpisodeSpec:
    return EpisodeSpec("reach", 4, "heldout", axis=axis, strength=strength)


def test_nothing_is_wrong_without_an_axis_of_sensors() -> None:
    assert sensors_for(spec("", 0)) is None and sensors_for(spec("lighting", 2)) is None


def test_lost_frames_leave_the_last_that_arrived(plain) -> None:
    seen = observations(sensors_for(spec("frames", 2)))
    again = observations(sensors_for(spec("frames", 2)))
    stale = dict.fromkeys(("front", "wrist"), 0)
    for now, repeated, true in zip(seen, again, plain, strict=True):
        assert np.array_equal(now.state, true.state) and now.time == true.time
        for camera in stale:
            assert np.array_equal(now.images[camera], repeated.images[camera])
            stale[camera] += not np.array_equal(now.images[camera], true.images[camera])
    # The newest frame is lost four times in five, but a still arm's older ones look the same.
    assert all(0.4 * len(seen) < count <= len(seen) for count in stale.values()), stale
    for camera in stale:
        assert np.array_equal(seen[0].images[camera], plain[0].images[camera])
    assert any((seen[k].images["front"] != seen[k + 1].images["front"]).any() for k in range(len(seen) - 1))


def test_no_frame_lost_and_no_noise_is_no_change(plain) -> None:
    for one, other in zip(observations(Sensors(0.0, 0.0, (1,))), plain, strict=True):
        assert np.array_equal(one.state, other.state)
        assert all(np.array_equal(one.images[camera], other.images[camera]) for camera in other.images)


def test_noise_is_of_the_size_it_says_and_of_the_episode(plain) -> None:
    seen = observations(sensors_for(spec("state", 3)))
    again = observations(sensors_for(spec("state", 3)))
    noise = np.stack([one.state - other.state for one, other in zip(seen, plain, strict=True)])
    assert np.degrees(noise.std()) == pytest.approx(2.0, rel=0.15)
    assert abs(np.degrees(noise.mean())) < 0.4
    assert all(np.array_equal(one.state, other.state) for one, other in zip(seen, again, strict=True))
    assert np.array_equal(seen[0].images["front"], plain[0].images["front"])


def test_an_evaluation_keeps_axis_and_strength(tmp_path) -> None:
    specs = suite("generalization", ["reach"], 1, 1_000_000, axes=["gain"])[:2]
    rows = evaluate(specs, PolicySpec(None), out=tmp_path)
    assert [one.spec for one in rows] == specs and all(one.success for one in rows)
    assert evaluate(specs, PolicySpec(None), out=tmp_path, resume=True) == rows
