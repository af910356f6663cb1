"""The loss of the scene detector: where things are, and what they are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ideomotor.train.scenes.detector_data import HIDDEN, KINDS, VISIBLE, Scenes
from ideomotor.vla.planner.perception.detector import CELLS, GROUPS, OPENING, DetectorNetwork
from ideomotor.vla.planner.things import COLOURS


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
