"""Planners by the names that commands give them."""

from __future__ import annotations

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.proposing.interface import Planner
from ideomotor.vla.planner.proposing.symbolic import SymbolicPlanner

HOSTED = ("openai", "anthropic")


def planner_named(name: str, base_url: str = "", share_images: bool = False) -> Planner:
    """A planner.

    Args:
        name: symbolic; local:DIR or local:ORG/NAME; openai:MODEL or anthropic:MODEL.
        base_url: of another server that speaks the same protocol.
        share_images: whether pictures are sent to it.

    Raises:
        UserError: there is no such planner, or it cannot be had.
    """
    kind, _, model = name.partition(":")
    for option, given in (("base-url", bool(base_url)), ("share-images", share_images)):
        if given and kind not in HOSTED:
            raise UserError(f"{option}: belongs to --planner openai:MODEL or anthropic:MODEL, got {name}")
    if name == "symbolic":
        return SymbolicPlanner()
    if kind == "local" and model:
        from ideomotor.vla.planner.proposing.local import LocalPlanner

        return LocalPlanner(model)
    if kind in HOSTED and model:
        from ideomotor.vla.planner.proposing.hosted import HostedPlanner

        return HostedPlanner(kind, model, base_url, share_images=share_images)
    raise UserError(f"planner: got {name!r}, expected symbolic, local:DIR, openai:MODEL or anthropic:MODEL")
