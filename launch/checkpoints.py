"""Which policy a command means: a checkpoint of ours, or one of others."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ideomotor.control.errors import UserError
from ideomotor.launch.serving.lerobot_options import PREFIX, LeRobotOptions
from ideomotor.launch.serving.remote_options import OPENPI, OURS, RemoteOptions

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.control.timing import Timing
    from ideomotor.eval.policy_spec import PolicySource


def policy_folder(chosen: Path | str | None, embodiment: str = "so101") -> Path:
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


def policy_name(chosen: Path | str | None) -> str:
    """How results call the policy."""
    return "bundled" if chosen is None else str(chosen)


def chosen_policy(
    chosen: str | None,
    embodiment: Embodiment,
    lerobot: LeRobotOptions | None = None,
    remote: RemoteOptions | None = None,
) -> Path | PolicySource:
    """What `--policy` means for a robot: a checkpoint's folder, or where a policy of others is had from.

    Args:
        chosen: DIR or ORG/NAME, or either after "lerobot:"; ws://HOST:PORT or wss://HOST:PORT of a server of
            ours, openpi://HOST:PORT of openpi's; None is the bundled one.
        lerobot: what is given of a policy of LeRobot's.
        remote: what is given of a server.

    Raises:
        UserError: there is none, or it is of another robot.
    """
    lerobot, remote = lerobot or LeRobotOptions(), remote or RemoteOptions()
    if chosen is not None and chosen.startswith(OURS):
        from ideomotor.launch.serving.remote_source import remote_source

        return remote_source(chosen, embodiment, remote)
    if chosen is not None and chosen.startswith(OPENPI):
        from ideomotor.launch.serving.openpi_policy import openpi_source

        return openpi_source(chosen, embodiment, remote)
    if remote != RemoteOptions():
        first = next(field.name for field in fields(remote) if getattr(remote, field.name) != field.default)
        raise UserError(
            f"{first.replace('_', '-')}: belongs to --policy ws://HOST:PORT or openpi://HOST:PORT, got "
            f"{policy_name(chosen)}"
        )
    if chosen is not None and chosen.startswith(PREFIX):
        from ideomotor.launch.serving.lerobot_source import lerobot_source

        return lerobot_source(chosen.removeprefix(PREFIX), embodiment, lerobot)
    if lerobot != LeRobotOptions():
        raise UserError(f"lerobot: its options belong to --policy {PREFIX}DIR, got {policy_name(chosen)}")
    return policy_folder(chosen, embodiment.name)


def facts_of(policy: Path | PolicySource, embodiment: Embodiment) -> tuple[Timing, str]:
    """(when it is to be asked, what it was trained on); nothing is loaded.

    Raises:
        UserError: it cannot drive that robot with that robot's cameras.
    """
    if not isinstance(policy, Path):
        return policy.timing, policy.trained_on
    from ideomotor.vla.checkpoint_info import read_facts

    facts = read_facts(policy)
    facts.check(embodiment)
    return facts.timing, facts.processor.dataset
