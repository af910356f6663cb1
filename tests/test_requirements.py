"""What pyproject.toml allows must hold together: the pinned versions, and the lowest that are allowed.

Nothing is asked of a registry: what each package wants is in its installed metadata, that of the pins.
"""

from __future__ import annotations

import importlib.metadata as metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]


def requirements(lines: list[str]) -> list[Requirement]:
    return [Requirement(line) for line in lines]


def direct() -> dict[str, Requirement]:
    """{canonical name: what pyproject.toml says about it}, extras and tools included."""
    lines = [*PROJECT["dependencies"], *(line for extra in OPTIONAL.values() for line in extra)]
    return {canonicalize_name(one.name): one for one in requirements(lines)}


def pins() -> dict[str, Version]:
    lines = (line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    pinned = requirements([line for line in lines if line])
    found = {}
    for one in pinned:
        (exact,) = one.specifier
        assert exact.operator == "==", f"constraints.txt: {one} is no pin"
        found[canonicalize_name(one.name)] = Version(exact.version)
    return found


def lowest(requirement: Requirement) -> Version | None:
    """The lowest version that is allowed; None if any is."""
    bounds = [Version(one.version) for one in requirement.specifier if one.operator in (">=", "==", "~=")]
    return max(bounds, default=None)


def wants(name: str) -> list[Requirement]:
    """What an installed package needs, without its extras."""
    return [
        one
        for one in requirements(metadata.requires(name) or [])
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]


def test_every_dependency_is_pinned_within_what_is_allowed() -> None:
    pinned, unpinned = pins(), {"pre-commit", "pytest-xdist", "setuptools", "types-pyyaml"}  # tools
    for name, allowed in direct().items():
        if name in pinned:
            assert allowed.specifier.contains(pinned[name]), (
                f"constraints.txt: {name} {pinned[name]}, {allowed}"
            )
        else:
            assert name in unpinned, f"constraints.txt: no pin of {name}"
    assert set(pinned) <= set(direct()), "constraints.txt: a pin of what nobody asks for"


def test_extras_and_tools_allow_the_same_versions() -> None:
    lines = [line for extra in OPTIONAL.values() for line in extra]
    for one in requirements([*PROJECT["dependencies"], *lines]):
        same = direct()[canonicalize_name(one.name)]
        assert one.specifier == same.specifier, f"pyproject.toml: {one} and {same}"


@pytest.mark.parametrize("name", sorted(direct()))
def test_the_lowest_allowed_versions_are_enough_for_the_pinned_packages(name: str) -> None:
    """Else pip could keep an older one that is already there, and refuse the pins beside it."""
    try:
        needed = wants(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    for need in needed:
        ours = direct().get(canonicalize_name(need.name))
        bound = lowest(ours) if ours else None
        if bound is None:
            continue
        assert need.specifier.contains(bound, prereleases=True), (
            f"pyproject.toml: {ours} allows {bound}, but {name} {metadata.version(name)} wants {need}"
        )


def test_what_is_installed_is_what_is_pinned() -> None:
    """Else the test above would have looked at other metadata."""
    for name, version in pins().items():
        try:
            installed = Version(metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
        assert Version(installed.public) == version, f"{name}: {installed} is installed, {version} pinned"
