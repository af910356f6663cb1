"""Where the programs of other projects are that tests compare with."""

from __future__ import annotations

import os
from pathlib import Path


def python_of(peer: str) -> str:
    """The Python of a peer's environment, as IDEOMOTOR_PEER_PYTHON names it; empty where nothing does."""
    return os.environ.get(f"IDEOMOTOR_{peer}_PYTHON", "")


def why_not(peer: str, what: str) -> str:
    """Why a peer's program (`what`, in words) cannot be run here; empty where it can."""
    python = python_of(peer)
    if not python:
        return f"IDEOMOTOR_{peer}_PYTHON does not name a Python with {what} (see make interop)"
    said = Path(python).parent.parent / "why_not.txt"
    if said.exists():
        return f"no environment with {what}: {said.read_text().strip()}"
    return "" if Path(python).exists() else f"no environment with {what} at {python} (see make interop)"
