"""The code speaks the field's words (docs/glossary.md): identifiers that were retired do not come back."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("control", "sim", "datasets", "vla", "train", "eval", "launch", "tests", "benchmarks")

# {retired: what it is called now}
RETIRED = {
    "told": "log, instruction or progress",
    "heard": "instruction or is_instruction",
    "felt": "proprio",
    "feels": "use_proprio",
    "Feeling": "ProprioEncoder",
    "sensed": "proprio",
    "StopLadder": "SafeStop",
    "ladder": "safe_stop",
    "Stage": "StopState",
    "Board": "SharedState",
    "BoardSpec": "SharedStateSpec",
    "board": "shared",
    "boards": "shared_state",
    "beat": "heartbeat",
    "beats": "heartbeats",
    "Order": "SessionConfig",
    "fly": "run_session",
    "Flown": "SessionResult",
    "flown": "result",
    "flight": "session",
    "FlightLog": "SessionLog",
    "Body": "Rig or EmbodimentProjections",
    "brain": "policy_processes",
    "BrainConfig": "PolicyProcessConfig",
    "abilities": "capabilities",
    "Standing": "KeepTorqueOn",
    "Watched": "ReadOnly",
    "Patience": "StalenessLimits",
    "patience": "staleness",
    "Look": "Appearance",
    "Glance": "checkpoint_info",
    "glance": "checkpoint_info or summary_mlp",
    "Eye": "VisualEncoder",
    "_Eyes": "ObservationReader",
    "eyes": "observation_reader",
    "Seen": "ImageFeatures",
    "Sight": "PatchGrid",
    "Vision": "EncodedImages",
    "Reading": "InterpreterOutput",
    "stills": "image_columns or synthetic_scenes",
    "unseen": "held_out_objects",
    "unseen_words": "held_out_phrasings",
    "lane": "slot",
    "lanes": "slots",
    "Ask": "PolicyRequest",
    "Talk": "Requests",
    "shared_scene": "sim_state_channel",
    "frame_plans": "plan_cache",
    "FramePlans": "PlanCache",
    "Volume": "FileGroup",
    "astray": "off_path_augmentation",
    "wording": "instruction_augmentation",
    "Pilot": "PolicySpec",
    "_PolicyPilot": "PolicyDriver",
    "spine": "so101",
}


def names_in(path: Path) -> set[str]:
    """The identifiers of a file; words in strings and comments are none."""
    source = path.read_text(encoding="utf-8")
    return {
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.NAME
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_retired_identifiers_stay_retired(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}, now {RETIRED[name]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in sorted(names_in(path) & RETIRED.keys())
    ]
    assert not found, "\n".join(found)
