"""`ideomotor policy halve`: a checkpoint with its weights in float16."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class HalveOptions:
    """Writes a checkpoint with its weights in float16, half the size; what computes stays float32."""

    old: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OLD")]
    """checkpoint folder, which stays as it is"""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """new folder"""


def halve(options: HalveOptions) -> int:
    """The command."""
    from ideomotor.vla.checkpoint_info import WEIGHTS
    from ideomotor.vla.halving import halve_checkpoint

    halve_checkpoint(options.old, options.out)
    before, after = ((folder / WEIGHTS).stat().st_size / 1e6 for folder in (options.old, options.out))
    print(f"{options.out}: weights in float16, {after:.1f} MB instead of {before:.1f}")
    return 0
