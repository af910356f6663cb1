"""`ideomotor data convert`: datasets of other layouts become LeRobot v3.0."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.datasets.outputs import check_output_folder
from ideomotor.launch.console import Output


@dataclass(frozen=True)
class ConvertOptions:
    """Converts a LeRobot dataset (v2.0, v2.1, v3.0) or a robomimic HDF5 file into LeRobot v3.0.

    When it was interrupted, the same command goes on after the last complete episode.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    """folder of a LeRobot dataset, or an .hdf5 file"""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """folder of the new dataset"""

    robot: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """make it a dataset of this robot: its cameras and joints, in its units"""

    map: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOURCE=TARGET")]] = ()
    """a camera, state or action of the data under the robot's name, as in `ideomotor train`"""

    fps: Annotated[float | None, tyro.conf.arg(metavar="N")] = None
    """rows per second of an HDF5 file that does not say"""

    task: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """the instruction of an HDF5 file; by default the one in it, or the environment's name"""

    state: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY")]] = ()
    """an observation of an HDF5 file that belongs to observation.state; may be given several times"""

    skip_damaged: bool = False
    """leave out episodes that cannot be used, and list them, instead of stopping at the first"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was converted as JSON; - is standard output"""


def convert(options: ConvertOptions) -> int:
    """Converts to the end; Ctrl-C keeps the episodes that are complete."""
    output = Output(options.json)
    check_output_folder("out", options.out)

    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.datasets.importing.convert import convert

    with output.progress() as bar:
        task = bar.add_task("episodes", total=None)
        result = convert(
            options.source,
            options.out,
            embodiment=load_embodiment(options.robot) if options.robot else None,
            mapping=options.map,
            fps=options.fps,
            task=options.task,
            state=options.state,
            skip_damaged=options.skip_damaged,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    frames = f"{result['episodes']} episodes, {result['frames']} frames in {options.out}"
    output.result(result)
    for item in result["left_out"]:
        said = item["why"] if item["why"].startswith("narrowed: ") else f"left out: {item['why']}"
        output.text.print(f"{item['what']}: {said}", markup=False)
    output.text.print(frames, markup=False)
    return 0
