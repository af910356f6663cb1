"""What openpi's clients call things, and what the policy is given of it."""

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.launch.serving.messages import PolicySizes
from ideomotor.launch.serving.openpi import KeyMap, parse_key_map, read_openpi

SIZES = PolicySizes(("front", "wrist"), 6, 6, 8, 96, (8, 192))
FRONT, STATE = np.zeros((4, 4, 3), np.uint8), np.arange(6.0)


def read(message, *pairs: str):
    keys = parse_key_map(pairs, SIZES.cameras) if pairs else KeyMap()
    return read_openpi(message, SIZES, keys, 120.0)


@pytest.mark.parametrize(
    "message",
    [
        {"front": FRONT, "state": STATE, "prompt": "lift"},
        {"observation/front": FRONT, "observation/state": STATE, "prompt": "lift"},
        {"images": {"front": FRONT}, "state": STATE, "prompt": "lift"},
        {"observation.images.front": FRONT, "observation.state": STATE, "task": "lift"},
        {"observation": {"images": {"front": FRONT}, "state": STATE.tolist()}, "instruction": "lift"},
    ],
)
def test_usual_keys_need_no_map(message) -> None:
    seen = read(message)
    assert seen.images["front"] is FRONT
    assert seen.state.dtype == np.float32 and seen.state.tolist() == STATE.tolist()
    assert (seen.instruction, seen.past_commands) == ("lift", None)


def test_a_droid_robots_keys_are_mapped_and_its_vectors_joined() -> None:
    seen = read(
        {
            "observation/exterior_image_1_left": FRONT,
            "observation/wrist_image_left": FRONT,
            "observation/joint_position": STATE[:5],
            "observation/gripper_position": STATE[5:],
            "prompt": "lift",
        },
        "observation/exterior_image_1_left=front",
        "observation/wrist_image_left=wrist",
        "observation/joint_position+observation/gripper_position=state",
    )
    assert set(seen.images) == {"front", "wrist"}
    assert seen.state.tolist() == STATE.tolist()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ([1], "message: list"),
        ({"prompt": "lift"}, "state: missing"),
        ({"state": STATE[:5]}, "state: 5 numbers, expected 6"),
        ({"state": "home"}, "state: <U4 of shape"),
        ({"state": STATE[None]}, r"state: .*shape \(1, 6\)"),
        ({"state": STATE, "top": FRONT}, "top: unknown field, expected front, wrist, state, prompt"),
        ({"state": STATE, "front": FRONT[..., 0]}, r"front: shape \(4, 4\), expected a picture"),
        ({"state": STATE, "front": "pixels"}, "front: str"),
        ({"state": STATE, "prompt": 3}, "prompt: int, expected a text"),
        ({"state": STATE, "past_commands": STATE}, r"past_commands: .*expected \(P, 6\)"),
    ],
)
def test_what_is_wrong_is_named(message, words) -> None:
    with pytest.raises(UserError, match=words):
        read(message)


@pytest.mark.parametrize("pair", ["front", "=front", "image=top", "a+b=front", "+=state"])
def test_a_pair_that_is_none_is_refused(pair) -> None:
    with pytest.raises(UserError, match="map: got"):
        parse_key_map([pair], SIZES.cameras)


def test_a_name_is_meant_once() -> None:
    with pytest.raises(UserError, match="'front' is meant twice"):
        parse_key_map(["a=front", "b=front"], SIZES.cameras)
