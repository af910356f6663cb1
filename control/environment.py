"""Where an embodiment lives that is not ours: a Gymnasium environment and what its parts are called.

An embodiment file may have a section `environment` (imitate `metaworld.yaml` or `reacher.yaml`). With it
`sim/environments/external.py` needs nothing else to record, train on and evaluate any environment that has
pictures and a box of actions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ideomotor.control.errors import unknown_name
from ideomotor.control.fields import Field

RENDER = "render"  # the picture is not in the observation: it is what `render()` returns
RENDER_NAMED = "render:"  # … or what `render(NAME)` of the environment itself returns, "render:NAME"
FUNCTION = re.compile(r"[\w.]+:\w+")


@dataclass(frozen=True)
class EnvironmentTask:
    """One thing to do there."""

    name: str
    instruction: str
    level: str = ""  # of difficulty, where results are averaged over levels
    max_steps: int = 0  # after which an episode of it has failed; 0: those of the environment


@dataclass(frozen=True)
class Recordings:
    """How others' demonstrations in the environment are to be read, where a dataset is not one of ours."""

    rate: float  # rows a second, whatever their `fps` says
    map: tuple[str, ...]  # SOURCE=TARGET pairs as of --map, used where a dataset has the source


@dataclass(frozen=True)
class Environment:
    """How to make the environment, and where in it things are. Paths are keys with dots between."""

    make: str  # as `gymnasium.make` takes it, "MODULE:ID" or "ID"
    max_steps: int  # after which an episode has failed
    success: str  # path in `info`; an episode has succeeded once the value there is `at_least` this
    at_least: float
    images: Mapping[str, str]  # {camera: path in the observation, "render", or "render:NAME"}
    state: str = ""  # path in the observation; empty: the observation itself
    columns: tuple[int, ...] = ()  # of what is there; all if empty
    task_option: str = ""  # keyword of `gymnasium.make` that a task's name is given by; empty: there is one
    options: Mapping[str, Any] = field(default_factory=dict)  # further keywords
    expert: str = ""  # "MODULE:FUNCTION", see `sim.external.Expert`; empty: nobody shows how it is done
    points: str = ""  # "MODULE:FUNCTION", see `sim.external.Points`; empty: nobody tells where things are
    act_frames: int = 0  # camera frames between the chunks of policies that are trained; 0: as usual
    needs: str = ""  # what to do when its module is not installed
    recordings: Recordings | None = None  # of others
    axes: tuple[
        str, ...
    ] = ()  # of generalisation, along which `reset` changes an episode, see `sim.external`
    tasks: tuple[EnvironmentTask, ...] = ()

    def task(self, name: str) -> EnvironmentTask:
        """Returns the task called `name`; UserError with the valid names otherwise."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise unknown_name("task", name, (task.name for task in self.tasks))

    def steps_of(self, name: str) -> int:
        """Steps after which an episode of the task called `name` has failed."""
        return self.task(name).max_steps or self.max_steps


def parse_environment(section: Field, cameras: tuple[str, ...]) -> Environment:
    """Returns the section `environment` of an embodiment file.

    Args:
        section: as it stands there.
        cameras: names of the embodiment's cameras, each of which must be mapped.

    Raises:
        UserError: a field that is missing, misspelt or of the wrong kind.
    """
    texts = ("state", "task_option", "expert", "points", "needs")
    fields = section.record(
        ("make", "max_steps", "success", "images", "tasks"),
        (*texts, "at_least", "columns", "options", "act_frames", "recordings", "axes"),
    )
    images = fields["images"].record(cameras)
    if "options" in fields and not isinstance(fields["options"].value, dict):
        raise fields["options"].fail("a mapping of keywords")
    for name in {"expert", "points"} & set(fields):
        if not FUNCTION.fullmatch(fields[name].text()):
            raise fields[name].fail("MODULE:FUNCTION")
    tasks = fields["tasks"].named(parse_task)
    if not tasks or (len(tasks) > 1 and "task_option" not in fields):
        raise fields["tasks"].fail("at least one task, and task_option to tell several apart")
    columns = fields["columns"].items() if "columns" in fields else []
    return Environment(
        make=fields["make"].text(),
        max_steps=fields["max_steps"].integer(0, 1_000_000),
        success=fields["success"].text(),
        at_least=fields["at_least"].number() if "at_least" in fields else 1.0,
        images={name: where.text() for name, where in images.items()},
        act_frames=fields["act_frames"].integer(0, 1000) if "act_frames" in fields else 0,
        columns=tuple(item.integer(-1, 100_000) for item in columns),
        options=dict(fields["options"].value) if "options" in fields else {},
        tasks=tasks,
        axes=tuple(item.text() for item in fields["axes"].items()) if "axes" in fields else (),
        recordings=_recordings(fields["recordings"]) if "recordings" in fields else None,
        **{name: fields[name].text() for name in texts if name in fields},
    )


def _recordings(section: Field) -> Recordings:
    fields = section.record(("rate", "map"))
    pairs = tuple(item.text() for item in fields["map"].items())
    return Recordings(fields["rate"].number(above=0.0), pairs)


def parse_task(item: Field) -> EnvironmentTask:
    """Returns one element of `tasks`."""
    fields = item.record(("name", "instruction"), ("level", "max_steps"))
    steps = fields.pop("max_steps").integer(0, 1_000_000) if "max_steps" in fields else 0
    return EnvironmentTask(**{name: value.text() for name, value in fields.items()}, max_steps=steps)
