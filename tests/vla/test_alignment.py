"""The contrastive loss: pairs are drawn together, and equal descriptions do not push each other away."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ideomotor.vla.interpreter.alignment import Alignment


def unit(*rows: tuple[float, ...]) -> torch.Tensor:
    return F.normalize(torch.tensor(rows), dim=-1)


def test_pairs_cost_less_than_the_wrong_way_round() -> None:
    align, one = Alignment(8, 2), unit((1.0, 0.0), (0.0, 1.0))
    names = torch.tensor([1, 2])
    assert align.loss(one, one, names) < 1e-4 < 5.0 < align.loss(one, one.flip(0), names)


def test_equal_descriptions_are_no_negatives() -> None:
    align, same = Alignment(8, 2), unit((1.0, 0.0), (1.0, 0.0))
    pictures = same.clone().requires_grad_()
    align.loss(pictures, same, torch.tensor([5, 5])).backward()
    assert pictures.grad is not None and pictures.grad.abs().max() < 1e-6
    others = same.clone().requires_grad_()
    align.loss(others, unit((1.0, 0.0), (0.6, 0.8)), torch.tensor([5, 6])).backward()
    assert others.grad is not None and others.grad.abs().max() > 1e-2


def test_it_learns_which_text_belongs_to_which_picture() -> None:
    torch.manual_seed(0)
    align = Alignment(24, 16)
    tokens, hidden, names = torch.randn(12, 5, 24), torch.randn(12, 24), torch.arange(12)
    optimizer = torch.optim.Adam(align.parameters(), lr=3e-3)
    for _ in range(80):
        loss = align.loss(align.pictures(tokens), align.texts(hidden), names)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    near = align.pictures(tokens) @ align.texts(hidden).T
    assert torch.equal(near.argmax(-1), names)
