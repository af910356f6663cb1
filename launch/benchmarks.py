"""`ideomotor bench ...`: the options of the measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class RenderOptions:
    """Measures camera rendering beside gymnasium's MuJoCo renderer, on the same scene in one run."""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the figures as JSON; - is standard output"""


def render(options: RenderOptions) -> int:
    """Runs the measurement."""
    from ideomotor.launch.bench import bench_render

    bench_render(options.json)
    return 0
