"""An exported policy answers as its checkpoint does in eager torch: to 1e-4, whatever it is given."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ideomotor.control.errors import UserError
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla.exported.export import export_policy, write_config
from ideomotor.vla.exported.networks import ExportedNetworks
from ideomotor.vla.exported.openvino_format import to_openvino
from ideomotor.vla.policy import EpisodePolicy

CLOSE: dict[str, Any] = dict(atol=1e-4, rtol=1e-4)
OBSERVATIONS = 100
WORDS = [
    "reach the red cube",
    "",
    "please put that blue ball, the small one, into the bowl at once",
    "küçük 🤖",
]


def observations(count: int, seed: int = 0):
    """Pictures with something in them; now and then a camera, the words or the past are missing."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        images = {}
        for name in ("front", "wrist"):
            picture = np.full((96, 96, 3), rng.integers(0, 256, 3), np.uint8)
            for _ in range(6):
                x, y, w, h = rng.integers(0, 72, 2).tolist() + rng.integers(6, 24, 2).tolist()
                picture[y : y + h, x : x + w] = rng.integers(0, 256, 3)
            images[name] = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
        if index % 10 == 3:
            del images["front" if index % 20 == 3 else "wrist"]
        state = rng.normal(0, 0.4, 6).astype(np.float32)
        past = None if index % 4 else state + rng.normal(0, 0.02, (8, 6))
        yield Observation(index / 10, 12 * index, images, state, WORDS[index % len(WORDS)], past)


@pytest.fixture(params=["bundled", "tiny"])
def both(request):
    return request.getfixturevalue(request.param)


def test_plans_are_equal(both) -> None:
    torch.set_num_threads(1)
    for observation in observations(OBSERVATIONS):
        (theirs,) = both.networks.plans([observation], frozenset())
        (ours,) = both.exported.plans([observation], frozenset())
        np.testing.assert_allclose(ours.plan.tokens, theirs.plan.tokens, **CLOSE)
        assert ours.plan.progress == pytest.approx(theirs.plan.progress, abs=1e-4)
        assert ours.plan.keypoints.keys() == theirs.plan.keypoints.keys() and ours.words == theirs.words
        for name, (camera, *point) in ours.plan.keypoints.items():
            assert camera == theirs.plan.keypoints[name][0]
            assert point == pytest.approx(theirs.plan.keypoints[name][1:], abs=1e-4)


def test_chunks_are_equal_behind_every_committed_prefix(both) -> None:
    torch.set_num_threads(1)
    rng, longest = np.random.default_rng(5), both.networks.timing.max_prefix_ticks
    shape = both.networks.decoder_config
    policies = [EpisodePolicy(networks, seed=3) for networks in (both.networks, both.exported)]
    for index, observation in enumerate(observations(OBSERVATIONS, seed=1)):
        tokens = rng.normal(size=(shape.plan_tokens, shape.plan_dim)).astype(np.float32)
        plan = LatentPlan(tokens if index % 7 else np.empty((0, 0), np.float32), observation.time)
        prefix = observation.state + rng.normal(0, 0.02, (index % (longest + 1), 6))
        requests = [policy.request(policy.admit(observation), plan, prefix) for policy in policies]
        np.testing.assert_allclose(requests[1].noise, requests[0].noise, atol=1e-5)
        (theirs,) = both.networks.chunks([requests[0]], frozenset())
        (ours,) = both.exported.chunks([replace(requests[1], noise=requests[0].noise)], frozenset())
        np.testing.assert_allclose(ours.actions, theirs.actions, **CLOSE)


def test_the_readable_plan_is_the_same(both) -> None:
    written = []
    for observation in observations(6, seed=2):
        (theirs,) = both.networks.plans([observation], frozenset())
        (ours,) = both.exported.plans([observation], frozenset())
        assert ours.write() == theirs.write()
        written.append(ours.write())
    assert any(written)


@pytest.mark.parametrize("sense", ["early", "plan", "vision", "language", "state", "wrist", "front"])
def test_without_a_sense_too(tiny, sense: str) -> None:
    (observation,) = observations(1, seed=4)
    answers = []
    for networks in (tiny.networks, tiny.exported):
        policy = EpisodePolicy(networks, [sense], seed=1)
        plan = policy.plan(observation, describe=False)
        answers.append((plan.tokens, policy.act(observation, plan, np.empty((0, 6))).actions))
    for theirs, ours in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


def test_confidence_is_the_same(tiny) -> None:
    (observation,) = observations(1, seed=6)
    found = []
    for networks in (tiny.networks, tiny.exported):
        policy = EpisodePolicy(replace(networks, tells_confidence=True), seed=2)
        found.append(policy.act(observation, policy.plan(observation, describe=False), np.empty((0, 6))))
    assert found[1].confidence == pytest.approx(found[0].confidence, abs=1e-4)
    np.testing.assert_allclose(found[1].actions, found[0].actions, **CLOSE)


def test_other_samplers_need_no_other_export(tiny) -> None:
    """Steps and noise are chosen when it is run."""
    (observation,) = observations(1, seed=7)
    for steps in (1, 4):
        answers = []
        for networks in (tiny.networks, tiny.exported):
            sampling = replace(networks.sampling, steps=steps, noise=0.5, smoothing=0.0)
            policy = EpisodePolicy(replace(networks, sampling=sampling), seed=1)
            plan = LatentPlan(np.zeros((8, 24), np.float32), 0.0)
            answers.append(policy.act(observation, plan, np.empty((0, 6))).actions)
        np.testing.assert_allclose(answers[1], answers[0], **CLOSE)


def test_what_was_not_asked_for_is_not_exported(tiny, tmp_path: Path) -> None:
    """Without a camera and text: as the checkpoint without them, with graphs that hold less."""
    tokenizer = tiny.checkpoint / "interpreter" / "tokenizer.json"
    export_policy(tiny.networks, tokenizer, "", tmp_path / "less", cameras=("front",), text=False)
    less = ExportedNetworks.from_exported(tmp_path / "less")
    assert less.cameras == ("front",)
    (observation,) = observations(1, seed=8)
    policy = EpisodePolicy(tiny.networks, ["wrist"], seed=1)
    ours = EpisodePolicy(less, seed=1)
    blind = {"front": observation.images["front"]}
    plan, own = policy.plan(observation, describe=False), ours.plan(replace(observation, images=blind))
    np.testing.assert_allclose(own.tokens, plan.tokens, **CLOSE)
    assert own.text == ""
    nothing = np.empty((0, 6))
    np.testing.assert_allclose(
        ours.act(observation, own, nothing).actions, policy.act(observation, plan, nothing).actions, **CLOSE
    )

    def size(folder: Path, name: str) -> int:
        return (folder / name).stat().st_size

    encoder = sum(p.numel() for p in tiny.networks.decoder.visual_encoders["wrist"].parameters())
    saved = size(tiny.folder, "context.onnx") - size(tmp_path / "less", "context.onnx")
    assert saved > 0.9 * 4 * encoder
    assert size(tmp_path / "less", "language.onnx") < 0.7 * size(tiny.folder, "language.onnx")


def test_nothing_is_written_where_something_is(tiny, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    tokenizer = tiny.checkpoint / "interpreter" / "tokenizer.json"
    with pytest.raises(UserError, match="not empty, expected a new folder"):
        export_policy(tiny.networks, tokenizer, "", tmp_path / "out")
    with pytest.raises(UserError, match="camera: .*'side'"):
        export_policy(tiny.networks, tokenizer, "", tmp_path / "new", cameras=("side",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_openvino_answers_alike(tiny, tmp_path: Path) -> None:
    folder = tmp_path / "openvino"
    shutil.copytree(tiny.folder, folder)
    write_config(folder, to_openvino(folder, tiny.exported.config))
    assert not list(folder.glob("*.onnx"))
    networks = ExportedNetworks.from_exported(folder)
    for observation in observations(8, seed=9):
        (theirs,), (ours,) = (each.plans([observation], frozenset()) for each in (tiny.networks, networks))
        np.testing.assert_allclose(ours.plan.tokens, theirs.plan.tokens, **CLOSE)
        assert ours.write() == theirs.write()
        chunks = []
        for each in (tiny.networks, networks):
            policy = EpisodePolicy(each, seed=3)
            chunks.append(policy.act(observation, theirs.plan, np.empty((0, 6))).actions)
        np.testing.assert_allclose(chunks[1], chunks[0], **CLOSE)
