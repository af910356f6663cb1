"""The rows of an evaluation on goals: one finished episode each, kept line by line while the run goes on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

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
