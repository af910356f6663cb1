"""What is said before a training, about how long it takes, and after it, about whether it was enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ideomotor.control.durations import in_words
from ideomotor.train.recipe import Recipe
from ideomotor.train.reporting.forecast import Part
from ideomotor.train.reporting.yardsticks import yardsticks

LONG_S = 1200.0  # from where on a shorter way is named [s]
HELP = "docs/training.md, How long it takes"


def before(parts: Sequence[Part], recipe: Recipe) -> list[str]:
    """Lines about what is ahead; none where nothing was measured."""
    if not parts:
        return []
    whole = sum(part.seconds for part in parts)
    width = max(len(in_words(part.seconds)) for part in parts)
    lines = ["what this training will take, measured on this machine as it is now:"]
    lines += [f"  {in_words(part.seconds):>{width}}  {part.what}" for part in parts]
    lines.append(f"  {in_words(whole)} in all")
    if recipe.decoder.select.tasks or not recipe.joint.train.left_out:
        lines[-1] += ", and what stage 3 and driving take, which was not measured"
    if whole > LONG_S:
        lines.append(f"--config quick takes ten minutes, --minutes N as long as you say ({HELP})")
    planned = next((part.samples for part in parts if part.stage == "decoder"), None)
    if planned is not None and (warning := too_little(planned, recipe)):
        lines.append(warning)
    return lines


def after(figures: dict[str, Any], recipe: Recipe) -> list[str]:
    """Lines about what a training that has ended has seen, against what policies of ours had."""
    if "policy" not in figures or recipe.init.policy:  # further training has seen more than it was shown
        return []
    windows = int(figures["policy"]["step"]) * recipe.decoder.batch
    lines = [f"the decoder has seen {windows:,} windows of demonstrations"]
    lines += [f"  {one.windows:,}: {one.label}, {one.could}" for one in yardsticks(recipe.robot)]
    if warning := too_little(windows, recipe):
        lines.append(warning)
    return lines


def too_little(windows: int, recipe: Recipe) -> str:
    """A warning if no policy of ours could do anything after so few windows; else nothing."""
    if recipe.init.policy:
        return ""
    least = min(yardsticks(recipe.robot), key=lambda one: one.windows)
    if windows >= 0.5 * least.windows:
        return ""
    return (
        f"warning: {windows:,} windows are far from enough: the fewest that made a policy of ours do "
        f"something are {least.windows:,} ({least.label}). Do not expect this one to ({HELP})"
    )
