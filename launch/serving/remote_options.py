"""What `--policy ws://…` and `--policy openpi://…` need to be given, for `run`, `eval` and `launch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

OURS = ("ws://", "wss://")  # how an address of our own servers begins
OPENPI = ("openpi://", "openpis://")  # … and of openpi's, without and with TLS


@dataclass(frozen=True)
class RemoteOptions:
    """Of a policy that is asked over a network (docs/serving.md)."""

    token_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """file with the token of the policy server"""

    ca: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """certificate of the policy server, where no public authority vouches for it"""

    decoder: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """with --policy ws://…: only plans come from there; the decoder runs here, of the same checkpoint"""

    jpeg: Annotated[int | None, tyro.conf.arg(metavar="QUALITY")] = None
    """send pictures as JPEG, 1 to 100, over a slow network; by default as they are"""

    action_hz: Annotated[float | None, tyro.conf.arg(metavar="N")] = None
    """with --policy openpi://…: commands a second of that policy"""

    map: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="THEIRS=OURS")]] = ()
    """with --policy openpi://…: what that policy calls a camera, the state, the instruction, and its actions,
    e.g. observation/image=front:224, actions=joints:deg; may be given several times (docs/serving.md)"""
