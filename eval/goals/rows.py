"""The rows of an evaluation on goals: one finished episode each, kept line by line while the run goes on."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.eval.episode_spec import EpisodeSpec, spec_of
from ideomotor.eval.goals.result import AttemptRow, GoalResult


@dataclass(frozen=True)
class GoalRow:
    """One finished episode of a goal."""

    spec: EpisodeSpec
    instruction: str
    result: GoalResult
    steps: tuple[str, ...]  # skills of the goal's own plan

    def to_json(self) -> dict[str, Any]:
        """The spec's fields beside the result's, as episodes of other suites have them."""
        spec = dataclasses.asdict(self.spec)
        del spec["axis"], spec["strength"]
        result = dataclasses.asdict(self.result)
        progress = self.result.subgoals / self.result.subgoals_wanted
        return {
            **spec,
            "instruction": self.instruction,
            "told": self.instruction,
            **result,
            "progress": progress,
            "steps": list(self.steps),
        }


def row_from_json(fields: dict[str, Any]) -> GoalRow:
    """The row that `to_json` wrote. KeyError, TypeError or ValueError where it is none."""
    attempts = [
        AttemptRow(**{**attempt, "things": tuple(attempt["things"])}) for attempt in fields["attempts"]
    ]
    names = [field.name for field in dataclasses.fields(GoalResult)]
    result = GoalResult(**{**{name: fields[name] for name in names}, "attempts": attempts})
    return GoalRow(spec_of(fields), fields["instruction"], result, tuple(fields["steps"]))


def open_goal_rows(path: Path, fingerprint: str, resume: bool) -> dict[EpisodeSpec, GoalRow]:
    """Rows already in the file, which afterwards ends in a whole line, ready to be appended to.

    Raises:
        UserError: there are some and `resume` is not set, or they are of something else.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    if lines and not resume:
        raise UserError(f"out: {path} holds the results of an earlier run; --resume continues it")
    if lines and json.loads(lines[0]).get("fingerprint") != fingerprint:
        raise UserError(f"out: {path} holds the results of another policy or setup; choose another folder")
    rows: dict[EpisodeSpec, GoalRow] = {}
    for number, line in enumerate(lines[1:], start=2):
        try:
            row = row_from_json(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break  # the line being written when the earlier run died
            raise UserError(f"out: {path}, line {number} is not a result: {error}") from error
        rows[row.spec] = row
    kept = [json.dumps({"fingerprint": fingerprint}), *(json.dumps(row.to_json()) for row in rows.values())]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(line + "\n" for line in kept))
    os.replace(temporary, path)
    return rows
