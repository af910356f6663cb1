"""What success is judged by when somebody says what to do: a goal of the scene, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ideomotor.control.errors import UserError

SHOWN = 4  # goals in a sentence


@dataclass(frozen=True)
class Judging:
    """Whether an instruction is judged, and what by; all goals are in words."""

    goal: str  # what success is judged by; empty: the robot does what it makes of it, and nobody judges that
    possible: Sequence[str] = field(
        default_factory=tuple
    )  # what could have been meant, where that is unclear
    why: str = ""  # it is not judged

    @property
    def judged(self) -> bool:
        return bool(self.goal)

    def to_json(self) -> dict[str, Any]:
        """{"judged", "goal", "not_judged_because", "possible_goals"}, null where there is none."""
        return {
            "judged": self.judged,
            "goal": self.goal or None,
            "not_judged_because": self.why or None,
            "possible_goals": list(self.possible),
        }

    def sentence(self) -> str:
        """Why it is not judged, and what could have been meant."""
        shown = "; ".join(map(repr, self.possible[:SHOWN]))
        more = f" and {len(self.possible) - SHOWN} more" if len(self.possible) > SHOWN else ""
        return f"not judged: {self.why} (it could have been {shown}{more})"


def checked_instruction(instruction: str) -> str:
    """The instruction. UserError if it says nothing."""
    if not instruction.strip():
        raise UserError(
            f"instruction: got {instruction!r}, expected what the robot is to do, e.g. 'lift the red cube'"
        )
    return instruction
