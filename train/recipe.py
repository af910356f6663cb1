"""Recipes: everything that decides a training, as one typed value with presets and overrides."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.train.action_objective import ActionSettings
from ideomotor.train.distillation.settings import DistillSettings
from ideomotor.train.learner import Settings
from ideomotor.train.recipe_overrides import overridden
from ideomotor.train.scenes.objective import SceneWeights
from ideomotor.train.scenes.pool import Mixture, PoolSettings
from ideomotor.train.selection import SelectionSettings
from ideomotor.vla.decoder.sampling import sampler_of


@dataclass(frozen=True)
class InterpreterRecipe:
    """Stage 1: the interpreter learns to see and to read, from synthetic scenes and recorded frames."""

    pool: PoolSettings = field(default_factory=PoolSettings)
    mixture: Mixture = field(default_factory=Mixture)
    weights: SceneWeights = field(default_factory=SceneWeights)
    cameras: str = "front"  # what the interpreter sees, or "front,wrist"
    context_tokens: int = 0  # that all cameras' pictures are pooled into, of nano; 0: they are not
    align_dim: int = 64  # of the space of pictures and descriptions, of nano; 0: there is none
    start: str = ""  # folder of a checkpoint whose interpreter is trained further, with its tokenizer
    base: str = ""  # id or folder of a pretrained vision-language model; empty: nano, from scratch
    tuning: str = "frozen"  # of a base: "frozen", "lora" or "full"
    lora_rank: int = 16  # of the adapters of "lora"
    layer: int = -1  # which hidden state is the plan, of a new interpreter; -1: the last, normalised one
    image_tokens: int = 64  # most tokens a picture may become in a base
    copy_base: bool = False  # whether checkpoints hold a base that is not tuned in full, or only name it
    train: Settings = field(default_factory=lambda: Settings(steps=12000, learning_rate=1.2e-3))
    vision_width: int = 128
    text_width: int = 160
    layers: int = 4
    map_width: int = 64  # channels of the map that is pointed in
    vocabulary: int = 768
    pictures: int = 16  # a batch, of all processes together
    group: int = 4  # questions about each picture, which is encoded once
    write_share: float = 0.5  # of batches in which plans and descriptions are written; others are aligned
    recorded_share: float = 0.3  # of batches that come from the recorded data instead of the pool
    drop_image: float = 0.02  # share of questions asked without any picture
    drop_camera: float = 0.1  # share of questions from which each of several cameras is missing
    use_proprio: bool = False  # whether the interpreter gets the joint state
    drop_state: float = 0.1  # share of questions without it
    state_jitter: float = 0.01  # added to it [rad or m]
    unknown_words: float = 0.4  # share of the instructions with unknown words thrown in
    drop_instruction: float = 0.03  # share of the instructions that are left out; questions never are


@dataclass(frozen=True)
class DecoderRecipe:
    """Stage 2: the decoder learns to act on recorded data, with the interpreter frozen."""

    objective: ActionSettings = field(default_factory=ActionSettings)
    train: Settings = field(default_factory=lambda: Settings(steps=15000, learning_rate=1e-3, average=0.999))
    width: int = 192
    heads: int = 4
    blocks: int = 4
    commands_per_token: int = 16
    vision: str = "keypoints"  # of the decoder, one of `vla.decoder.VISIONS`
    vision_width: int = 128  # channels of its coarsest map
    state_octaves: int = 4  # sines and cosines of each number of the state
    experts: int = 0  # routed ones in each MLP of the decoder, see `vla.decoder.experts`; 7: 4 times as many
    waypoints_every: int = 0  # commands between waypoints that are predicted first, such as 24; 0: none
    origin: str = "command"  # what joint targets are relative to, of `vla.processor.ORIGINS`; the teacher's
    state_noise: float = 0.035  # white, at most so large in a window, mostly far smaller [rad or m]
    horizon: int = 96  # commands of a chunk, at the control rate
    batch: int = 128  # windows, of all processes together
    delayed: float = 0.3  # share of windows that begin with a committed prefix
    off_path_augmentation: float = 0.01  # see `train.action_batch.off_path_augmentation` [rad]
    unknown_words: float = 0.3  # share of the frames whose instruction has unknown words thrown in
    drop_instruction: float = 0.03  # share of the frames whose instruction is left out
    sampler: str = ""  # a sampler of `vla.sampler.SAMPLERS`; empty: the objective's first
    steps: int = 0  # of the sampler; 0: one for the flow, five for the noise
    noise: float = 1.0  # that it begins with, see `vla.sampler.SamplingConfig`
    smoothing: float = 5000.0  # of sampled chunks, see `vla.smoothing`
    shift: int = 2  # random shift of the decoder's pictures [pixels]
    colour: float = 0.2  # random recolouring of the decoder's pictures
    blur: float = 0.0  # share of the decoder's pictures that are out of focus
    drop: float = 0.0  # share of the decoder's pictures that are lost: mid-grey
    every: int = 1  # only every so many frames of an episode are used, as starts of windows and for plans
    weights: tuple[float, ...] = ()  # relative number of windows of each dataset; by their rows if empty
    person_weight: int = 1  # how many times as often windows begin where a person drove as where a policy did
    person_only: bool = False  # windows begin where a person drove only, and end where they handed back
    select: SelectionSettings = field(default_factory=SelectionSettings)


@dataclass(frozen=True)
class JointRecipe:
    """Stage 3, left out by default: both networks together, on the data and by the recipe of stage 2."""

    train: Settings = field(default_factory=lambda: Settings(steps=0, learning_rate=3e-4))
    batch: int = 64  # windows, of all processes together
    insulated: bool = True  # whether the decoder's gradient ends before the interpreter
    scene_weight: float = 0.1  # of what the interpreter goes on learning; the decoder's losses weigh 1
    write_share: float = 0.5  # of batches in which plans are written


@dataclass(frozen=True)
class Init:
    """What a training begins with, instead of from nothing."""

    interpreter: str = ""  # folder of a checkpoint whose interpreter is used instead of stage 1
    policy: str = ""  # folder of a policy whose decoder is trained further, with its normalisation


@dataclass(frozen=True)
class Recipe:
    """A whole training."""

    init: Init = field(default_factory=Init)
    robot: str = "so101"
    workers: int = 2  # processes that render scenes
    compile: bool = False  # through torch.compile: needs a C++ compiler, pays after minutes
    interpreter: InterpreterRecipe = field(default_factory=InterpreterRecipe)
    decoder: DecoderRecipe = field(default_factory=DecoderRecipe)
    joint: JointRecipe = field(default_factory=JointRecipe)
    distill: DistillSettings = field(default_factory=DistillSettings)


_TINY = Settings(steps=3, warmup=1, precision="no", log_every=1)

# The decoder before this one: vision as a grid of tokens, most operations in the layers behind it, chunks
# that begin at the measured state. Figures of the bundled policies and of `make policy` are of this one.
GRID = DecoderRecipe(
    objective=ActionSettings(draws=2, pure_noise=0.0),
    vision="grid",
    commands_per_token=8,
    blocks=6,
    origin="state",
    state_octaves=0,
    state_noise=0.0,
    steps=5,
)

RECIPES: dict[str, Recipe] = {
    "nano": Recipe(),
    "grid": Recipe(decoder=GRID),
    # Both networks at a quarter of nano's parameters, 1.9 M in all: with --teacher (docs/training.md).
    "quarter": Recipe(
        interpreter=InterpreterRecipe(vision_width=64, text_width=80, layers=2),
        decoder=DecoderRecipe(width=96, heads=2, vision_width=64),
    ),
    # One task from a few hundred of our own demonstrations, in about ten minutes (docs/training.md): to see
    # through frames of one task takes a fraction of the steps that scenes of all do, and no rendering.
    "quick": Recipe(
        interpreter=InterpreterRecipe(
            pool=PoolSettings(scenes=0),
            align_dim=0,
            train=Settings(steps=250, learning_rate=1.2e-3, warmup=30, average=0.99, log_every=10),
            write_share=0.1,
        ),
        decoder=DecoderRecipe(
            train=Settings(
                steps=800, learning_rate=1e-3, warmup=50, average=0.99, log_every=10, examine_every_s=60.0
            ),
            batch=64,
            every=2,
            noise=0.5,
        ),
    ),
    # Of an environment whose commands are deltas, with no scenes of ours (docs/metaworld.md). Experts there
    # answer to what they see, not to what they did: past commands would teach a policy to copy itself.
    "metaworld": Recipe(
        robot="metaworld",
        interpreter=InterpreterRecipe(
            pool=PoolSettings(scenes=0),
            align_dim=0,
            train=Settings(steps=1500, learning_rate=1.2e-3),
            write_share=0.1,  # there is little to say about a frame
        ),
        decoder=replace(
            GRID,
            objective=replace(GRID.objective, drop_past_commands=1.0, noise_knots=6),
            horizon=32,
            batch=64,
        ),
    ),
    # LIBERO with two cameras, at 20 Hz (docs/libero.md): a chunk is 16 commands, of which 8 are carried out.
    "libero": Recipe(
        robot="libero",
        interpreter=InterpreterRecipe(
            pool=PoolSettings(scenes=0),
            align_dim=0,
            train=Settings(steps=3000, learning_rate=1.2e-3),
            write_share=0.1,
        ),
        decoder=replace(
            GRID,
            objective=replace(GRID.objective, drop_past_commands=1.0, noise_knots=6),
            horizon=16,
            commands_per_token=4,
            batch=64,
        ),
    ),
    "smoke": Recipe(  # seconds: to see that everything fits together
        workers=1,
        interpreter=InterpreterRecipe(
            pool=PoolSettings(scenes=16, shard=16),
            train=_TINY,
            vision_width=32,
            text_width=32,
            layers=1,
            pictures=4,
            group=2,
        ),
        decoder=DecoderRecipe(train=_TINY, width=32, heads=2, blocks=2, batch=4),
        joint=JointRecipe(train=replace(_TINY, steps=0), batch=4),
    ),
}


def resolve(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe called `name` with `key=value` overrides applied in order.

    Raises:
        UserError: unknown recipe, key or name (with a near match), or a value of the wrong type.
    """
    if name not in RECIPES:
        raise unknown_name("config", name, RECIPES)
    recipe = overridden(RECIPES[name], overrides)
    sampler_of(recipe.decoder.objective.predict, recipe.decoder.sampler)
    if recipe.decoder.waypoints_every and recipe.decoder.objective.predict != "flow":
        raise UserError("set: decoder.waypoints_every: of a decoder that predicts the flow, expected 0")
    return recipe


def as_dict(recipe: Any) -> dict[str, Any]:
    """The recipe as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))
