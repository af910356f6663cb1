"""What is blamed for too few solved scenes, and which embodiment `--env` means."""

from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.launch.commands.record.checks import MAX_FAILURES, check_solvable
from ideomotor.launch.commands.record.options import RecordOptions
from ideomotor.launch.environments import robot_of


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"noise": 0.5}, "noise: got 0.5, with which the expert of 'place' solved 3 of 24 scenes"),
        ({"randomize": "full"}, "randomize: got 'full', with which the expert"),
        ({"randomize": "none"}, "tasks: the expert of 'place' solved 3 of 24 scenes, and no option makes"),
        (
            {"policy": Path("far/off"), "noise": 0.5},
            "policy: the expert of 'place' solved 3 of 24 .* far/off",
        ),
    ],
)
def test_that_is_blamed_which_makes_scenes_harder(options, said):
    given = RecordOptions(tasks=("place",), out=Path("out"), episodes=10, **options)
    check_solvable(given, {"place": 7}, {"place": MAX_FAILURES})
    check_solvable(given, {"place": 0}, {"place": 200})
    with pytest.raises(UserError, match=said):
        check_solvable(given, {"place": 7}, {"place": MAX_FAILURES + 1})


@pytest.mark.parametrize(
    ("env", "robot"),
    [
        ("", "so101"),
        ("reacher", "reacher"),
        ("Reacher-v5", "reacher"),
        ("gymnasium.envs.mujoco:Reacher-v5", "reacher"),
        ("ideomotor.sim.environments.metaworld:ideomotor/MetaWorld-v0", "metaworld"),
        ("ideomotor/MetaWorld-v0", "metaworld"),
    ],
)
def test_an_environment_alone_is_enough(env, robot):
    assert robot_of(env, "so101") == robot
    if robot != "so101":
        assert robot_of(env, robot) == robot


def test_an_environment_that_nothing_maps_is_refused_with_the_way_to_map_it():
    with pytest.raises(UserError, match=r"'nobody:no/PushT-v1' .*known: .*Reacher-v5.*--env FILE"):
        robot_of("nobody:no/PushT-v1", "so101")
    with pytest.raises(UserError, match=r"env: .*PushT-v1', but reacher maps 'Reacher-v5'"):
        robot_of("nobody:no/PushT-v1", "reacher")
