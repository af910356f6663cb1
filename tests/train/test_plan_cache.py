"""Plans of frozen interpreters are read once for a dataset and found by row through several datasets."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ideomotor.control.errors import UserError
from ideomotor.train.interpreter_stage import continued
from ideomotor.train.plan_cache import PlanCache, read_plans, views
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm


class FakeLoader:
    """Two datasets of different lengths whose frames are of one brightness each."""

    def __init__(self, folder, lengths=(5, 70), every=1):
        self.rows, self.red, self.every = sum(lengths), lengths[0], every
        self.asked: list[int] = []
        self.caches = [
            SimpleNamespace(
                folder=folder / str(number),
                starts=np.array([0, length]),
            )
            for number, length in enumerate(lengths)
        ]
        for cache in self.caches:
            cache.folder.mkdir(exist_ok=True)

    def used(self, rows):
        start = np.where(rows < self.red, 0, self.red)
        return rows - (rows - start) % self.every

    def row_instructions(self, rows):
        return [f"reach the {'red' if row < self.red else 'blue'} cube" for row in rows]

    def row_states(self, rows):
        return np.stack([rows, 0 * rows], axis=1) / 75

    def row_images(self, rows):
        self.asked += rows.tolist()
        return {
            "front": np.broadcast_to((rows * 3)[:, None, None, None], (len(rows), 96, 96, 3)).astype("u1")
        }


@pytest.fixture
def interpreter() -> Interpreter:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["reach the red cube", "reach the blue cube"], 300)
    return Interpreter(nano_vlm(tokenizer, 32, 40, 1), tokenizer, InterpreterConfig()).eval()


def test_each_frame_is_read_once_with_its_own_words(interpreter: Interpreter, tmp_path) -> None:
    loader = FakeLoader(tmp_path)
    plans = read_plans(interpreter, loader, lambda line: None)
    assert sorted(loader.asked) == list(range(75))
    rows = np.array([74, 3, 4, 5])
    pixels = torch.from_numpy(loader.row_images(rows)["front"]).movedim(-1, 1).float() / 127.5 - 1
    instructions = [f"reach the {colour} cube" for colour in ("blue", "red", "red", "blue")]
    prompts = interpreter.prompts(instructions, [True] * 4)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        hidden = interpreter(pixels.unsqueeze(1), prompts).hidden.float().flatten(1)
    np.testing.assert_allclose(plans[rows][:, : hidden.shape[1]], hidden, atol=0.1)
    read_plans(interpreter, again := FakeLoader(tmp_path), lambda line: None)
    assert again.asked == []
    with torch.no_grad():
        next(interpreter.vlm.parameters()).add_(0.01)
    read_plans(interpreter, again, lambda line: None)  # another interpreter says something else
    assert sorted(again.asked) == list(range(75))


def test_what_it_feels_is_read_too(interpreter: Interpreter, tmp_path) -> None:
    feeling = continued(interpreter, ("front",), 0, state=2)
    assert feeling.proprio is not None
    torch.nn.init.normal_(feeling.proprio.layers[2].weight, std=3.0)
    rows, plain = np.array([74]), read_plans(interpreter, FakeLoader(tmp_path), lambda line: None)
    moved = read_plans(feeling, loader := FakeLoader(tmp_path), lambda line: None)
    pixels = torch.from_numpy(loader.row_images(rows)["front"]).movedim(-1, 1).float() / 127.5 - 1
    prompts = feeling.prompts(loader.row_instructions(rows), [True], state=loader.row_states(rows))
    with torch.inference_mode():
        hidden = feeling(pixels.unsqueeze(1), prompts).hidden.flatten(1)
    np.testing.assert_allclose(moved[rows][:, : hidden.shape[1]], hidden, atol=0.1)
    assert abs(moved[rows] - plain[rows]).max() > 0.3


def test_unknown_words_are_thrown_into_a_share_of_the_instructions(interpreter, tmp_path) -> None:
    plain = read_plans(interpreter, FakeLoader(tmp_path), lambda line: None)
    mixed = read_plans(interpreter, FakeLoader(tmp_path), lambda line: None, unknown_words=0.5)
    rows = np.arange(75)
    same = (plain[rows] == mixed[rows]).all(axis=1)
    assert 20 < same.sum() < 55
    again = read_plans(interpreter, FakeLoader(tmp_path), lambda line: None, unknown_words=0.5)
    assert np.array_equal(again[rows], mixed[rows])


def test_a_share_of_the_frames_is_read_without_its_instruction(interpreter, tmp_path) -> None:
    plain = read_plans(interpreter, FakeLoader(tmp_path), lambda line: None)
    mixed = read_plans(interpreter, FakeLoader(tmp_path), lambda line: None, dropped=0.5)
    silent = read_plans(interpreter, FakeLoader(tmp_path), lambda line: None, dropped=1.0)
    rows = np.arange(75)
    as_said, unheard = ((plans[rows] == mixed[rows]).all(axis=1) for plans in (plain, silent))
    assert 20 < as_said.sum() < 55
    assert (as_said ^ unheard).all()


def test_rows_count_through_all_datasets() -> None:
    parts = [np.arange(4.0).reshape(2, 2), 10 + np.arange(6.0).reshape(3, 2)]
    plans = PlanCache([part.astype(np.float16) for part in parts])
    assert plans[np.array([4, 0, 2])].tolist() == [[14, 15], [0, 1], [10, 11]]


def test_frames_that_are_not_used_are_not_read(interpreter: Interpreter, tmp_path) -> None:
    whole = read_plans(interpreter, FakeLoader(tmp_path), lambda line: None)
    third = read_plans(interpreter, loader := FakeLoader(tmp_path, every=3), lambda line: None)
    used = np.array([0, 3, *range(5, 75, 3)])
    assert sorted(loader.asked) == used.tolist()
    np.testing.assert_allclose(third[used].astype(float), whole[used].astype(float), atol=0.1)


def test_a_robot_without_the_interpreters_camera_is_refused(interpreter: Interpreter) -> None:
    (camera, *_) = interpreter.config.cameras
    with pytest.raises(
        UserError, match=rf"^robot: the interpreter sees .*{camera}.* cameras are top, left: "
    ):
        views({"top": np.zeros((1, 8, 8, 3)), "left": np.zeros((1, 8, 8, 3))}, interpreter)
