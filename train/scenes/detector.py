"""Trains the scene detector of `vla/planner/`: `python -m ideomotor.train.scenes.detector --out DIR`.

Scenes are drawn first (`arranged.py`, 25 ms each) and kept in a file; then a few passes over them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import tyro

from ideomotor.control.embodiment import load_embodiment
from ideomotor.train.scenes.arranged import ArrangedScene, arranged_scenes
from ideomotor.vla.planner.camera import FrontCamera
from ideomotor.vla.planner.detector import (
    CELLS,
    GROUPS,
    OPENING,
    RELATIONS,
    DetectorNetwork,
    SceneDetector,
    hand_planes,
)
from ideomotor.vla.planner.things import COLOURS

KINDS = tuple(kind for kinds in GROUPS.values() for kind in kinds)
VISIBLE, HIDDEN = 0.45, 0.1  # shares from which a thing is asked for, and below which it is not there
VALIDATION_SEED = 1_000_000


@dataclass(frozen=True)
class DetectorOptions:
    """What is trained, on how much."""

    out: Path
    """folder for config.json and model.safetensors"""

    layouts: int = 4400
    """scenes are five arrangements each"""

    epochs: int = 4
    """passes over them"""

    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None
    """scenes are kept here, and taken from here where they are there"""

    batch: int = 32
    rate: float = 2e-3
    """learning rate at its highest"""


@dataclass(frozen=True)
class Scenes:
    """Everything of N scenes as arrays."""

    images: np.ndarray  # (N, 96, 96, 3) uint8
    planes: np.ndarray  # (N, EXTRAS, 24, 24) float32
    things: np.ndarray  # (T, 9): scene, kind, colour, small, u, v, relation, opening [m], visible share
    first: np.ndarray  # (N + 1,) where each scene's things begin


def main(options: DetectorOptions) -> int:
    """Draws scenes, trains, and writes the detector with its figures on scenes it never saw."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    camera = FrontCamera(load_embodiment("so101"))
    scenes = scenes_of(camera, 0, options.layouts, options.data)
    check = scenes_of(camera, VALIDATION_SEED, 150, None)
    network = DetectorNetwork()
    torch.manual_seed(0)
    fit(network, scenes, options, check)
    SceneDetector(network, camera).save(options.out, examine(network, check))
    print(f"detector     {options.out}")
    return 0


def scenes_of(camera: FrontCamera, seed: int, layouts: int, kept: Path | None) -> Scenes:
    """Drawn anew, or taken from the file where they are kept."""
    if kept is not None and kept.exists():
        with np.load(kept) as found:
            images, states, things = found["images"], found["states"], found["things"]
    else:
        drawn = list(arranged_scenes(seed, layouts))
        images, states = np.stack([one.image for one in drawn]), np.stack([one.state for one in drawn])
        things = np.array([row for i, one in enumerate(drawn) for row in _rows(i, one)], np.float32)
        if kept is not None:
            np.savez_compressed(kept, images=images, states=states, things=things)
    planes = np.stack([hand_planes(camera, state) for state in states])
    first = np.searchsorted(things[:, 0], np.arange(len(images) + 1))
    return Scenes(images, planes, things, first)


def _rows(index: int, scene: ArrangedScene) -> list[tuple[float, ...]]:
    return [
        (
            index, KINDS.index(one.kind), COLOURS.index(one.colour), one.size == "small", *one.pixel,
            RELATIONS.index(one.relation), one.opening, one.visible,
        )
        for one in scene.things
    ]  # fmt: skip


def fit(network: DetectorNetwork, scenes: Scenes, options: DetectorOptions, check: Scenes) -> None:
    """AdamW with one cycle; prints the figures after each pass."""
    generator = np.random.default_rng(0)
    steps = options.epochs * (len(scenes.images) // options.batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=steps, pct_start=0.15)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    started = monotonic()
    for epoch in range(options.epochs):
        network.train()
        order, total, count = generator.permutation(len(scenes.images)), 0.0, 0
        for at in range(0, len(order) - options.batch + 1, options.batch):
            loss = batch_loss(network, scenes, order[at : at + options.batch], generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            total, count = total + float(loss.detach()), count + 1
        figures = " ".join(f"{name} {value:.3f}" for name, value in examine(network, check).items())
        print(
            f"pass {epoch + 1}  {monotonic() - started:5.0f} s  loss {total / count:.3f}  {figures}",
            flush=True,
        )


def batch_loss(
    network: DetectorNetwork, scenes: Scenes, chosen: np.ndarray, generator: np.random.Generator
) -> torch.Tensor:
    """Focal loss of presence, cross entropy and L1 of the rest where things are."""
    pictures = torch.from_numpy(scenes.images[chosen]).permute(0, 3, 1, 2).float() / 255
    gain = torch.from_numpy(generator.uniform(0.85, 1.15, (len(chosen), 3, 1, 1)).astype(np.float32))
    pictures = pictures * gain + torch.randn_like(pictures) * 0.015
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(pictures, torch.from_numpy(scenes.planes[chosen]))
    loss = torch.zeros(())
    for name, kinds in GROUPS.items():
        targets = _targets(scenes, chosen, KINDS.index(kinds[0]), len(kinds))
        loss = loss + _group_loss(outputs[name].float(), targets, len(kinds), name)
    return loss


@dataclass(frozen=True)
class _Targets:
    heat: torch.Tensor  # (B, 24, 24) in [0, 1], 1 at a thing's cell
    care: torch.Tensor  # (B, 24, 24) whether presence counts there
    cells: tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # batch, row, column of T things
    offsets: torch.Tensor  # (T, 2)
    labels: torch.Tensor  # (T, 4) kind in the group, colour, small, relation
    openings: torch.Tensor  # (T,) in [0, 1]


def _targets(scenes: Scenes, chosen: np.ndarray, first_kind: int, kinds: int) -> _Targets:
    heat = np.zeros((len(chosen), CELLS, CELLS), np.float32)
    care = np.ones_like(heat)
    rows: list[tuple[float, ...]] = []
    grid = np.arange(CELLS) + 0.5
    for index, scene in enumerate(chosen):
        for one in scenes.things[scenes.first[scene] : scenes.first[scene + 1]]:
            _, kind, colour, small, u, v, relation, opening, visible = one
            if not (first_kind <= kind < first_kind + kinds and 0 <= u < 1 and 0 <= v < 1):
                continue
            if visible < HIDDEN:
                continue
            column, row = int(u * CELLS), int(v * CELLS)
            away = (grid[None, :] - u * CELLS) ** 2 + (grid[:, None] - v * CELLS) ** 2
            if visible < VISIBLE:
                care[index][away < 4] = 0
                continue
            heat[index] = np.maximum(heat[index], 0.95 * np.exp(-away / 1.0))
            heat[index, row, column], care[index, row, column] = 1.0, 1.0
            offset = (u * CELLS - column - 0.5, v * CELLS - row - 0.5)
            rows.append((index, row, column, *offset, kind - first_kind, colour, small, relation, opening))
    table = np.array(rows, np.float32).reshape(-1, 10)
    cells = tuple(torch.from_numpy(table[:, i].astype(np.int64)) for i in range(3))
    return _Targets(
        torch.from_numpy(heat), torch.from_numpy(care), (cells[0], cells[1], cells[2]),
        torch.from_numpy(table[:, 3:5]), torch.from_numpy(table[:, 5:9].astype(np.int64)),
        torch.from_numpy(np.clip(table[:, 9] / OPENING, 0, 1)),
    )  # fmt: skip


def _group_loss(output: torch.Tensor, targets: _Targets, kinds: int, name: str) -> torch.Tensor:
    presence = output[:, 0]
    p = torch.sigmoid(presence).clamp(1e-4, 1 - 1e-4)
    there = targets.heat == 1.0
    focal = torch.where(
        there,
        -((1 - p) ** 2) * torch.log(p),
        -((1 - targets.heat) ** 4) * p**2 * torch.log(1 - p),
    )
    count = max(1, len(targets.labels))
    loss = (focal * targets.care).sum() / count
    if len(targets.labels) == 0:
        return loss
    batch, row, column = targets.cells
    at = output[batch, :, row, column]  # (T, outputs)
    kind, colour, small, relation = targets.labels.T
    loss = loss + F.l1_loss(at[:, 1:3], targets.offsets) + F.cross_entropy(at[:, 3 : 3 + kinds], kind)
    rest = at[:, 3 + kinds + len(COLOURS) :]
    loss = loss + F.cross_entropy(at[:, 3 + kinds : 3 + kinds + len(COLOURS)], colour)
    if name == "graspable":
        loss = loss + F.binary_cross_entropy_with_logits(rest[:, 0], small.float())
        loss = loss + F.cross_entropy(rest[:, 1:], relation)
    if name == "fixture":
        drawers = kind == GROUPS["fixture"].index("drawer")
        loss = loss + 4 * (F.l1_loss(rest[drawers, 0], targets.openings[drawers]) if drawers.any() else 0)
    return loss


@torch.inference_mode()
def examine(network: DetectorNetwork, scenes: Scenes) -> dict[str, float]:
    """Shares of visible things that are found (within 3 pixels), and of these, that are named right.

    Returns:
        found, kind, colour, size, relation; opening: mean error [m]; extra: detections a picture that are no
        thing.
    """
    from ideomotor.vla.planner.detector import decoded

    network.eval()
    found, right, extra, errors = list[bool](), {k: list[bool]() for k in RIGHT}, 0, list[float]()
    for index, image in enumerate(scenes.images):
        pictures = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        outputs = network(pictures, torch.from_numpy(scenes.planes[index : index + 1]))
        truth = scenes.things[scenes.first[index] : scenes.first[index + 1]]
        for name, kinds in GROUPS.items():
            detections = decoded(name, outputs[name][0].numpy(), 0.35)
            for one in truth[np.isin(truth[:, 1], [KINDS.index(kind) for kind in kinds])]:
                near = [d for d in detections if np.hypot(d.pixel[0] - one[4], d.pixel[1] - one[5]) < 3 / 96]
                if one[8] >= VISIBLE and 0 <= one[4] < 1 and 0 <= one[5] < 1:
                    found.append(bool(near))
                if near:
                    best = max(near, key=lambda d: d.presence)
                    detections.remove(best)
                    if one[8] >= VISIBLE:
                        _compare(best, one, right, errors)
            extra += len(detections)
    figures = {
        "found": float(np.mean(found)),
        **{name: float(np.mean(values)) for name, values in right.items()},
    }
    return {**figures, "opening": float(np.mean(errors)), "extra": extra / len(scenes.images)}


RIGHT = ("kind", "colour", "size", "relation")


def _compare(detection, one: np.ndarray, right: dict[str, list[bool]], errors: list[float]) -> None:
    right["kind"].append(KINDS.index(detection.kind) == one[1])
    right["colour"].append(COLOURS.index(detection.colour) == one[2])
    if detection.relations:
        right["size"].append((detection.size == "small") == bool(one[3]))
        right["relation"].append(int(np.argmax(detection.relations)) == int(one[6]))
    if detection.kind == "drawer":
        errors.append(abs(detection.opening - float(one[7])))


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(DetectorOptions)))
