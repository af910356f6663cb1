"""The policy that another learns from: found, checked against what learns, and kept when that is resumed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.files import replace_files
from ideomotor.train.distillation.teaching import Teaching
from ideomotor.train.recipe import Recipe
from ideomotor.vla.checkpoint_info import (
    CONFIG,
    DecoderFacts,
    decoder_facts,
    is_exported,
    read_config,
    read_facts,
    weight_files,
)
from ideomotor.vla.hub import checkpoint_folder
from ideomotor.vla.networks import PolicyNetworks

KEPT = "teacher.json"  # in a training's `state/`: which teacher it began with


def with_teacher(recipe: Recipe, out: Path, resume: bool) -> Recipe:
    """The recipe with the teacher that this training began with, or with the one given, as a folder here.

    Raises:
        UserError: it is no teacher for this recipe's robot and shapes, or another than the one before.
    """
    kept = out / "state" / KEPT
    before = json.loads(kept.read_text(encoding="utf-8")) if resume and kept.is_file() else None
    named = recipe.distill.teacher or (before["folder"] if before else "")
    if resume and (out / "state").is_dir() and named and before is None:
        raise UserError(f"teacher: the training in {out} was begun without one, expected another folder")
    if not named:
        return recipe
    try:
        folder = checkpoint_folder(named).absolute()
        check_teacher(recipe, folder)
    except UserError as error:
        raise UserError(f"teacher: {str(error).removeprefix('policy: ')}") from None
    if before and before["fingerprint"] != _fingerprint(folder):
        raise UserError(f"teacher: {folder} is another one than the training in {out} was begun with")
    return replace(recipe, distill=replace(recipe.distill, teacher=str(folder)))


def keep_teacher(recipe: Recipe, out: Path) -> None:
    """Notes in `out` which teacher its training has; nothing where it has none."""
    if recipe.distill.teacher:
        folder = Path(recipe.distill.teacher)
        noted = {"folder": str(folder), "fingerprint": _fingerprint(folder)}
        (out / "state").mkdir(parents=True, exist_ok=True)
        replace_files({out / "state" / KEPT: (json.dumps(noted, indent=2) + "\n").encode()})


def load_teacher(recipe: Recipe) -> Teaching | None:
    """The recipe's teacher; None where it has none."""
    if not recipe.distill.teacher:
        return None
    return Teaching(PolicyNetworks.from_pretrained(recipe.distill.teacher), recipe.distill)


def check_teacher(recipe: Recipe, folder: Path) -> None:
    """Raises UserError unless the policy in `folder` can teach what the recipe makes; loads nothing."""
    embodiment = load_embodiment(recipe.robot)
    if is_exported(folder):
        raise UserError(f"{folder}: an exported policy, expected the checkpoint that it was made from")
    facts = read_facts(folder)
    facts.check(embodiment)
    _check_decoder(recipe, decoder_facts(folder), embodiment)
    if recipe.distill.interpreter and not (recipe.init.interpreter or recipe.init.policy):
        _check_interpreter(recipe, folder)


def _check_decoder(recipe: Recipe, teacher: DecoderFacts, embodiment: Embodiment) -> None:
    own = recipe.decoder
    for name, got, expected in (
        ("decoder.horizon", own.horizon, teacher.horizon),
        ("decoder.objective.predict", own.objective.predict, teacher.predict),
        ("decoder.objective.noise_knots", own.objective.noise_knots, teacher.noise_knots),
    ):
        if got != expected:
            raise UserError(f"set: {name}: got {got!r}, expected the teacher's {expected!r}")
    size = embodiment.cameras[0].height if embodiment.cameras else teacher.image_size
    if size != teacher.image_size:
        raise UserError(f"it looks at {teacher.image_size} pixels, expected {embodiment.name}'s {size}")
    if recipe.distill.steps and own.objective.predict != "flow":
        raise UserError(f"set: distill.steps: got {recipe.distill.steps}, expected 0 but for the flow")


def _check_interpreter(recipe: Recipe, folder: Path) -> None:
    own, teacher = recipe.interpreter, read_config(folder)["interpreter"]
    alone = "or distill.interpreter=0, with which only the decoder is taught"
    if own.base or teacher.get("pretrained"):
        whose = "the student's" if own.base else "its"
        raise UserError(f"{whose} interpreter is around a pretrained base, expected nano, {alone}")
    if own.start:
        raise UserError(f"set: interpreter.start: got {own.start}, expected a new interpreter, {alone}")
    cameras = tuple(teacher["cameras"])
    asked = tuple(name.strip() for name in own.cameras.split(","))
    if own.pool.scenes == 0:
        asked = tuple(camera.name for camera in load_embodiment(recipe.robot).cameras[:1])
    if cameras != asked:
        got, expected = ",".join(asked), ",".join(cameras)
        raise UserError(
            f"set: interpreter.cameras: got {got!r}, expected the teacher's {expected!r}, {alone}"
        )
    if teacher.get("context_tokens", 0) != own.context_tokens:
        expected = teacher.get("context_tokens", 0)
        raise UserError(f"set: interpreter.context_tokens: expected the teacher's {expected}, {alone}")
    if bool(teacher.get("proprio", 0)) != own.use_proprio:
        wanted = str(bool(teacher.get("proprio", 0))).lower()
        raise UserError(f"set: interpreter.use_proprio: expected the teacher's {wanted}, {alone}")


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in weight_files(folder):
        if name != CONFIG:  # calibrating its confidence changes nothing of what it teaches
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()
