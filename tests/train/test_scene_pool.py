"""Pools of questions: what is drawn how often, what is learned from a batch, and older checkpoints."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control import embodiment
from ideomotor.control.errors import UserError
from ideomotor.sim.vqa.synthetic_scenes import CAMERAS
from ideomotor.train.interpreter_stage import checked_cameras, continued
from ideomotor.train.recipe import InterpreterRecipe
from ideomotor.train.scenes.batch import camera_mask, scene_batch
from ideomotor.train.scenes.objective import SceneObjective, SceneWeights
from ideomotor.train.scenes.pool import INSTRUCTIONS, Mixture, PoolSettings, ScenePool, make_pool
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import decode_text, train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm

SETTINGS = PoolSettings(scenes=24, shard=24, level="mixed")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    (root / "light-front-0-24" / "shard-00000").mkdir(parents=True)  # of the first version: holds nothing
    make_pool(root, SETTINGS)
    return root


@pytest.fixture(scope="module")
def pools(root: Path) -> tuple[ScenePool, ScenePool]:
    return make_pool(root, SETTINGS, cameras=CAMERAS)


@pytest.fixture(scope="module")
def interpreter(pools) -> Interpreter:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(pools[0].texts(), 480)
    config = InterpreterConfig(cameras=CAMERAS, plan_dim=24, align_dim=16)
    return Interpreter(nano_vlm(tokenizer, 64, 40, 1), tokenizer, config)


def test_pictures_of_the_cameras_asked_for_come_in_their_order(root, pools) -> None:
    front, _ = make_pool(root, SETTINGS)
    one, _ = front.draw(np.random.default_rng(0), 5, 1)
    both, _ = pools[0].draw(np.random.default_rng(0), 5, 1)
    assert one.shape == (5, 1, 96, 96, 3) and both.shape == (5, 2, 96, 96, 3)
    assert np.array_equal(one[:, 0], both[:, 0]) and not np.array_equal(both[:, 0], both[:, 1])


def test_kinds_are_drawn_as_the_mixture_says(pools) -> None:
    pool, rng = pools[0], np.random.default_rng(0)
    assert {q.kind for q in pool.draw(rng, 40, 3)[1]} == {"instruction"}
    counting = replace(INSTRUCTIONS, counting=1.0)
    kinds = Counter(q.kind for q in pool.draw(rng, 300, 1, counting)[1])
    assert set(kinds) == {"instruction", "counting"} and 120 < kinds["counting"] < 180
    questions = pool.draw(rng, 100, 4, Mixture())[1]
    assert len({q.kind for q in questions}) == 12
    for k in range(0, len(questions), 4):
        assert len({q.instruction for q in questions[k : k + 4]}) == 4  # nothing is asked twice
        assert len({q.scene for q in questions[k : k + 4]}) == 1


def test_held_out_scenes_and_phrasings_are_others(pools) -> None:
    train, held_out = ({q.instruction for scene in pool.questions for q in scene} for pool in pools)
    assert not train & held_out


def test_what_is_dropped_is_not_pointed_at_and_short_answers_are_always_written(pools, interpreter) -> None:
    images, questions = pools[0].draw(np.random.default_rng(1), 8, 4, Mixture())
    seen = camera_mask(np.random.default_rng(2), len(questions), 2, drop_camera=0.5)
    batch = scene_batch(interpreter, images, questions, write=False, seen=seen)
    image, none = (interpreter.tokenizer.convert_tokens_to_ids(t) for t in ("<image>", "<no_image>"))
    half = interpreter.image_tokens // 2
    assert 8 < batch.known.sum() < 24
    assert torch.equal(batch.prompts.ids[:, 0] == image, batch.known > 0)
    assert (batch.prompts.ids[:, half] == none).any() and (batch.prompts.ids[:, half] == image).any()
    written = (batch.prompts.labels >= 0).any(-1)
    assert torch.equal(written, batch.short) and batch.described is not None
    assert scene_batch(interpreter, images, questions, write=True).described is None
    lacking = scene_batch(interpreter, images, questions, seen=np.tile([True, False], (len(questions), 1)))
    assert (lacking.prompts.ids[:, half] == none).all() and (lacking.known == 1).all()


def test_every_loss_goes_down_and_every_weight_has_a_gradient(pools, interpreter) -> None:
    objective = SceneObjective(interpreter, SceneWeights())
    optimizer = torch.optim.AdamW(objective.parameters(), lr=2e-3, fused=True)
    images, questions = pools[0].draw(np.random.default_rng(3), 8, 4, Mixture())
    seen: dict[str, list[float]] = {}
    for step in range(60):
        batch = scene_batch(interpreter, images, questions, write=step % 2 == 0)
        losses = objective(batch)
        losses["loss"].backward()
        assert all(p.grad is not None for n, p in interpreter.named_parameters() if "plan_head" not in n)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for name, value in losses.items():
            seen.setdefault(name, []).append(float(value.detach()))
    for name in ("text", "answer", "align", "heat", "presence", "words"):
        values = [value for value in seen[name] if value > 0]
        assert len(values) >= 30 and values[-1] < 0.7 * values[0], (name, values[0], values[-1])


def test_an_older_checkpoint_goes_on_with_more_cameras_and_with_alignment(pools) -> None:
    tokenizer = train_tokenizer(["reach the red cube"] * 3, 300)
    torch.manual_seed(1)
    old = Interpreter(nano_vlm(tokenizer, 32, 40, 1), tokenizer, InterpreterConfig(plan_dim=24)).eval()
    new = continued(old, CAMERAS, 16).eval()
    assert continued(old, ("front",), 0) is old
    assert new.config.cameras == CAMERAS and new.align is not None
    images, questions = pools[0].draw(np.random.default_rng(1), 2, 3, Mixture())
    batch = scene_batch(new, images, questions)  # words it never met are read and written in pieces
    spoken = batch.prompts.labels[0][batch.prompts.labels[0] >= 0][:-1]
    assert decode_text(tokenizer, spoken.tolist()) == questions[0].text
    only = [(True, False)]
    pixels = torch.rand(1, 2, 3, 96, 96)
    with torch.inference_mode():  # the same pictures on the same patches
        assert torch.equal(new.encode_images(pixels[:, :1]).tokens, old.encode_images(pixels[:, :1]).tokens)
        assert new(pixels, new.prompts(["reach the red cube"], only)).hidden.isfinite().all()


def test_unknown_cameras_and_negative_shares_are_refused() -> None:
    assert checked_cameras(InterpreterRecipe(cameras="front, wrist")) == CAMERAS
    with pytest.raises(UserError, match=r"interpreter.cameras: got 'wrist', expected"):
        checked_cameras(InterpreterRecipe(cameras="wrist"))
    with pytest.raises(UserError, match=r"interpreter.mixture.size: got -1.0, expected"):
        checked_cameras(InterpreterRecipe(mixture=Mixture(size=-1.0)))


@pytest.mark.parametrize(("height", "width"), [(96, 128), (128, 128)])
def test_pictures_that_nano_cannot_take_are_refused(tmp_path: Path, height: int, width: int) -> None:
    text = (Path(embodiment.__file__).parent / "embodiments" / "so101.yaml").read_text()
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("height: 96, width: 96", f"height: {height}, width: {width}"))
    stage = InterpreterRecipe(pool=replace(SETTINGS, scenes=0))
    with pytest.raises(UserError, match=f"camera front: {width} x {height} pixels, expected a square"):
        checked_cameras(stage, str(file))
    assert checked_cameras(replace(stage, base="some/base"), str(file)) == ("front",)
