"""`ideomotor data view`: episodes of a dataset as one HTML page, or as a recording for Rerun."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.datasets.outputs import check_output
from ideomotor.launch.console import Output


@dataclass(frozen=True)
class ViewOptions:
    """Shows episodes: videos, joints with their limits, and texts, in one page that needs no network."""

    dataset: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """folder of the dataset"""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None
    """the page to write"""

    rrd: Annotated[Path | None, tyro.conf.arg(metavar="FILE.rrd")] = None
    """the recording to write for the Rerun viewer (needs the extra `rerun`)"""

    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """how many episodes to show"""

    first: Annotated[int, tyro.conf.arg(metavar="INDEX")] = 0
    """the first of them"""

    robot: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """whose joint limits to draw; by default the robot it was recorded with, if it is one of ours"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write a summary as JSON; - is standard output"""


def view(options: ViewOptions) -> int:
    """Writes what was asked for."""
    output = Output(options.json)
    targets = [path for path in (options.out, options.rrd) if path is not None]
    if not targets:
        raise UserError("out: missing, expected --out FILE.html or --rrd FILE.rrd")
    for name, path, suffix in (("out", options.out, ".html"), ("rrd", options.rrd, ".rrd")):
        if path is None:
            continue
        check_output(name, path, [suffix])

    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.datasets.checking.checks import embodiment_of
        from ideomotor.datasets.lerobot.reader import Dataset
        from ideomotor.datasets.viewing import page, rrd

        if options.rrd is not None:
            rrd.require_rerun()
    dataset = Dataset(options.dataset)
    robot = embodiment_of(dataset.meta, load_embodiment(options.robot) if options.robot else None)
    episodes = page.choose(dataset, options.first, options.episodes)
    written = {}
    with output.progress() as progress:
        bar = progress.add_task("viewing", total=len(episodes) * len(targets))
        for path, write in ((options.out, page.write_page), (options.rrd, rrd.write_rrd)):
            if path is not None:
                written[str(path)] = write(dataset, path, episodes, robot, lambda: progress.advance(bar))
    not_shown = page.not_shown(dataset, episodes)
    dataset.close()
    left_out = [{"what": name, "why": why} for name, why in not_shown.items()]
    shown = {"files": written, "episodes": list(episodes), "of": len(dataset)}
    output.result(shown | ({"left_out": left_out} if left_out else {}))
    for name, why in not_shown.items():
        output.text.print(f"{name}: left out: {why}", markup=False)
    for name, size in written.items():
        output.text.print(
            f"{name}: {len(episodes)} of {len(dataset)} episodes, {size / 1e6:.1f} MB", markup=False
        )
    return 0
