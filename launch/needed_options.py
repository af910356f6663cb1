"""Options of every command that runs a policy: what of it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ideomotor.control.errors import UserError

if TYPE_CHECKING:
    from ideomotor.eval.policy_spec import PolicySource
    from ideomotor.vla.needed import Needed


@dataclass(frozen=True)
class NeededArguments:
    """What of a checkpoint is loaded and computed."""

    cameras: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME...")] = None
    """the only cameras that the policy is shown; what belongs to others is neither loaded nor computed"""

    text: bool = True
    """whether it can write the readable plan; without, what only that needs is not loaded"""

    def of(self, *policies: Path | PolicySource | None) -> Needed:
        """As `PolicyNetworks.from_pretrained` takes it, for policies that are loaded here.

        Args:
            policies: checkpoints' folders, or what is none of ours.

        Raises:
            UserError: one is none of ours, or has no such camera.
        """
        from ideomotor.vla.checkpoint_info import is_exported, read_facts
        from ideomotor.vla.needed import EVERYTHING, Needed

        needed = Needed(self.cameras, self.text)
        if needed == EVERYTHING:
            return needed
        for policy in policies:
            if not isinstance(policy, Path):
                raise UserError("cameras, text: of a checkpoint that is loaded here, got another policy")
            if not is_exported(policy):
                needed.check(read_facts(policy).cameras)
        return needed
