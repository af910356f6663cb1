"""Trains the scene detector of `vla/planner/`: `python -m ideomotor.train.scenes.detector --out DIR`.

Scenes are drawn first (`arranged.py`, 25 ms each) and kept in a file; then a few passes over them. After each
pass the training is saved in `state/`, and `--resume` goes on from there, to the same weights.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated

import numpy as np
import torch
import tyro

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.train.scenes.detector_data import KINDS, VISIBLE, Scenes, scenes_of
from ideomotor.train.scenes.detector_loss import batch_loss
from ideomotor.train.state import Training, last_state, load_state, save_state
from ideomotor.vla.planner.perception.camera import FrontCamera
from ideomotor.vla.planner.perception.detector import (
    GROUPS,
    DetectorNetwork,
    SceneDetector,
)
from ideomotor.vla.planner.things import COLOURS

VALIDATION_SEED = 1_000_000
RISES, START, END, BETAS = 0.15, 25.0, 1e4, (0.85, 0.95)  # of the one-cycle policy


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

    resume: bool = False
    """go on with an interrupted training from its last pass, with the same options"""

    checked: int = 150
    """layouts that it never sees, for the figures"""


def main(options: DetectorOptions) -> int:
    """Draws scenes, trains, and writes the detector with its figures on scenes it never saw."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    camera = FrontCamera(load_embodiment("so101"))
    scenes = scenes_of(camera, 0, options.layouts, options.data)
    check = scenes_of(camera, VALIDATION_SEED, options.checked, None)
    torch.manual_seed(0)
    network = DetectorNetwork()
    fit(network, scenes, options, check)
    SceneDetector(network, camera).save(options.out, examine(network, check))
    print(f"detector     {options.out}")
    return 0


def fit(network: DetectorNetwork, scenes: Scenes, options: DetectorOptions, check: Scenes) -> None:
    """AdamW with one cycle; after each pass prints the figures and saves where it is.

    Raises:
        UserError: there are fewer scenes than one batch has, or what is to be resumed had other options.
    """
    per_pass = len(scenes.images) // options.batch
    if per_pass == 0:
        raise UserError(f"layouts: {len(scenes.images)} scenes, expected at least a batch of {options.batch}")
    steps = options.epochs * per_pass
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-3)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training, state_file = _begun(network, optimiser, options, per_pass)
    started = monotonic()
    for epoch in range(training.at.step // per_pass, options.epochs):
        generator = np.random.default_rng([0, epoch])  # of this pass alone, so that it can be resumed
        torch.manual_seed(epoch)
        network.train()
        order, total, count = generator.permutation(len(scenes.images)), 0.0, 0
        for at in range(0, len(order) - options.batch + 1, options.batch):
            for group in optimiser.param_groups:
                group["lr"], first_beta = one_cycle(training.at.step, steps, options.rate)
                group["betas"] = (first_beta, group["betas"][1])
            loss = batch_loss(network, scenes, order[at : at + options.batch], generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            training.at.step += 1
            total, count = total + float(loss.detach()), count + 1
        figures = " ".join(f"{name} {value:.3f}" for name, value in examine(network, check).items())
        print(
            f"pass {epoch + 1}  {monotonic() - started:5.0f} s  loss {total / count:.3f}  {figures}",
            flush=True,
        )
        training.mean = {name: one.detach().clone() for name, one in training.learned.items()}  # none is kept
        save_state(state_file, training)


def one_cycle(step: int, steps: int, peak: float) -> tuple[float, float]:
    """(learning rate, Adam's first beta) of a step of so many, as in the one-cycle policy (Smith, 2018).

    Both follow a cosine, up during the first 15 % of the steps and down afterwards.
    """
    turn = max(RISES * steps - 1, 1e-9)
    if step <= turn:
        share, ends = step / turn, ((peak / START, peak), (BETAS[1], BETAS[0]))
    else:
        share = (step - turn) / max(steps - 1 - turn, 1e-9)
        ends = ((peak, peak / START / END), (BETAS[0], BETAS[1]))
    weight = (1 + math.cos(math.pi * share)) / 2
    rate, beta = (last + (first - last) * weight for first, last in ends)
    return rate, beta


def _begun(
    network: DetectorNetwork, optimiser: torch.optim.Optimizer, options: DetectorOptions, per_pass: int
) -> tuple[Training, Path]:
    """The training, from its beginning or where it was interrupted, and the file of its state."""
    learned = dict(network.named_parameters())
    training = Training(learned, {name: one.detach().clone() for name, one in learned.items()}, optimiser)
    state_file = options.out / "state" / "detector.safetensors"
    about = state_file.with_suffix(".json")
    same = {"epochs": options.epochs, "per_pass": per_pass, "batch": options.batch, "rate": options.rate}
    if options.resume and (newest := last_state(state_file)) is not None:
        before = json.loads(about.read_text()) if about.is_file() else None
        if before != same:
            raise UserError(
                f"resume: {options.out} was begun with {before}, expected the same as now: {same}"
            )
        load_state(newest, training)
    else:
        state_file.parent.mkdir(parents=True, exist_ok=True)
        about.write_text(json.dumps(same) + "\n")
    return training, state_file


@torch.inference_mode()
def examine(network: DetectorNetwork, scenes: Scenes) -> dict[str, float]:
    """Shares of visible things that are found (within 3 pixels), and of these, that are named right.

    Returns:
        found, kind, colour, size, relation; opening: mean error [m], each where there is something to measure
        it by; extra: detections a picture that are no thing.
    """
    from ideomotor.vla.planner.perception.detector import decoded

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
    measured: dict[str, list[bool] | list[float]] = {"found": found, **right, "opening": errors}
    figures = {name: float(np.mean(values)) for name, values in measured.items() if values}
    return {**figures, "extra": extra / len(scenes.images)}


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
