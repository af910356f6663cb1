"""`ideomotor policy convert`: a checkpoint of the format before this one, written anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ConvertOptions:
    """Writes a checkpoint of an earlier version in this one's format; what it does stays the same."""

    old: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OLD")]
    """checkpoint folder, which stays as it is"""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """new folder"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = ""
    """robot it was trained for, if you have an embodiment file of your own"""


def convert(options: ConvertOptions) -> int:
    """The command."""
    from ideomotor.vla.conversion import convert_checkpoint

    convert_checkpoint(options.old, options.out, options.robot)
    print(f"{options.out}: the checkpoint in this version's format")
    return 0
