"""`ideomotor train`: a policy from datasets. `torchrun` starts it unchanged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.datasets.outputs import check_apart, check_output_folder
from ideomotor.launch.console import Output
from ideomotor.launch.serving.lerobot_options import TrainerOptions

PEERS_OWN = ("data", "out", "peer", "set", "lerobot", "json")  # options that --peer understands


@dataclass(frozen=True)
class TrainOptions:
    """Trains a policy on datasets and writes its checkpoint folder.

    Before it begins it says how long it will take on this machine, and afterwards whether that was enough;
    DIR/training.html shows the curves meanwhile. On two cores: `--config quick` about ten minutes (one task),
    the default many hours, `make policy` two hours (eight tasks). See docs/training.md, How long it takes.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR...")]
    """folders of datasets, such as `ideomotor record` writes"""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """becomes the checkpoint, and keeps what --resume needs"""

    config: Annotated[str, tyro.conf.arg(metavar="NAME")] = "nano"
    """recipe to start from: nano (all tasks; hours), quarter (nano at a quarter of its size, for --teacher),
    quick (one task; minutes), metaworld, libero, or smoke (seconds; learns nothing)"""

    teacher: Annotated[str, tyro.conf.arg(metavar="DIR")] = ""
    """a trained policy that this one learns from beside the data, such as a larger one (see distill.weight),
    or one that needs several steps for a chunk (see distill.steps)"""

    minutes: Annotated[float | None, tyro.conf.arg(metavar="N")] = None
    """train for N minutes instead of the recipe's steps, a third of them the interpreter, then the decoder;
    rendering and reading frames come on top"""

    interpreter: Annotated[str, tyro.conf.arg(metavar="ID_OR_DIR")] = ""
    """build on this instead of training nano from scratch: a pretrained vision-language model, by hub id or
    folder (see interpreter.tuning), or a checkpoint, whose interpreter is then used as it is"""

    set: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")]] = ()
    """change one value of the recipe, such as decoder.train.steps=2000; may be given several times"""

    map: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOURCE=TARGET")]] = ()
    """show a camera, state or action of the data under the robot's name, such as
    observation.images.top=front or main_gripper=gripper:percent; may be given several times"""

    only_person: bool = False
    """learn only from what a person drove: of launches that were corrected, the corrections"""

    person_weight: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """draw windows that a person drove N times as often as those that a policy drove"""

    resume: bool = False
    """continue an interrupted training in --out"""

    peer: Annotated[str, tyro.conf.arg(metavar="act|diffusion")] = ""
    """train LeRobot's policy instead, on one dataset, by LeRobot's trainer in its own environment; --set then
    changes options of lerobot-train, such as steps=2000 or policy.chunk_size=32 (docs/environments.md)"""

    lerobot: TrainerOptions = TrainerOptions()
    """of --peer"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the last figures as JSON; - is standard output"""


def train(options: TrainOptions) -> int:
    """Trains to the end of the recipe. On Ctrl-C the state is kept, for `--resume`."""
    output = Output(options.json)
    if not options.data:
        raise UserError("data: got no folder, expected at least one dataset")
    for folder in options.data:
        if not folder.is_dir():
            raise UserError(f"data: no folder {str(folder)!r}, expected a dataset")
    check_output_folder("out", options.out)
    check_apart("out", options.out, options.data)
    if options.peer:
        return _train_peer(options, output)
    if options.lerobot != TrainerOptions():
        raise UserError("lerobot: its options belong to --peer")

    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.datasets.mapping.mapping import open_mapped
        from ideomotor.launch.commands.checkpoint_selection import check_selection, driver
        from ideomotor.train.distillation.teacher import with_teacher
        from ideomotor.train.recipe import resolve
        from ideomotor.vla.interpreter.pretrained import check

    overrides = [*_given(options.interpreter), *options.set]
    overrides += [f"distill.teacher={options.teacher}"] if options.teacher else []
    overrides = [*_lasting(options.minutes, overrides), *overrides]
    overrides += ["decoder.person_only=true"] if options.only_person else []
    overrides += [f"decoder.person_weight={options.person_weight}"] if options.person_weight != 1 else []
    recipe = resolve(options.config, overrides)
    embodiment, stage = load_embodiment(recipe.robot), recipe.interpreter
    check_selection(recipe.decoder.select, embodiment)
    open_mapped(options.data, embodiment, options.map)  # before anything is written or decoded
    recipe = with_teacher(recipe, options.out, options.resume)
    if stage.base and not recipe.init.interpreter:
        check(stage.base, stage.tuning, stage.image_tokens, stage.lora_rank, stage.layer)

    with loading():
        from ideomotor.train.parallel import processes
        from ideomotor.train.pipeline import train

    drive = driver(recipe.decoder.select, recipe.robot)
    result = train(options.data, options.out, options.config, options.resume, overrides, options.map, drive)
    if processes()[0] == 0:
        output.result(result)
        if chosen := result.get("selection"):
            solved = f"{chosen['successes']} of {chosen['episodes']} episodes solved"
            output.text.print(f"chosen: the weights of step {chosen['step']}, {solved}", markup=False)
        output.text.print(f"{result['parameters']:,} parameters, checkpoint in {options.out}", markup=False)
    return 0


def _train_peer(options: TrainOptions, output: Output) -> int:
    """LeRobot's policy by LeRobot's trainer."""
    from ideomotor.launch.commands.train_peer import train_peer

    for field in fields(options):
        if field.name not in PEERS_OWN and getattr(options, field.name) != field.default:
            raise UserError(f"{field.name.replace('_', '-')}: is of our trainer, got it with --peer")
    result = train_peer(options.peer, options.data, options.out, options.set, options.lerobot.python)
    output.result(result)
    rate = result["samples_per_s"]
    output.text.print(
        f"{result['parameters']:,} parameters, {f'{rate:.1f} samples a second, ' if rate else ''}"
        f"checkpoint: --policy lerobot:{options.out}",
        markup=False,
    )
    return 0


def _given(interpreter: str) -> list[str]:
    """`--interpreter` as a change of the recipe: a checkpoint of ours says its format in its config."""
    if not interpreter:
        return []
    try:
        config = json.loads((Path(interpreter) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    ours = isinstance(config, dict) and str(config.get("format", "")).startswith("ideomotor")
    return [f"init.interpreter={interpreter}" if ours else f"interpreter.base={interpreter}"]


def _lasting(minutes: float | None, overrides: Sequence[str]) -> list[str]:
    """`--minutes` as changes of the recipe; all are the decoder's where an interpreter is given."""
    if minutes is None:
        return []
    if not 0 < minutes < float("inf"):
        raise UserError(f"minutes: got {minutes:g}, expected more than 0")
    given = any(
        change.partition("=")[0].strip() in ("init.interpreter", "init.policy") for change in overrides
    )
    first = 0.0 if given else round(minutes / 3, 3)
    return [f"interpreter.train.minutes={first}", f"decoder.train.minutes={round(minutes - first, 3)}"]
