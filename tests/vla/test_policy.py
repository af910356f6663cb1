"""The policy keeps to `control.types.Policy` whatever senses it is given."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ideomotor.control.errors import UserError
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.train.interpreter_stage import continued
from ideomotor.vla import networks
from ideomotor.vla.decoder.confidence import ConfidenceConfig, agreement
from ideomotor.vla.policy import SENSES, EpisodePolicy, chunks, plans


@pytest.mark.parametrize("cameras", [(), ("front",), ("wrist",), ("front", "wrist")])
def test_any_camera_may_be_missing(
    policy: EpisodePolicy, observation: Observation, cameras: tuple[str, ...]
) -> None:
    seen = replace(observation, images={name: observation.images[name] for name in cameras})
    plan = policy.plan(seen)
    assert plan.tokens.shape == (8, 24)
    assert plan.tokens.dtype == np.float32
    assert np.isfinite(plan.tokens).all()
    assert 0.0 <= plan.progress <= 1.0
    if "front" not in cameras:
        assert not plan.keypoints
    for camera, u, v in plan.keypoints.values():
        assert camera == "front"
        assert 0 <= u <= 1
        assert 0 <= v <= 1
    chunk = policy.act(seen, plan, np.zeros((0, 6)))
    assert chunk.actions.shape == (96, 6)
    assert np.isfinite(chunk.actions).all()


@pytest.mark.parametrize("delay", [0, 1, 3, 12, 30])
def test_a_chunk_begins_with_what_is_committed(
    policy: EpisodePolicy, observation: Observation, delay: int
) -> None:
    prefix = np.random.default_rng(3).normal(0, 0.1, (delay, 6)).astype(np.float32)
    chunk = policy.act(observation, policy.plan(observation), prefix)
    assert np.array_equal(chunk.actions[:delay], prefix)
    assert chunk.starts_at == 60
    assert chunk.hz == 120.0
    assert chunk.observed_at == chunk.plan_observed_at == 0.5


def test_an_episode_follows_from_its_seed(policy: EpisodePolicy, observation: Observation) -> None:
    def episode(seed: int) -> np.ndarray:
        policy.reset(seed)
        chunks = []
        for time in (0.5, 0.6, 0.7):
            now = replace(observation, time=time, tick=round(time * 120))
            chunks.append(policy.act(now, policy.plan(now), np.zeros((2, 6))).actions)
        return np.stack(chunks)

    first = episode(1)
    assert np.array_equal(first, episode(1))
    assert not np.array_equal(first, episode(2))


def test_without_noise_nothing_is_left_to_chance(policy: EpisodePolicy, observation: Observation) -> None:
    def acted(seed: int, noise: float) -> np.ndarray:
        how = replace(policy.networks.sampling, noise=noise)
        driver = EpisodePolicy(replace(policy.networks, sampling=how))
        driver.reset(seed)
        return driver.act(observation, driver.plan(observation), np.zeros((0, 6))).actions

    certain = acted(1, 0.0)
    assert np.array_equal(certain, acted(2, 0.0))
    away = [np.abs(acted(1, noise) - certain).max() for noise in (1.0, 0.5, 0.25)]
    assert away[0] > away[1] > away[2] > 0
    with pytest.raises(UserError, match="sampling.noise: got 1.5"):
        acted(1, 1.5)


def test_chunks_join_smoothly(policy: EpisodePolicy, observation: Observation) -> None:
    policy.reset(0)
    plan = policy.plan(observation)
    first = policy.act(observation, plan, np.zeros((0, 6))).actions
    later = replace(
        observation, time=observation.time + 16 / 120, tick=observation.tick + 16, state=first[14]
    )
    second = policy.act(later, plan, np.zeros((0, 6))).actions
    joined = np.concatenate([first[:16], second])
    jerk = np.abs(np.diff(joined, n=3, axis=0)).max(axis=1)
    assert jerk[13:16].max() <= 3 * jerk.max(initial=0.0, where=np.arange(len(jerk)) > 20)


def test_text_is_written_once_an_episode_or_when_asked(
    policy: EpisodePolicy, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    monkeypatch.setattr(networks, "write_plan", lambda *args, **kw: written.append(1) or "text")
    policy.reset(0)
    assert policy.plan(observation).text == "text"
    assert policy.plan(observation).text == "text"
    assert len(written) == 1
    policy.plan(observation, describe=True)
    assert len(written) == 2


def test_text_is_written_anew_when_other_words_are_ahead_in_two_plans_running(
    policy: EpisodePolicy, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    rarely = policy.networks.interpreter.rarely
    monkeypatch.setattr(rarely, "data", 0 * rarely.data)
    monkeypatch.setattr(networks, "write_plan", lambda by, encoded, instruction, seen, state: instruction)
    policy.reset(0)
    other = replace(observation, instruction="open the drawer")
    texts = [policy.plan(now).text for now in (observation, observation, other, observation, other, other)]
    assert texts == [observation.instruction] * 5 + ["open the drawer"]


@pytest.mark.parametrize("sense", [*SENSES, "front", "wrist"])
def test_it_runs_without_a_sense_and_does_not_use_it(
    policy: EpisodePolicy, observation: Observation, sense: str
) -> None:
    def acted(seen: Observation, plan: LatentPlan | None = None) -> tuple[np.ndarray, np.ndarray]:
        policy.reset(0)
        plan = plan or policy.plan(seen)
        return plan.tokens, policy.act(seen, plan, np.zeros((0, 6))).actions

    whole_tokens, whole = acted(observation)
    policy.run_without([sense])
    tokens, actions = acted(observation)
    assert not np.array_equal(actions, whole)
    assert np.array_equal(tokens, whole_tokens) == (sense not in ("early", "language", "front"))
    dark = {name: 255 - image for name, image in observation.images.items()}
    if sense in ("front", "wrist"):
        other = replace(observation, images={**observation.images, sense: dark[sense]})
        assert np.array_equal(acted(other)[1], actions)
    elif sense == "language":
        assert np.array_equal(acted(replace(observation, instruction="open the drawer"))[1], actions)
    elif sense == "early":
        assert np.array_equal(acted(replace(observation, images=dark))[0], tokens)
    elif sense in ("plan", "vision"):
        plan = policy.plan(observation)
        other = replace(plan, tokens=-plan.tokens) if sense == "plan" else plan
        seen = replace(observation, images=dark) if sense == "vision" else observation
        assert np.array_equal(acted(seen, other)[1], acted(observation, plan)[1])
    policy.run_without([])
    assert np.array_equal(acted(observation)[1], whole)


def test_an_interpreter_with_proprioception_is_given_the_state_or_is_not(
    policy: EpisodePolicy, observation: Observation
) -> None:
    with_proprio = continued(
        policy.networks.interpreter, policy.networks.interpreter.config.cameras, 0, state=6
    )
    assert with_proprio.proprio is not None
    torch.nn.init.normal_(with_proprio.proprio.layers[2].weight, std=3.0)
    sensing = EpisodePolicy(replace(policy.networks, interpreter_or_config=with_proprio))
    bent = replace(observation, state=observation.state + 0.5)
    first, second = (sensing.plan(seen).tokens for seen in (observation, bent))
    assert np.abs(first - second).max() > 0.01
    sensing.run_without(["state"])
    untold = sensing.plan(bent).tokens
    assert np.array_equal(untold, sensing.plan(observation).tokens)
    assert np.allclose(untold, policy.plan(bent).tokens, atol=1e-6)


def test_a_policy_trained_without_a_sense_never_uses_it(
    policy: EpisodePolicy, observation: Observation
) -> None:
    def acted(driver: EpisodePolicy) -> np.ndarray:
        driver.reset(0)
        return driver.act(observation, driver.plan(observation), np.zeros((0, 6))).actions

    blind = replace(policy.networks.sampling, without=("vision",))
    trained = EpisodePolicy(replace(policy.networks, sampling=blind))
    policy.run_without(["vision"])
    assert np.array_equal(acted(trained), acted(policy))
    trained.run_without(["state"])
    policy.run_without(["state", "vision"])
    assert np.array_equal(acted(trained), acted(policy))


def test_a_batch_of_episodes_is_what_each_is_alone(policy: EpisodePolicy, observation: Observation) -> None:
    seen = [
        observation,
        replace(observation, instruction="put the blue ball into the bowl", time=1.0, tick=120),
        replace(observation, images={"wrist": observation.images["wrist"]}, state=-observation.state),
    ]
    confident = replace(policy.networks, tells_confidence=True)

    def policies() -> list[EpisodePolicy]:
        found = [EpisodePolicy(confident) for _ in seen]
        for seed, one in enumerate(found):
            one.reset(seed)
        return found

    alone, batched = policies(), policies()
    for _ in range(2):  # the second chunk continues the first
        planned = [driver.plan(one) for driver, one in zip(alone, seen, strict=True)]
        for one, other in zip(planned, plans(batched, seen), strict=True):
            np.testing.assert_allclose(other.tokens, one.tokens, atol=1e-5)
            assert (other.text, other.observed_at, set(other.keypoints)) == (
                one.text,
                one.observed_at,
                set(one.keypoints),
            )
            assert other.progress == pytest.approx(one.progress, abs=1e-5)
        prefixes = [np.tile(one.state, (5, 1)) for one in seen]
        acted = [driver.act(*rest) for driver, *rest in zip(alone, seen, planned, prefixes, strict=True)]
        for one, other in zip(acted, chunks(batched, seen, planned, prefixes), strict=True):
            np.testing.assert_allclose(other.actions, one.actions, atol=1e-5)
            assert other.confidence == pytest.approx(one.confidence, abs=1e-4)
            assert (other.starts_at, other.plan_observed_at) == (one.starts_at, one.plan_observed_at)
        assert not np.allclose(acted[0].actions, acted[1].actions, atol=1e-3)


def test_an_unknown_sense_is_refused(policy: EpisodePolicy) -> None:
    with pytest.raises(UserError, match="without.*did you mean 'vision'"):
        policy.run_without(["visoin"])


def test_telling_confidence_changes_nothing_that_is_done(
    policy: EpisodePolicy, observation: Observation
) -> None:
    def episode(tells: bool, seed: int = 3, **changed: Any) -> tuple[np.ndarray, list[float]]:
        policy = EpisodePolicy(replace(plain, tells_confidence=tells, **changed), seed=seed)
        chunks = []
        for step in range(3):
            now = replace(observation, time=0.5 + 0.1 * step, tick=60 + 12 * step)
            chunks.append(policy.act(now, policy.plan(now), np.zeros((2 * step, 6))))
        return np.stack([chunk.actions for chunk in chunks]), [chunk.confidence for chunk in chunks]

    plain = policy.networks
    silent, nothing = episode(False)
    spoken, confidences = episode(True)
    assert np.array_equal(silent, spoken)
    assert np.isnan(nothing).all()
    assert all(0 < confidence < 1 for confidence in confidences)
    assert episode(True)[1] == confidences != episode(True, seed=4)[1]
    calibrated = ConfidenceConfig(4, (0.0, 1.0), (0.2, 0.8))
    assert episode(True, confidence=calibrated)[1] == pytest.approx([0.2 + 0.6 * raw for raw in confidences])


def test_agreement_falls_as_samples_scatter() -> None:
    chunk, generator = torch.randn(1, 96, 6), torch.Generator().manual_seed(0)
    assert agreement(chunk.expand(4, -1, -1).numpy()) == 1.0
    scattered = [
        agreement((chunk + spread * torch.randn(64, 96, 6, generator=generator)).numpy())
        for spread in (0.1, 1.0, 3.0)
    ]
    assert scattered == pytest.approx([1 / 1.1, 1 / 2, 1 / 4], rel=0.02)


def test_another_number_of_joints_is_refused(policy: EpisodePolicy, observation: Observation) -> None:
    wrong = replace(observation, state=np.zeros(7, np.float32))
    with pytest.raises(UserError, match="7 values, expected 6"):
        policy.act(wrong, policy.plan(observation), np.zeros((0, 7)))
