"""What `import ideomotor` gives: six functions, each loaded when it is first asked for (docs/api.md).

This folder is mapped to the package `ideomotor` itself (pyproject.toml); the rooms are its subpackages.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ideomotor.launch.api import evaluate as evaluate
    from ideomotor.launch.api import load_policy as load_policy
    from ideomotor.launch.api import make_env as make_env
    from ideomotor.launch.api import open_dataset as open_dataset
    from ideomotor.launch.api import run_episode as run_episode
    from ideomotor.launch.api import train as train

_HERE = Path(__file__).parent
if _HERE.name != "ideomotor":  # an editable install: the rooms are folders of the repository
    __path__.append(str(_HERE.parents[1]))

_NAMES = ("evaluate", "load_policy", "make_env", "open_dataset", "run_episode", "train")


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'ideomotor' has no attribute {name!r} (it has {', '.join(_NAMES)})")
    from ideomotor.launch import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*_NAMES]


class _Package(ModuleType):
    """`train` stays the function when the room of that name is imported (`from ideomotor.train import …`)."""

    @property
    def train(self) -> Any:
        return __getattr__("train")

    @train.setter
    def train(self, room: ModuleType) -> None:
        """The import system's; the room is found in `sys.modules`."""


sys.modules[__name__].__class__ = _Package
