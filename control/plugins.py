"""What other installed packages add: robots, teleoperators and cameras, by their entry points.

    [project.entry-points."ideomotor.robots"]
    circle_bot = "my_package:ROBOT"                 # a `RobotPlugin`
    [project.entry-points."ideomotor.teleoperators"]
    circle = "my_package:make_teleoperator"         # (Embodiment, DEV or None) -> Teleoperator
    [project.entry-points."ideomotor.cameras"]
    testcard = "my_package:make_camera"             # (CameraSpec, SOURCE) -> Camera

Nothing of them is imported before one is asked for by its name, and then in the process that uses it.
`examples/ideomotor_example` is such a package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError

ROBOTS, TELEOPERATORS, CAMERAS = "ideomotor.robots", "ideomotor.teleoperators", "ideomotor.cameras"


@dataclass(frozen=True)
class RobotPlugin:
    """A robot of another package.

    Attributes:
        embodiment: its file, whose `driver` has the name of the entry point.
        make: (Embodiment, DEV or None) -> the robot, not connected: see `control/robots/external_arm.py`.
    """

    embodiment: Path
    make: Callable[[Any, str | None], Any]


def plugin_names(group: str) -> list[str]:
    """The names that installed packages have for one of the groups, sorted."""
    return sorted({entry.name for entry in entry_points(group=group)})


def has_plugin(group: str, name: str) -> bool:
    """Whether an installed package has this name; nothing of it is imported."""
    return bool(entry_points(group=group, name=name))


def load_plugin(group: str, name: str) -> Any:
    """Imports what an entry point names.

    Raises:
        UserError: there is none of this name, several packages have it, or it cannot be imported.
    """
    what = group.rpartition(".")[2].removesuffix("s")
    found: dict[str, EntryPoint] = {entry.value: entry for entry in entry_points(group=group, name=name)}
    if not found:
        names = ", ".join(plugin_names(group)) or "none"
        raise UserError(f"{what}: no installed package has {name!r} (installed: {names})")
    if len(found) > 1:
        raise UserError(f"{what}: several installed packages have {name!r}: {', '.join(sorted(found))}")
    (entry,) = found.values()
    try:
        return entry.load()
    except Exception as error:
        raise UserError(
            f"{what}: {entry.value} cannot be imported ({type(error).__name__}: {error}), expected what "
            f"entry point {name!r} of group {group} names"
        ) from error


def load_robot(name: str) -> RobotPlugin:
    """Imports the robot of an entry point; `UserError` as `load_plugin`, or if it is no `RobotPlugin`."""
    found = load_plugin(ROBOTS, name)
    if not isinstance(found, RobotPlugin):
        raise UserError(f"robot: entry point {name!r} is a {type(found).__name__}, expected a RobotPlugin")
    return found
