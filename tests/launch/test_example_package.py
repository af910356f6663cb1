"""A package that adds a robot, a teleoperator and a camera: ideomotor_example, installed, used."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.datasets.lerobot.reader import Dataset

ROOT = Path(__file__).parents[2]
BROKEN = """
[ideomotor.robots]
no_plugin = json:loads
[ideomotor.teleoperators]
not_there = ideomotor_nowhere:Leader
half = builtins:slice
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with the example, and one whose entry points are all wrong."""
    source = tmp_path_factory.mktemp("source") / "example"
    shutil.copytree(ROOT / "examples" / "ideomotor_example", source)
    folder = tmp_path_factory.mktemp("site")
    code = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", code, folder], cwd=source, capture_output=True, text=True, check=True
    )
    shutil.unpack_archive(folder / made.stdout.split()[-1], folder, "zip")
    broken = folder / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text(BROKEN)
    return folder


@pytest.fixture(autouse=True)
def installed(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both packages are installed here, and for every command."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_its_robot_is_listed_as_ours_are(in_process: Callable[..., Any]) -> None:
    listed = in_process("robots", "drawing_table", "--json", "-").json["robots"]
    assert [joint["name"] for joint in listed[0]["joints"]] == ["x", "y"]
    everything = in_process("robots", "--json", "-").json["robots"]
    names = {robot["name"] for robot in everything}
    assert {"so101", "drawing_table"} <= names and "no_plugin" not in names, "which is broken, and only noted"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("robots", "drawing_tabel"), "did you mean 'drawing_table'"),
        (("teleop", "drawing_table", "--leader", "sircle"), "circle"),
        (("teleop", "drawing_table", "--leader", "circle@wide"), "got 'wide', expected a radius"),
        (("teleop", "drawing_table", "--leader", "keyboard@/dev/null"), "needs the section geometry"),
        (("robots", "no_plugin"), "entry point 'no_plugin' is a function, expected a RobotPlugin"),
        (("teleop", "drawing_table", "--leader", "not_there"), "cannot be imported (ModuleNotFoundError"),
        (("teleop", "drawing_table", "--leader", "half"), "half has no connect, read, disconnect"),
        (("teleop", "drawing_table", "--leader", "circle", "--camera", "top=testcard@red"), "RED,GREEN,BLUE"),
    ],
)
def test_what_is_wrong_with_a_package_is_said(in_process: Callable[..., Any], words, said: str) -> None:
    in_process(*words).assert_refused(said)


def test_nothing_of_it_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, ideomotor.control.runtime.process, ideomotor.control.robots.drivers, "
        "ideomotor.control.teleop.process, ideomotor.launch.runtime.teleoperation.teleoperators\n"
        "from ideomotor.control.embodiment import load_embodiment; load_embodiment('so101')\n"
        "print(sorted(name for name in sys.modules if name.startswith(('ideomotor_', 'lerobot', 'evdev'))))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.realtime
@pytest.mark.session
def test_its_teleoperator_draws_a_circle_with_its_robot_under_our_filter(
    ideomotor: Callable[..., Any], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    words = ("teleop", "drawing_table", "--leader", "circle@0.04", "--countdown", 0, "--max-seconds", 4)
    done = ideomotor(*words, "--camera", "top=testcard@200,30,30", "--log", log, "--json", "-")
    assert done.json["leader"] == "circle at 0.04"
    data = Dataset(log)
    commands = np.asarray(data.columns(0)["action"], dtype=np.float64)
    away = np.linalg.norm(commands, axis=1)
    around = np.unwrap(np.arctan2(commands[:, 1], commands[:, 0])[away > 0.03])
    assert np.ptp(around) > 2.0 and away.max() < 0.045, "on its circle"
    state = np.asarray(data.columns(0)["observation.state"], dtype=np.float64)
    assert np.abs(state - commands).max() < 0.02, "and the robot is where it is commanded to be"
    picture = data.frames(0, data.cameras[0], [10])[0]
    assert np.abs(np.median(picture, axis=(0, 1)) - [200, 30, 30]).max() < 12
