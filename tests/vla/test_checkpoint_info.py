"""What a policy is for is known without loading it."""

import dataclasses
import shutil
import subprocess
import sys

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.vla.checkpoint_info import WEIGHTS, bundled_checkpoint, read_facts

ROBOT = load_embodiment("so101")


def test_a_policy_says_which_robot_and_cameras_it_is_for() -> None:
    facts = read_facts(bundled_checkpoint())
    assert facts.cameras == ("front", "wrist") and facts.processor.embodiment == "so101"
    facts.check(ROBOT)
    with pytest.raises(UserError, match="looks through camera wrist, which so101 lacks .it has front"):
        facts.check(dataclasses.replace(ROBOT, cameras=ROBOT.cameras[:1]))
    with pytest.raises(UserError, match="trained for robot 'so101'"):
        facts.check(dataclasses.replace(ROBOT, name="another"))


def test_every_robot_gets_the_checkpoint_that_was_made_for_it() -> None:
    facts = read_facts(bundled_checkpoint("metaworld"))
    assert facts.cameras == ("corner2",)
    facts.check(load_embodiment("metaworld"))
    assert bundled_checkpoint("my_own_arm") == bundled_checkpoint()  # which then says whom it is for


@pytest.mark.parametrize("robot", ["so101", "metaworld"])
def test_what_comes_with_the_package_is_small(robot: str) -> None:
    assert (bundled_checkpoint(robot) / WEIGHTS).stat().st_size <= 25e6


def test_a_policy_without_weights_is_refused(tmp_path) -> None:
    folder = tmp_path / "policy"
    shutil.copytree(bundled_checkpoint(), folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(UserError, match="model.safetensors: no such file"):
        read_facts(folder)


def test_facts_are_read_without_torch() -> None:
    code = (
        "import sys; from ideomotor.vla.checkpoint_info import *; read_facts(bundled_checkpoint()); "
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_each_half_of_the_bundled_policy_runs_without_what_it_does_not_need() -> None:
    """What a launch's two processes import, and so how long it takes to start and how much memory."""
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from ideomotor.control.types import LatentPlan, Observation\n"
        "from ideomotor.launch.runtime.policy_processes import policy_maker\n"
        "images = {name: np.zeros((96, 96, 3), np.uint8) for name in ('front', 'wrist')}\n"
        "seen = Observation(0.0, 0, images, np.zeros(6, np.float32), 'lift the red cube')\n"
        "simulation = {'mujoco', 'mink', 'gymnasium', 'diffusers'}\n"
        f"make = policy_maker(Path({str(bundled_checkpoint())!r}), 'so101')\n"
        "make('decoder').act(seen, LatentPlan(np.empty((0, 0), np.float32), 0.0), np.empty((0, 6)))\n"
        "print(sorted({'transformers', 'torch._dynamo', 'scipy', *simulation} & set(sys.modules)))\n"
        "make('interpreter').plan(seen)\n"
        "print(sorted(simulation & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
