"""`ideomotor data edit`: delete, trim, merge, split and rename, always into a new dataset."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from rich.progress import Progress, TaskID

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.datasets.outputs import check_apart, check_output_folder
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.datasets.editing.pieces import Piece
    from ideomotor.datasets.lerobot.reader import Dataset


Repeated = tyro.conf.UseAppendAction


@dataclass(frozen=True)
class EditOptions:
    """Edits LeRobot datasets into a new one; several become one, in this order.

    Episodes are numbered from 0 through all datasets given. Nothing is changed in place. When it was
    interrupted, the same command goes on after the last complete episode.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR...")]
    """folders of datasets"""

    out: Annotated[Path, tyro.conf.arg(metavar="OUT")]
    """folder of the new dataset; with --split, of the new datasets"""

    delete: Annotated[str, tyro.conf.arg(metavar="EPISODES")] = ""
    """episodes to leave out, such as 0,3-5"""

    keep: Annotated[str, tyro.conf.arg(metavar="EPISODES")] = ""
    """episodes to keep, the others are left out"""

    trim: tyro.conf.UseAppendAction[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="EPISODE=START:STOP")]
    ] = ()
    """keep only these frames of an episode, such as 3=15:240; may be given several times"""

    split: Repeated[Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=EPISODES")]] = ()
    """a dataset OUT/NAME of its own with these episodes; given several times, every episode once"""

    rename: Repeated[Annotated[tuple[str, ...], tyro.conf.arg(metavar="OLD=NEW")]] = ()
    """another name for a feature or a camera; may be given several times"""

    drop: Repeated[Annotated[tuple[str, ...], tyro.conf.arg(metavar="FEATURE")]] = ()
    """leave out a feature or a camera; may be given several times"""

    rename_task: Repeated[Annotated[tuple[str, ...], tyro.conf.arg(metavar="OLD=NEW")]] = ()
    """another text for an instruction; may be given several times"""

    instruction: Repeated[Annotated[tuple[str, ...], tyro.conf.arg(metavar="EPISODES=TEXT")]] = ()
    """the instruction of these episodes, such as "0-9=lift the cube"; may be given several times"""

    reencode: bool = False
    """encode all pictures again (H.264); by default only where frames are cut between key frames"""

    dry_run: bool = False
    """only say what would be done"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was done as JSON; - is standard output"""


def edit(options: EditOptions) -> int:
    """Shows the plan, writes the dataset and checks it; 1 if the check finds something."""
    output = Output(options.json)
    check_output_folder("out", options.out)
    check_apart("out", options.out, options.sources)

    with loading():
        from ideomotor.datasets.checking.checks import validate
        from ideomotor.datasets.editing.edit import check_alike, edit_of, lines, write
        from ideomotor.datasets.lerobot.reader import Dataset

    if not options.sources:
        raise UserError("data: got no folder, expected at least one dataset")
    datasets = [Dataset(folder) for folder in options.sources]
    chosen = _pieces(options, datasets)
    changes = edit_of(datasets, options.rename, options.drop, options.rename_task, options.reencode)
    check_alike(datasets, changes)
    for out, pieces in chosen.items():
        for line in lines(datasets, pieces, changes, out):
            output.text.print(line, markup=False)
    done: list[dict[str, Any]] = []
    for out, pieces in chosen.items() if not options.dry_run else ():
        with output.progress() as bar:
            shown = functools.partial(_show, bar, bar.add_task(f"writing {out.name}", total=None))
            written = write(datasets, pieces, changes, out, shown)
        problems = validate(out)
        done.append(
            {
                "out": str(out),
                "episodes": written.episodes,
                "frames": written.frames,
                "tasks": written.tasks,
                "left_out": written.left_out,
                "problems": problems,
            }
        )
        for item in written.left_out:
            output.text.print(f"{item['what']}: left out: {item['why']}", markup=False)
        for problem in problems:
            output.text.print(f"{problem['where']}: {problem['what']}", markup=False)
    output.result({"dry_run": options.dry_run, "datasets": done})
    return 1 if any(one["problems"] for one in done) else 0


def _show(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _pieces(options: EditOptions, datasets: list[Dataset]) -> dict[Path, list[Piece]]:
    """What each new dataset consists of."""
    from ideomotor.datasets.editing import pieces as parts

    lengths = [np.diff(dataset.starts).tolist() for dataset in datasets]
    whole = [length for own in lengths for length in own]
    pieces = parts.all_pieces(lengths)
    if options.keep and options.delete:
        raise UserError("keep: given together with --delete, expected one of them")
    if options.keep:
        kept = parts.episodes_named(options.keep, len(whole), "keep")
        pieces = [piece for piece in pieces if piece.number in kept]
    if options.delete:
        pieces = parts.deleted(pieces, parts.episodes_named(options.delete, len(whole), "delete"))
    left = {piece.number for piece in pieces}
    cuts = dict(parts.cut_of(text, whole) for text in options.trim)
    for number in cuts:
        if number not in left:
            raise UserError(f"trim: episode {number} is left out")
    pieces = parts.trimmed(pieces, cuts)
    for text in options.instruction:
        which, _, words = text.partition("=")
        pieces = parts.instructed(pieces, parts.episodes_named(which, len(whole), "instruction"), words)
    if not options.split:
        return {options.out: pieces}
    return _split(options, pieces, len(whole))


def _split(options: EditOptions, pieces: list[Piece], total: int) -> dict[Path, list[Piece]]:
    from ideomotor.datasets.editing.pieces import episodes_named

    found: dict[Path, list[Piece]] = {}
    taken: dict[int, str] = {}
    for text in options.split:
        name, equals, which = text.partition("=")
        if not equals or not name or "/" in name or name in (".", "..") or options.out / name in found:
            raise UserError(f"split: got {text!r}, expected NAME=EPISODES, each with a name of its own")
        numbers = episodes_named(which, total, "split")
        for number in numbers:
            if number in taken:
                raise UserError(f"split: episode {number} is in {taken[number]!r} and in {name!r}")
            taken[number] = name
        found[options.out / name] = [piece for piece in pieces if piece.number in numbers]
        if not found[options.out / name]:
            raise UserError(f"split: {name!r} would have no episode")
    if lost := sorted({piece.number for piece in pieces} - taken.keys()):
        raise UserError(f"split: episode {lost[0]} is in none of them; --delete leaves it out")
    return found
