"""The whole training behind `ideomotor train`: interpreter, decoder, checkpoint folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import transformers
from torch import nn

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import Timing, usual_timing
from ideomotor.datasets.loading.loader import open_datasets_cache
from ideomotor.datasets.loading.person_rows import PersonRows
from ideomotor.datasets.mapping.mapping import open_mapped
from ideomotor.datasets.outputs import check_apart
from ideomotor.train.decoder_stage import train_decoder
from ideomotor.train.distillation.teacher import keep_teacher, load_teacher, with_teacher
from ideomotor.train.distillation.teaching import Teaching
from ideomotor.train.interpreter_stage import train_interpreter
from ideomotor.train.joint_stage import train_joint
from ideomotor.train.parallel import (
    OwnWindows,
    first_process_first,
    join_processes,
    processes,
    wait_for_all,
)
from ideomotor.train.recipe import Recipe, as_dict, resolve
from ideomotor.train.reporting.forecast import forecast
from ideomotor.train.reporting.outlook import after, before
from ideomotor.train.reporting.page import write_page
from ideomotor.train.reporting.trackers import summary_writer, trackio
from ideomotor.train.selection import Drive
from ideomotor.vla.checkpoint import CONFIG, load_interpreter, save_interpreter
from ideomotor.vla.checkpoint_info import read_facts
from ideomotor.vla.hub import checkpoint_folder
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.pretrained import Pretrained
from ideomotor.vla.networks import PolicyNetworks

RECIPE = "recipe.json"
Log = Callable[[str], None]


def train(
    data: Sequence[Path],
    out: Path,
    config: str = "nano",
    resume: bool = False,
    overrides: Sequence[str] = (),
    mapping: Sequence[str] = (),
    drive: Drive | None = None,
) -> dict[str, Any]:
    """Trains a policy and writes its checkpoint folder.

    Args:
        data: dataset folders; with none, only the interpreter is trained, from synthetic scenes.
        out: becomes the checkpoint; keeps metrics (`*.jsonl`), `recipe.json` and, for resuming, `state/`.
        config: a recipe of `train.recipe.RECIPES`.
        resume: continue what is in `out` from where it stopped.
        overrides: `key=value` changes to the recipe.
        mapping: `SOURCE=TARGET` names of the data and of the robot, see `datasets.mapping`.
        drive: judges checkpoints if `decoder.select` has tasks, see `train.selection`.

    Returns:
        {"out", "config", "parameters"}, the figures of each stage that was trained ("interpreter", "policy",
        "joint") and, where checkpoints were judged, "selection": which was chosen, see `Selection.outcome`.

    Raises:
        UserError: bad recipe, data or folder.
        KeyboardInterrupt: after the state has been saved.
    """
    check_apart("out", out, data)
    transformers.logging.set_verbosity_error()
    recipe = with_teacher(resolve(config, overrides), out, resume)
    check_apart("out", out, [Path(recipe.distill.teacher)] if recipe.distill.teacher else [])
    timing = _timing(recipe)
    _check(recipe, data, timing)
    _check_trackers(recipe)
    join_processes()
    check_out(out, resume, recipe, processes()[0] == 0, mapping)
    log = _say if processes()[0] == 0 else _silent
    teaching = load_teacher(recipe)

    def windows(batch: int, plan_images: bool) -> OwnWindows:
        return _windows(recipe, data, mapping, timing, batch, plan_images)

    loader = windows(recipe.decoder.batch, plan_images=False) if data else None
    if loader:
        for line in (*loader.notes, *before(forecast(recipe, loader, out, resume, teaching), recipe)):
            log(line)
    figures: dict[str, Any] = {}
    policy, chosen = PolicyNetworks.from_pretrained(recipe.init.policy) if recipe.init.policy else None, None
    if policy and recipe.decoder.train.left_out:
        interpreter = policy.interpreter
    else:
        interpreter = _first_stage(recipe, out, loader, resume, log, figures, teaching)
        if loader:
            policy, figures["policy"], chosen = train_decoder(
                recipe.decoder, loader, interpreter, out, resume, log, policy, recipe.compile, drive, teaching
            )
    if policy and not recipe.joint.train.left_out:
        pairs = windows(recipe.joint.batch, plan_images=True)
        figures["joint"] = train_joint(recipe, pairs, policy, out, resume)
    parts: list[nn.Module] = [policy.interpreter, policy.decoder] if policy else [interpreter]
    if processes()[0] == 0:
        for part in parts:
            part.to("cpu")
        text = card(recipe, config, figures, interpreter.config.pretrained, chosen)
        if policy:
            policy.save_pretrained(out, text)
        else:
            save_interpreter(interpreter, out, text)
        for line in (lines := after(figures, recipe)):
            log(line)
        log(f"curves: {write_page(out, notes=lines)}")
    parameters = sum(p.numel() for part in parts for p in part.parameters())
    result = {"out": str(out), "config": config, "parameters": parameters, **figures}
    return {**result, "selection": chosen} if chosen else result


def _windows(
    recipe: Recipe,
    data: Sequence[Path],
    mapping: Sequence[str],
    timing: Timing,
    batch: int,
    plan_images: bool,
) -> OwnWindows:
    """Windows of the data, `batch` of all processes together; first each process decodes its share of it."""
    embodiment, (rank, world) = load_embodiment(recipe.robot), processes()
    datasets = open_mapped(data, embodiment, mapping)
    for dataset in datasets[rank::world]:
        open_datasets_cache(dataset, embodiment)
    with first_process_first():  # and all find the caches
        return OwnWindows(
            datasets,
            embodiment,
            horizon=recipe.decoder.horizon,
            batch_size=max(1, batch // world) * world,
            timing=timing,
            seed=recipe.decoder.train.seed,
            weights=recipe.decoder.weights,
            every=recipe.decoder.every,
            person=PersonRows(recipe.decoder.person_weight, recipe.decoder.person_only),
            plan_images=plan_images,
        )


def _first_stage(
    recipe: Recipe,
    out: Path,
    loader: OwnWindows | None,
    resume: bool,
    log: Log,
    figures: dict[str, Any],
    teaching: Teaching | None,
) -> Interpreter:
    """The interpreter that stage 2 is given: the recipe's, the one that was finished before, or a new one,
    whose figures are added to `figures`."""
    kept = out / "state" / "interpreter"
    if recipe.init.interpreter:
        return load_interpreter(Path(recipe.init.interpreter))
    if resume and (kept / CONFIG).is_file():
        return load_interpreter(kept)
    interpreter, figures["interpreter"] = train_interpreter(recipe, out, loader, resume, log, teaching)
    if processes()[0] == 0:
        save_interpreter(interpreter, kept)
    wait_for_all()
    return interpreter


def _timing(recipe: Recipe) -> Timing:
    """Of the policy that is trained further, or of the teacher, or what is usual for the robot."""
    if known := recipe.init.policy or recipe.distill.teacher:
        return read_facts(checkpoint_folder(known)).timing
    return usual_timing(load_embodiment(recipe.robot))


def _check(recipe: Recipe, data: Sequence[Path], timing: Timing) -> None:
    """Raises UserError for stages that lack what they need, and for chunks of an impossible length."""
    horizon, per = recipe.decoder.horizon, recipe.decoder.commands_per_token
    if horizon % per or horizon <= timing.max_prefix_ticks:
        raise UserError(
            f"set: decoder.horizon: got {horizon}, expected a multiple of {per} above the longest delay, "
            f"{timing.max_prefix_ticks} commands"
        )
    if recipe.decoder.train.left_out and not recipe.init.policy:
        raise UserError(
            "set: decoder.train.steps=0 leaves out stage 2, which needs init.policy=DIR, its policy"
        )
    if recipe.init.policy and not data:
        raise UserError("set: init.policy: given without --data; with no data only an interpreter is trained")


def _check_trackers(recipe: Recipe) -> None:
    """Raises UserError where a program is not installed that figures shall go to."""
    stages = (recipe.interpreter.train, recipe.decoder.train, recipe.joint.train)
    if any(stage.tensorboard for stage in stages):
        summary_writer()
    if any(stage.trackio for stage in stages):
        trackio()


def check_out(out: Path, resume: bool, recipe: Recipe, first: bool, mapping: Sequence[str] = ()) -> None:
    """Prepares the output folder and writes the resolved recipe; UserError when it is already used."""
    if out.exists() and not out.is_dir():
        raise UserError(f"out: {out} is a file, expected a folder")
    if not resume and ((out / CONFIG).exists() or (out / "state").exists()):
        raise UserError(f"out: {out} already has a training in it; use --resume or another folder")
    if resume and _begun_by_an_older_version(out):
        raise UserError(
            f"out: the training in {out} was begun by an older version, whose recipe had other keys; "
            "resume it with that version, or train into another folder"
        )
    if first:
        out.mkdir(parents=True, exist_ok=True)
        resolved = {"recipe": as_dict(recipe), "mapping": list(mapping), "revision": revision()}
        (out / RECIPE).write_text(json.dumps(resolved, indent=2) + "\n", encoding="utf-8")
        keep_teacher(recipe, out)


def _begun_by_an_older_version(out: Path) -> bool:
    try:
        recipe = json.loads((out / RECIPE).read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return "init" not in recipe and (out / "state").exists()


def revision() -> str:
    """The git revision of this code, "unknown" where it is not in a repository."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return asked.stdout.strip() if asked.returncode == 0 else "unknown"


def card(
    recipe: Recipe,
    config: str,
    figures: dict[str, Any],
    base: Pretrained | None = None,
    chosen: dict[str, Any] | None = None,
) -> str:
    """A model card with what is known at the end of training, of a policy around `base` or of nano."""
    lines = [
        "---",
        f"license: {'other' if base else 'apache-2.0'}",
        "library_name: ideomotor",
        "pipeline_tag: robotics",
        "---",
        "",
        f"# Ideomotor policy for {recipe.robot}",
        "",
        f"Trained with `ideomotor train --config {config}`, revision {revision()}.",
        f"The resolved recipe is in `{RECIPE}`.",
    ]
    if base:
        held = "are in this folder" if base.stored else "are not in this folder and are loaded from there"
        lines += [
            "",
            f"Its interpreter is made from `{base.source}` (tuning: {base.tuning}), whose weights {held}; "
            "that model's licence applies too.",
        ]
    for stage, values in figures.items():
        lines += ["", f"## {stage.capitalize()}, last figures", ""]
        lines += [f"- {name}: {value:.4g}" for name, value in values.items()]
    if chosen:
        lines += [
            "",
            f"These are the weights of step {chosen['step']}, the best of {len(chosen['judgements'])} that "
            f"drove: {chosen['successes']} of {chosen['episodes']} episodes solved. Chosen by these, "
            "they do better on them than on others; `ideomotor eval` measures on others.",
        ]
    return "\n".join(lines) + "\n"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """The other processes."""
