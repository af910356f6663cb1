"""An embodiment file that is part of another: the same robot, some of its environment's tasks, or further
ones.

    like: libero          # an embodiment that comes with the package
    levels: [spatial]     # only its tasks of these levels

or `tasks`, a list as in a section `environment`, instead of its own. `description` and `expert` (a function,
or `none`) may differ as well. Commands, state and name are the same, so that one policy drives in all of
them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ideomotor.control.environment import FUNCTION, Environment, parse_task
from ideomotor.control.fields import Field

PART = ("description", "levels", "tasks", "expert")
LIKE, NONE = "like", "none"


def is_part(top: Field) -> bool:
    """Whether a file is part of another."""
    return isinstance(top.value, dict) and LIKE in top.value


def whole_of(top: Field) -> str:
    """The name of the embodiment that it is part of; UserError where it names none, or itself."""
    field = top.record((LIKE,), PART)[LIKE]
    if field.text() == top.file.removesuffix(".yaml"):
        raise field.fail("another embodiment")
    return field.text()


def part_of(top: Field, description: str, whole: Environment | None) -> tuple[str, Environment]:
    """Description and environment of the part, from those of the whole.

    Raises:
        UserError: a field that is missing, misspelt or of the wrong kind, or levels that the whole has not.
    """
    fields = top.record((LIKE,), PART)
    if whole is None:
        raise fields[LIKE].fail("an embodiment with an environment")
    if ("levels" in fields) == ("tasks" in fields):
        raise top.fail("either levels or tasks")
    changes: dict[str, Any] = {}
    if "levels" in fields:
        known = {task.level for task in whole.tasks if task.level}
        levels = [item.value for item in fields["levels"].items()]
        if not levels or not set(levels) <= known:
            raise fields["levels"].fail("some of " + ", ".join(sorted(known)))
        changes["tasks"] = tuple(task for task in whole.tasks if task.level in levels)
    else:
        changes["tasks"] = fields["tasks"].named(parse_task)
        if not changes["tasks"]:
            raise fields["tasks"].fail("at least one task")
    if "expert" in fields:
        expert = fields["expert"].text()
        if expert != NONE and not FUNCTION.fullmatch(expert):
            raise fields["expert"].fail("MODULE:FUNCTION, or none")
        changes |= {"expert": "", "points": ""} if expert == NONE else {"expert": expert}
    text = fields["description"].text() if "description" in fields else description
    return text, replace(whole, **changes)
