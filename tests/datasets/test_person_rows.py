"""Training on what a person drove: of a corrected launch's log the corrections only, or those more often."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.live_writer import LiveEpisode
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.loading.person_rows import PersonRows

ROBOT = load_embodiment("so101")
ROWS, HORIZON = 60, 24  # six rows of four commands
PERSON = np.isin(np.arange(ROWS), [*range(10, 25), *range(40, 50)])
HELD = np.isin(np.arange(ROWS), [*range(10, 13)])  # until the leader was near


def launch_log(root: Path, person: np.ndarray = PERSON) -> Path:
    """A launch's log: row r commands r in hundredths of a radian, four times."""
    log = LiveEpisode(root, ROBOT, 30, "lift the cube", "a test")
    for row in range(ROWS):
        images = {c.name: np.full((c.height, c.width, 3), row, np.uint8) for c in ROBOT.cameras}
        commands = np.full((4, 6), row / 100)
        log.add(images, commands[0], commands, "hold" if HELD[row] else "run", driver=int(person[row]))
    log.finish({})
    return root


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., WindowLoader]:
    folder = tmp_path_factory.mktemp("logs")
    logs = [launch_log(folder / "corrected"), launch_log(folder / "policy", np.zeros(ROWS, bool))]

    def build(*which: int, person: PersonRows, **options) -> WindowLoader:
        data = [logs[i] for i in which]
        return WindowLoader(data, ROBOT, HORIZON, 22, cache_root=folder / "cache", person=person, **options)

    return build


def begun(loader: WindowLoader, batches: int) -> np.ndarray:
    return np.concatenate([loader.batch(step).now.index for step in range(batches)])


def test_only_corrections_are_learned_from_and_only_as_far_as_they_go(load) -> None:
    loader = load(0, person=PersonRows(only=True))
    batch = loader.batch(0)  # 22 rows: an epoch
    assert sorted(batch.now.index) == np.flatnonzero(PERSON & ~HELD).tolist()
    for row, actions, mask in zip(batch.now.index, batch.actions, batch.action_mask, strict=True):
        end = 25 if row < 25 else 50  # handed back
        covered = np.minimum(row + np.arange(HORIZON) // 4, ROWS)
        np.testing.assert_array_equal(mask, covered < end)
        np.testing.assert_allclose(actions[mask, 0], covered[mask] / 100, atol=1e-6)
    np.testing.assert_allclose(batch.past_commands[:, -1, 0], (batch.now.index - 1) / 100, atol=1e-6)


def test_corrections_are_drawn_more_often(load) -> None:
    loader = load(0, person=PersonRows(weight=3))
    rows = begun(loader, 52)  # 22 * 52 = 1144 = 11 epochs of 104
    assert np.bincount(rows, minlength=ROWS).tolist() == (11 * np.where(PERSON & ~HELD, 3, 1)).tolist()


def test_of_several_datasets_too_with_shares_and_with_every_other_frame_only(load) -> None:
    rows = begun(load(1, 0, person=PersonRows(weight=2), weights=(1, 1)), 40)
    inside = rows[rows >= ROWS] - ROWS
    assert len(inside) == len(rows) / 2
    times = np.bincount(inside, minlength=ROWS)
    often, seldom = times[PERSON & ~HELD], times[~PERSON]
    assert 1.8 < often.mean() / seldom.mean() < 2.2
    rows = begun(load(0, person=PersonRows(only=True), every=2), 4)
    assert (rows % 2 == 0).all() and (PERSON & ~HELD)[rows].all()


def test_data_that_no_person_drove_is_refused_by_its_name(load) -> None:
    with pytest.raises(UserError, match=r"/policy: no row that a person drove, expected some$"):
        load(0, 1, person=PersonRows(only=True))
    with pytest.raises(UserError, match=r"^person_weight: got 0, expected a whole number from 1 to 1000$"):
        PersonRows(weight=0)


def test_demonstrations_count_as_a_persons(recorded, tmp_path: Path) -> None:
    person = PersonRows(only=True)
    loader = WindowLoader([recorded], ROBOT, HORIZON, 8, cache_root=tmp_path, person=person)
    plain = WindowLoader([recorded], ROBOT, HORIZON, 8, cache_root=tmp_path)
    np.testing.assert_array_equal(loader.batch(3).now.index, plain.batch(3).now.index)
