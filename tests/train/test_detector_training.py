"""The scene detector's scenes say what is so in them; its training goes through, and on where it stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.sim.scene import GRASPABLE
from ideomotor.train.scenes import arranged, detector, detector_data
from ideomotor.train.scenes.arranged import PER_LAYOUT, arranged_scenes
from ideomotor.train.scenes.detector import DetectorOptions, main, one_cycle
from ideomotor.vla.planner.perception.camera import FrontCamera
from ideomotor.vla.planner.perception.detector import RELATIONS, SIDE, SceneDetector

LAYOUTS = 8
CAMERA = FrontCamera(load_embodiment("so101"))


@pytest.fixture(scope="module")
def scenes():
    return list(arranged_scenes(3, LAYOUTS))


def test_scenes_show_things_in_many_relations_and_say_what_is_seen_of_them(scenes) -> None:
    assert arranged.RELATIONS == RELATIONS and len(scenes) == LAYOUTS * PER_LAYOUT
    things = [thing for scene in scenes for thing in scene.things]
    assert {thing.relation for thing in things if thing.kind in GRASPABLE} >= {"free", "held", "on_thing"}
    assert all(thing.relation == "free" for thing in things if thing.kind not in GRASPABLE)
    assert all(0 <= thing.visible <= 1 for thing in things) and any(thing.visible > 0.9 for thing in things)
    for scene in scenes:
        assert scene.image.shape == (SIDE, SIDE, 3) and scene.image.std() > 5
        assert scene.state.shape == (6,) and np.isfinite(scene.state).all()
        assert sum(thing.relation == "held" for thing in scene.things) <= 1
        for thing in scene.things:
            assert thing.opening == 0 or thing.kind == "drawer"
            if thing.visible > 0.9 and thing.kind in GRASPABLE:  # there is something of its colour
                column, row = (min(SIDE - 1, int(SIDE * x)) for x in thing.pixel)
                patch = scene.image[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4].astype(int)
                assert (patch.max(axis=-1) - patch.min(axis=-1)).max() > 40


def test_a_layouts_scenes_are_its_own(scenes) -> None:
    (first, *_), *_ = [list(arranged_scenes(3, 1))]
    assert np.array_equal(first.image, scenes[0].image) and first.things == scenes[0].things
    assert not np.array_equal(next(iter(arranged_scenes(4, 1))).image, first.image)


def test_the_one_cycle_policy_is_torchs() -> None:
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.002)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.002, total_steps=40, pct_start=0.15)
    for step in range(40):
        group = optimiser.param_groups[0]
        assert one_cycle(step, 40, 0.002) == pytest.approx((group["lr"], group["betas"][0]))
        optimiser.step()
        if step < 39:
            schedule.step()


def test_a_training_is_resumed_to_the_same_weights_and_writes_what_is_loaded(
    tmp_path, capsys, monkeypatch
) -> None:
    def options(out: str, **more) -> DetectorOptions:
        return DetectorOptions(
            tmp_path / out, LAYOUTS, 2, tmp_path / "scenes.npz", batch=8, checked=2, **more
        )

    assert main(options("whole")) == 0
    drawn = []
    monkeypatch.setattr(
        detector_data,
        "arranged_scenes",
        lambda seed, layouts: drawn.append((seed, layouts)) or arranged_scenes(seed, layouts),
    )
    figures, asked = detector.examine, []

    def interrupted(network, scenes):
        asked.append(1)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return figures(network, scenes)

    monkeypatch.setattr(detector, "examine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(options("part"))
    assert not (tmp_path / "part" / "config.json").exists()
    monkeypatch.setattr(detector, "examine", figures)
    capsys.readouterr()
    assert main(options("part", resume=True)) == 0
    shown = capsys.readouterr().out
    assert "pass 2" in shown and "pass 1" not in shown
    assert (0, LAYOUTS) not in drawn  # its scenes were kept
    whole, part = (SceneDetector.from_pretrained(tmp_path / name, CAMERA) for name in ("whole", "part"))
    for one, other in zip(
        whole.network.state_dict().values(), part.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    scene = next(iter(arranged_scenes(3, 1)))
    assert isinstance(whole.detect(scene.image, scene.state, least=0.0), list)
    with pytest.raises(UserError, match="resume: .* was begun with"):
        main(
            DetectorOptions(
                tmp_path / "part", LAYOUTS, 3, tmp_path / "scenes.npz", batch=8, checked=2, resume=True
            )
        )
    with pytest.raises(UserError, match="at least a batch of 999"):
        main(DetectorOptions(tmp_path / "none", LAYOUTS, 1, tmp_path / "scenes.npz", batch=999, checked=2))


def test_it_learns_from_a_few_scenes(tmp_path) -> None:
    """The loss on what it learns from falls to a fraction."""
    scenes = detector_data.scenes_of(CAMERA, 3, 2, None)
    torch.manual_seed(0)
    network, generator = detector.DetectorNetwork(), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = detector.batch_loss(network, scenes, np.arange(len(scenes.images)), generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.isfinite(losses).all() and losses[-1] < 0.6 * losses[0]
