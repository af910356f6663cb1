"""Which checkpoint a command means."""

from __future__ import annotations

from pathlib import Path


def policy_folder(chosen: Path | None, embodiment: str = "so101") -> Path:
    """The folder of a checkpoint: the user's, or the one that comes with the package for a robot.

    The user's may be ORG/NAME on the Hugging Face Hub.

    Raises:
        UserError: there is no such folder.
    """
    if chosen is None:
        from ideomotor.vla.checkpoint_info import bundled_checkpoint

        return bundled_checkpoint(embodiment)
    from ideomotor.vla.hub import checkpoint_folder

    return checkpoint_folder(chosen)


def policy_name(chosen: Path | None) -> str:
    """How results call the policy."""
    return "bundled" if chosen is None else str(chosen)
