"""Stage 3: interpreter and decoder together, on recorded demonstrations.

The interpreter reads the frame that a window's plan is made from as it comes, and goes on learning what that
frame shows; the decoder learns the window from what was read. Insulated, the decoder's gradient ends at the
interpreter's hidden states and points: what is good for the next second of motion does not wear away what was
learned about scenes and words ("knowledge insulation", Driess et al. 2025, arXiv 2505.23705). Not insulated,
the decoder teaches the interpreter too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.loading.window_batch import WindowBatch
from ideomotor.train.action_batch import action_batch, displaceable
from ideomotor.train.action_objective import ActionBatch, ActionObjective, PlanFeatures
from ideomotor.train.chunk_errors import examine, units_of
from ideomotor.train.decoder_stage import EXAMINED
from ideomotor.train.device import to_device
from ideomotor.train.parallel import own_rows, processes
from ideomotor.train.plan_cache import views
from ideomotor.train.recipe import InterpreterRecipe, Recipe
from ideomotor.train.scenes.batch import camera_mask, proprio_noise, question_of, rephrased, scene_batch
from ideomotor.train.scenes.objective import SceneBatch, SceneObjective
from ideomotor.train.trainer import fit
from ideomotor.vla.images import sample_seeds
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.output import InterpreterOutput
from ideomotor.vla.networks import PolicyNetworks

PLAN_STREAM = 16  # of random numbers for the interpreter's pictures; the decoder's cameras count from 0


@dataclass(frozen=True)
class JointBatch:
    """B windows, and the frames that their plans are made from."""

    frames: SceneBatch  # one instruction for each of B frames
    pictured: torch.Tensor  # (B,) 1 where the frame's first picture is given
    windows: ActionBatch  # nobody has read their frames yet


class JointObjective(nn.Module):
    """Both objectives behind one forward call.

    Args:
        scene, action: of one interpreter and its plan head.
        scene_weight: of the interpreter's losses; the decoder's weigh 1.
        insulated: whether the decoder's gradient ends at what was read.
    """

    def __init__(self, scene: SceneObjective, action: ActionObjective, scene_weight: float, insulated: bool):
        super().__init__()
        self.scene, self.action = scene, action
        self.scene_weight, self.insulated = scene_weight, insulated

    def forward(self, batch: JointBatch) -> dict[str, torch.Tensor]:
        """`loss` and the parts of both."""
        reading = self.scene.interpreter(batch.frames.pixels, batch.frames.prompts)
        seen = self.scene.losses(batch.frames, reading)
        acted = self.action(batch.windows, plan_features_of(reading, batch.pictured, self.insulated))
        loss = acted.pop("loss") + self.scene_weight * seen.pop("loss")
        return {"loss": loss, **acted, **seen}


def train_joint(
    recipe: Recipe, loader: WindowLoader, policy: PolicyNetworks, out: Path, resume: bool = False
) -> dict[str, float]:
    """Trains both networks of a policy, in place, and returns the last figures.

    Args:
        recipe: `recipe.joint` is this stage; windows are made as `recipe.decoder` says, instructions are
            varied as `recipe.interpreter` says.
        loader: as of stage 2, with the pictures of the plans' frames.
        policy: what the stages before have trained.
        out: where state and metrics go.
        resume: continue from the state in `out`.
    """
    stage, settings, seed = recipe.joint, recipe.interpreter, recipe.joint.train.seed
    interpreter, decoder, processor = policy.interpreter, policy.decoder, policy.processor
    moving, cameras = displaceable(loader), interpreter.config.cameras
    torch.manual_seed(seed)
    scene = SceneObjective(interpreter, settings.weights)
    embodiment = loader.embodiment.name
    action = ActionObjective(decoder, interpreter.plan_head, embodiment, recipe.decoder.objective)
    if recipe.compile:
        action.compile()
    objective = JointObjective(scene, action, stage.scene_weight, stage.insulated)

    def batch_at(step: int) -> JointBatch:
        chance = np.random.default_rng([seed, step, 3])
        write = bool(chance.random() < stage.write_share)
        windows = loader.batch(step)
        whole = len(windows) * processes()[1]
        mine = own_rows(whole)
        drop_image, drop_camera = settings.drop_image, settings.drop_camera
        shown = camera_mask(chance, whole, len(cameras), None, drop_image, drop_camera)[mine]
        size, drop, jitter = windows.at_plan.state.shape[1], settings.drop_state, settings.state_jitter
        noise = proprio_noise(chance, whole, size, drop, jitter)[mine]
        noisy = replace(windows.at_plan, state=windows.at_plan.state + noise)
        windows = replace(windows, at_plan=noisy)
        rng = np.random.default_rng([seed, step, 4])
        return JointBatch(
            plan_frames(interpreter, windows, (seed, step), write, settings, shown),
            torch.tensor(shown[:, 0], dtype=torch.float32),
            action_batch(windows, None, decoder.config.cameras, processor, recipe.decoder, moving, rng, step),
        )

    def examined() -> dict[str, float]:
        batch = to_device(batch_at(EXAMINED), next(decoder.parameters()).device)
        with torch.inference_mode():
            reading = interpreter(batch.frames.pixels, batch.frames.prompts)
        windows = replace(batch.windows, plan_features=plan_features_of(reading, batch.pictured))
        windows = to_device(windows, torch.device("cpu"))
        return examine(action, windows, processor, policy.sampling, units_of(loader))

    return fit("joint", objective, batch_at, loader.batch_size, stage.train, out, resume, examined)


def plan_features_of(
    reading: InterpreterOutput, pictured: torch.Tensor, insulated: bool = True
) -> PlanFeatures:
    """What the decoder is given of a reading; without a picture (B,) there are no points."""
    pointing = reading.pointing
    presence = pointing.presence.sigmoid() * pictured.unsqueeze(-1)
    parts = (reading.hidden, reading.meaning, pointing.points, presence)
    return PlanFeatures(*(part.detach() if insulated else part for part in parts))


def plan_frames(
    interpreter: Interpreter,
    windows: WindowBatch,
    draw: tuple[int, int],
    write: bool,
    stage: InterpreterRecipe,
    shown: np.ndarray,
) -> SceneBatch:
    """The frames that a loader's windows have their plans from, each with its own instruction.

    Args:
        draw: (seed, step) of all that is random here; with the row it decides, in whatever process.
        write: whether plans are written.
        stage: says how instructions are varied.
        shown: (B, cameras) bool, which pictures are given.

    Frames of which nobody has written down what they show (other people's data) teach the interpreter
    nothing by themselves: only what the decoder wants of it, where it is not insulated.
    """
    frames, rows, cameras = windows.at_plan, windows.now.index, interpreter.config.cameras
    spots = frames.keypoints.reshape(len(windows), 2, 3)
    recorded = zip(windows.instruction, frames.plan_text, spots, frames.state, strict=True)
    questions = [
        rephrased(question_of(*frame), np.random.default_rng([*draw, row]), stage)
        for row, frame in zip(rows.tolist(), recorded, strict=True)
    ]
    seeds = [sample_seeds(*draw, rows, PLAN_STREAM + number) for number in range(len(cameras))]
    batch = scene_batch(
        interpreter,
        views(frames.images, interpreter),
        questions,
        write=write,
        seeds=np.stack(seeds, axis=1),
        seen=shown,
    )
    said = torch.tensor([float(text != "") for text in frames.plan_text])
    marked = torch.from_numpy(np.isfinite(spots).all((1, 2)).astype(np.float32))
    return replace(batch, known=batch.known * marked, is_instruction=batch.is_instruction * said)
