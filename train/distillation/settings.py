"""What a policy learns from another one, its teacher; part of the recipe."""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.errors import UserError


@dataclass(frozen=True)
class DistillSettings:
    """How much a teacher counts beside the data. UserError for a weight that is no share."""

    teacher: str = ""  # folder of a checkpoint, or ORG/NAME; empty: there is none
    weight: float = 0.5  # the decoder's: 0 learns from the data alone, 1 from the teacher alone
    steps: int = 0  # 0: the teacher's prediction at each point of the flow; N: where N steps of it end
    interpreter: float = 0.5  # the interpreter's weight, as `weight`; 0: its teacher is not asked

    def __post_init__(self) -> None:
        for name, share in (("weight", self.weight), ("interpreter", self.interpreter)):
            if not 0 <= share <= 1:
                raise UserError(f"set: distill.{name}: got {share:g}, expected 0 to 1")
        if self.steps < 0:
            raise UserError(f"set: distill.steps: got {self.steps}, expected 0 or more")
