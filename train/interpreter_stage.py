"""Stage 1: the interpreter, on synthetic scenes mixed with frames of recorded data.

Of an environment that is not ours there are no synthetic scenes (`interpreter.pool.scenes=0`). The
interpreter then learns from recorded frames alone to tell what is to be done, which is how the decoder gets
the instruction; where things are it is not shown, and the decoder finds them in its own pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.loading import cache_folders
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.sim.vqa.synthetic_scenes import CAMERAS
from ideomotor.train.distillation.scenes import TaughtSceneObjective
from ideomotor.train.distillation.teaching import Teaching
from ideomotor.train.interpreter_metrics import examine
from ideomotor.train.parallel import first_process_first, own_rows, processes
from ideomotor.train.recipe import InterpreterRecipe, Recipe, as_dict
from ideomotor.train.reporting.page import samples_of
from ideomotor.train.reporting.progress import Countdown
from ideomotor.train.scenes.batch import (
    ahead,
    camera_mask,
    proprio_of,
    recorded_questions,
    rephrased,
    scene_batch,
)
from ideomotor.train.scenes.objective import SceneBatch, SceneObjective
from ideomotor.train.scenes.pool import ScenePool, make_pool
from ideomotor.train.trainer import fit
from ideomotor.vla.checkpoint import load_interpreter
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import PICTURE_MULTIPLE, nano_vlm
from ideomotor.vla.interpreter.pretrained import adopt

Log = Callable[[str], None]
SCENE_ROBOT = "so101"  # whose states synthetic scenes have


def train_interpreter(
    recipe: Recipe,
    out: Path,
    recorded: WindowLoader | None,
    resume: bool = False,
    log: Log = lambda line: None,
    teaching: Teaching | None = None,
) -> tuple[Interpreter, dict[str, float]]:
    """A trained interpreter and its figures on held-out scenes.

    Args:
        recipe: `recipe.interpreter` is this stage.
        out: where state and metrics go.
        recorded: frames to mix in; None for scenes only.
        resume: continue from the state in `out`.
        log: called with lines about what is going on.
        teaching: a policy whose interpreter it learns from beside the data, and whose tokenizer it has.
    """
    stage = recipe.interpreter
    teacher = teaching.networks.interpreter if teaching and teaching.settings.interpreter else None
    cameras, rows = checked_cameras(stage, recipe.robot), annotated(recorded)
    state_size = len(load_embodiment(recipe.robot).state_names) if stage.use_proprio else 0
    if not stage.pool.scenes and not rows:
        raise UserError(
            "set: interpreter.pool.scenes: got 0, expected more, or data recorded by `ideomotor record`: "
            "there is nothing for the interpreter to learn from"
        )
    pool, held_out = _pools(recipe, cameras, log) if stage.pool.scenes else (None, None)
    torch.manual_seed(stage.train.seed)
    if stage.start:
        interpreter = continued(load_interpreter(Path(stage.start)), cameras, stage.align_dim, state_size)
    else:
        tokenizer = teacher.tokenizer if teacher else None
        interpreter = new_interpreter(stage, pool, recorded, cameras, state_size, tokenizer)
    interpreter.plan_head.requires_grad_(False)  # is trained with the decoder
    if recipe.compile:
        interpreter.family.language(interpreter.vlm).compile(dynamic=True)
        interpreter.family.vision(interpreter.vlm).compile()
    objective: nn.Module = SceneObjective(interpreter, stage.weights)
    if teaching and teacher:
        objective = TaughtSceneObjective(objective, teacher, teaching.settings.interpreter)
    metrics = fit(
        "interpreter",
        objective,
        _batches(recipe, interpreter, pool, recorded, rows, state_size),
        samples_of(as_dict(recipe), "interpreter"),
        stage.train,
        out,
        resume,
        lambda: examine(interpreter, held_out) if held_out else {},
    )
    interpreter.plan_head.requires_grad_(True)
    return interpreter, metrics


def _pools(recipe: Recipe, cameras: tuple[str, ...], log: Log) -> tuple[ScenePool, ScenePool]:
    """Scenes to train on and scenes to examine with; the first process renders those that are missing."""
    settings, countdown = recipe.interpreter.pool, Countdown("rendering scenes", log)

    def progress(done: int, total: int) -> None:
        countdown.at(done * settings.shard, total * settings.shard)

    with first_process_first():
        return make_pool(cache_folders.scenes_root(), settings, recipe.workers, progress, cameras)


def _batches(
    recipe: Recipe,
    interpreter: Interpreter,
    pool: ScenePool | None,
    recorded: WindowLoader | None,
    rows: list[range],
    state_size: int,
) -> Callable[[int], SceneBatch]:
    """This process's batch of a step: questions about scenes of the pool, or about recorded frames."""
    stage, cameras = recipe.interpreter, interpreter.config.cameras
    answered = replace(stage.mixture, description=0.0)  # of batches in which nothing long is written

    def batch_at(step: int) -> SceneBatch:
        chance = np.random.default_rng([stage.train.seed, step])
        rng = np.random.default_rng([stage.train.seed, step, 0])
        write = bool(chance.random() < stage.write_share)
        pictures = max(processes()[1], stage.pictures)
        there = None
        shown = recorded is not None and bool(rows) and chance.random() < stage.recorded_share
        if recorded is not None and (shown or pool is None):
            images, there, questions = recorded_questions(recorded, rows, rng, 2 * pictures, cameras)
        else:
            assert pool is not None
            images, questions = pool.draw(rng, pictures, stage.group, stage.mixture if write else answered)
            if recipe.robot != SCENE_ROBOT:
                questions = [replace(question, state=None) for question in questions]
        seeds = rng.integers(0, 2**64, images.shape[:2], dtype=np.uint64)
        questions = [rephrased(question, rng, stage) for question in questions]
        seen = camera_mask(rng, len(questions), len(cameras), there, stage.drop_image, stage.drop_camera)
        proprio = proprio_of(questions, state_size, rng, stage.drop_state, stage.state_jitter)
        mine, group = own_rows(len(images)), len(questions) // len(images)
        asked = slice(mine.start * group, mine.stop * group)
        return scene_batch(
            interpreter,
            images[mine],
            questions[asked],
            write=write,
            seeds=seeds[mine],
            seen=seen[asked],
            proprio=proprio[asked],
        )

    return batch_at


def new_interpreter(
    stage: InterpreterRecipe,
    pool: ScenePool | None,
    recorded: WindowLoader | None,
    cameras: tuple[str, ...] = CAMERAS[:1],
    state: int = 0,
    tokenizer: Any = None,
) -> Interpreter:
    """An untrained interpreter: nano with this tokenizer or one of the words that occur, or around a base."""
    texts = pool.texts() if pool else []
    corpus = texts[:: 1 + len(texts) // 80000]
    if recorded is not None:
        for cache in recorded.caches:
            corpus += [str(line) for texts in cache.vocabulary.values() for line in texts] * 4
    if stage.base:
        spoken = sorted({ahead(line) for line in corpus})
        vlm, tokenizer, base = adopt(
            stage.base, stage.tuning, spoken, stage.image_tokens, stage.lora_rank, stage.copy_base
        )
        config = InterpreterConfig(cameras=cameras, layer=stage.layer, proprio=state, pretrained=base)
        return Interpreter(vlm, tokenizer, config)
    tokenizer = tokenizer or train_tokenizer(corpus, stage.vocabulary)
    vlm = nano_vlm(tokenizer, stage.vision_width, stage.text_width, stage.layers)
    config = InterpreterConfig(
        cameras=cameras,
        layer=stage.layer,
        map_width=stage.map_width,
        context_tokens=stage.context_tokens,
        align_dim=stage.align_dim,
        proprio=state,
    )
    return Interpreter(vlm, tokenizer, config)


def checked_cameras(stage: InterpreterRecipe, robot: str = "so101") -> tuple[str, ...]:
    """The recipe's cameras; UserError unless they are some that scenes are seen with, front first.

    Without scenes it is the robot's first camera, whose pictures nano must be able to take. The mixture is
    checked too: it is drawn from a pool.
    """
    if not stage.pool.scenes:
        first = load_embodiment(robot).cameras[:1]
        for camera in first:
            if not stage.base and (camera.height != camera.width or camera.height % PICTURE_MULTIPLE):
                raise UserError(
                    f"{robot}: camera {camera.name}: {camera.width} x {camera.height} pixels, expected a "
                    f"square of a multiple of {PICTURE_MULTIPLE}, such as 96 x 96, for the interpreter nano"
                )
        if stage.cameras not in ("front", *(camera.name for camera in first)):
            raise UserError(
                f"set: interpreter.cameras: got {stage.cameras!r}, expected the first one of {robot}"
            )
        return tuple(camera.name for camera in first)
    cameras = tuple(name.strip() for name in stage.cameras.split(","))
    if cameras not in (CAMERAS, CAMERAS[:1]):
        raise UserError(f"set: interpreter.cameras: got {stage.cameras!r}, expected 'front' or 'front,wrist'")
    for kind, share in vars(stage.mixture).items():
        if not share >= 0.0:
            raise UserError(f"set: interpreter.mixture.{kind}: got {share}, expected 0 or more")
    return cameras


def continued(
    interpreter: Interpreter, cameras: tuple[str, ...], align_dim: int, state: int = 0
) -> Interpreter:
    """The same interpreter with these cameras, and with alignment and an input of the joints (`state`
    numbers) if they are wanted and it had none: new parts, untrained.

    Its tokenizer stays: it is a byte-level one, which reads and writes words it does not know in pieces.
    """
    config = replace(
        interpreter.config,
        cameras=cameras,
        align_dim=0 if interpreter.config.pretrained else interpreter.config.align_dim or align_dim,
        proprio=interpreter.config.proprio or state,
    )
    if config == interpreter.config:
        return interpreter
    if config.context_tokens and cameras != interpreter.config.cameras:
        had = ",".join(interpreter.config.cameras)
        raise UserError(f"set: interpreter.cameras: expected {had}, whose pictures it has learned to pool")
    changed = Interpreter(interpreter.vlm, interpreter.tokenizer, config)
    missing, unexpected = changed.load_state_dict(interpreter.state_dict(), strict=False)
    assert not unexpected and all(name.startswith(("align.", "proprio.")) for name in missing), missing
    return changed


def annotated(loader: WindowLoader | None) -> list[range]:
    """Rows of the datasets that say what a frame shows. Other people's rarely do: nothing to learn here."""
    if loader is None:
        return []
    starts = np.cumsum([0, *loader.sizes]).tolist()
    known = [{layout.KEYPOINTS, "plan_text"} <= set(cache.columns) for cache in loader.caches]
    return [range(*span) for span, knows in zip(pairwise(starts), known, strict=True) if knows]
