"""What a user gets from `pip install`: every package, every data file, nothing that needs the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
ROOMS = [name.removeprefix("ideomotor.") for name in SETUPTOOLS["packages"] if name.count(".") == 1]
PACKAGE = "launch/package"  # becomes the package `ideomotor` itself
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", ".*")


def shipped(room: Path) -> list[Path]:
    """The files of a room that belong in the wheel: all but caches and hidden ones."""
    files = [file for file in room.rglob("*") if file.is_file()]
    return [f for f in files if not any(p == "__pycache__" or p.startswith(".") for p in f.parts)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy so that no build folder is left in the checkout."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=NOT_SHIPPED)
    pip = [sys.executable, "-P", "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(copy / "out")]
    subprocess.run([*pip, *options, str(copy)], check=True)
    (built,) = (copy / "out").glob("ideomotor-*.whl")
    return built


def test_packages_are_listed_once_and_mapped_to_their_folder():
    packages = SETUPTOOLS["packages"]
    assert packages == sorted(set(packages))
    expected = {name: name.removeprefix("ideomotor.").replace(".", "/") for name in packages}
    expected["ideomotor"] = PACKAGE
    assert SETUPTOOLS["package-dir"] == expected


def test_packages_are_the_folders_of_the_tree():
    """A nested folder that is not listed imports in a checkout and is missing from the wheel."""
    listed = {folder for folder in SETUPTOOLS["package-dir"].values() if (ROOT / folder).is_dir()}
    assert listed == set(SETUPTOOLS["package-dir"].values())
    code = {
        file.parent.relative_to(ROOT).as_posix() for room in ROOMS for file in (ROOT / room).rglob("*.py")
    }
    assert code <= listed


def test_links_for_static_tools_lead_to_the_rooms():
    links = {link.name: link.resolve() for link in (ROOT / "typings" / "ideomotor").iterdir()}
    rooms = {room: ROOT.resolve() / room for room in ROOMS}
    assert links == rooms | {"__init__.py": ROOT.resolve() / PACKAGE / "__init__.py"}


def test_wheel_holds_every_file_of_the_rooms(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert packed == {
        f"ideomotor/{file.relative_to(ROOT).as_posix()}".replace(f"/{PACKAGE}/", "/")
        for room in ROOMS
        for file in shipped(ROOT / room)
    }
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_wheel_finds_its_own_data(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "from ideomotor.control import embodiment\n"
        "names = embodiment.embodiment_names()\n"
        "assert all(name.startswith(embodiment.load_embodiment(name).name) for name in names)\n"
        "import ideomotor\n"
        "assert callable(ideomotor.load_policy), dir(ideomotor)\n"
        "print(embodiment.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
