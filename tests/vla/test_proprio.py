"""An interpreter that is given the joint state: what no picture shows, and nothing where it is not given."""

import dataclasses

import numpy as np
import torch

from ideomotor.train.interpreter_stage import continued
from ideomotor.train.scenes.batch import proprio_of, scene_batch
from ideomotor.train.scenes.objective import SceneObjective, SceneWeights
from ideomotor.train.scenes.pool import Question
from ideomotor.vla.checkpoint import load_interpreter, save_interpreter
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.interpreter.text_generation import write_answers, write_plan

ASKED = "is anything held?"
NOTHING = (np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
PIXELS = torch.zeros(1, 1, 3, 96, 96)


def untrained(state: int = 0) -> Interpreter:
    torch.manual_seed(0)
    tokenizer = train_tokenizer([ASKED, "yes", "no"] * 3, 300)
    return Interpreter(nano_vlm(tokenizer, 32, 40, 1), tokenizer, InterpreterConfig(proprio=state))


def question(opening: float) -> Question:
    """A gripper that is open a little holds something, in a picture that never changes."""
    answer = "yes" if 0.2 < opening < 0.6 else "no"
    return Question(ASKED, answer, *NOTHING, "held", state=np.array([0.5, opening], np.float32))


def said(interpreter: Interpreter, states: np.ndarray) -> list[str]:
    prompts = interpreter.prompts([ASKED] * len(states), [True] * len(states), state=states)
    return write_answers(interpreter, PIXELS, prompts)


def test_what_no_picture_shows_is_learned_from_the_state() -> None:
    interpreter, rng = untrained(state=2), np.random.default_rng(0)
    objective = SceneObjective(interpreter, SceneWeights())
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3, fused=True)
    black = np.zeros((1, 1, 96, 96, 3), np.uint8)
    for _ in range(150):
        questions = [question(opening) for opening in rng.uniform(0, 1, 32)]
        proprio = proprio_of(questions, 2, rng, drop=0.2)
        objective(scene_batch(interpreter, black, questions, proprio=proprio))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    interpreter.eval()
    openings = np.array([0.05, 0.1, 0.3, 0.4, 0.5, 0.7, 0.9])
    states = np.stack([np.full(7, 0.5), openings], axis=1)
    assert said(interpreter, states) == ["no", "no", "yes", "yes", "yes", "no", "no"]
    assert len(set(said(interpreter, np.full((7, 2), np.nan)))) == 1
    prompts = interpreter.prompts([ASKED] * 7, [True] * 7, state=states)
    vision = interpreter.encode_images(PIXELS)
    assert write_answers(interpreter, PIXELS, prompts) == [
        write_plan(interpreter, vision, ASKED, state=state) for state in states
    ]


def test_a_new_sense_changes_nothing_at_first(tmp_path) -> None:
    old = untrained().eval()
    new = continued(old, ("front",), 0, state=6).eval()
    assert continued(new, ("front",), 0) is new and continued(new, ("front",), 0, state=6) is new
    state = np.random.default_rng(0).normal(size=(2, 6))
    texts, seen = [ASKED, "yes"], [True, True]
    with torch.inference_mode():
        before = old(PIXELS, old.prompts(texts, seen, state=state)).hidden
        assert torch.equal(new(PIXELS, new.prompts(texts, seen, state=state)).hidden, before)
        assert new.proprio is not None
        torch.nn.init.normal_(new.proprio.layers[2].weight, std=3.0)
        after = new(PIXELS, new.prompts(texts, seen, state=state)).hidden
        assert (after - before).abs().amax((1, 2)).min() > 0.01
        state[1] = np.nan  # of one of them nobody tells it
        half = new(PIXELS, new.prompts(texts, seen, state=state)).hidden
        assert torch.equal(half[0], after[0]) and torch.allclose(half[1], before[1], atol=1e-6)
    save_interpreter(new, tmp_path)
    with torch.inference_mode():
        loaded = load_interpreter(tmp_path)
        assert torch.equal(loaded(PIXELS, loaded.prompts(texts, seen, state=state)).hidden, half)


def test_states_are_dropped_and_blurred_by_question() -> None:
    questions = [question(0.5) for _ in range(1000)]
    questions[0] = dataclasses.replace(questions[0], state=None)
    questions[1] = dataclasses.replace(questions[1], state=np.zeros(6, np.float32))  # another robot's
    exact = proprio_of(questions, 2)
    assert np.isnan(exact[:2]).all() and (exact[2:] == [0.5, 0.5]).all()
    proprio = proprio_of(questions, 2, np.random.default_rng(0), drop=0.25, jitter=0.01)
    known = np.isfinite(proprio).all(axis=1)
    assert 0.2 < 1 - known.mean() < 0.3 and not np.isfinite(proprio[~known]).any()
    assert 0.008 < proprio[known].std(axis=0).min() and proprio[known].std(axis=0).max() < 0.012
    assert proprio_of(questions, 0).shape == (1000, 0)
