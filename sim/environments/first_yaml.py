"""A first embodiment file for an environment that was tried (probing.py): what had to be guessed says so."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ideomotor.sim.environments.probing import RENDER, Findings

LARGEST = 96  # pixels of a picture's shorter side, where it can be drawn smaller


def first_yaml(findings: Findings) -> str:
    """The file's text.

    Nothing in it is called as its makers would call it but cameras and what the observation names: joints and
    the task have numbers and an instruction to be put into words.
    """
    joints = [f"c{i}" for i in range(len(findings.low))]
    absolute = findings.commands == "absolute"
    alike = absolute and findings.state_size == len(joints)
    states = joints if alike else [f"s{i}" for i in range(findings.state_size)]
    name = (
        re.sub(r"-v\d+$", "", findings.make.rpartition("/")[2].rpartition(":")[2]).lower().replace("-", "_")
    )
    lines = [
        f"# First written by `ideomotor env check {findings.make}`: put names and words in order.",
        f"name: {name}",
        f"description: {findings.make} of Gymnasium",
        f"control_hz: {findings.control_hz}{_guess(findings, 'control_hz')}",
        f"commands: {findings.commands}{_guess(findings, 'commands')}",
        "joints:  # components of a command, in order",
    ]
    for joint, low, high in zip(joints, findings.low, findings.high, strict=True):
        lines.append(f"  - {_flow({'name': joint, 'lower': float(low), 'upper': float(high)})}")
    lines += ["grippers: []  # those of the joints that are"]
    lines += [] if alike else [f"state: {_flow(states)}"]
    lines += ["cameras:"]
    images = {}
    for path, (height, width) in findings.pictures.items():
        camera = "camera" if path == RENDER else re.sub(r"\W", "_", path.rpartition(".")[2])
        images[camera] = path
        height, width = _smaller(height, width)
        size = {"name": camera, "height": height, "width": width, "hz": findings.control_hz}
        lines.append(f"  - {_flow(size)}  # any divisor of control_hz")
    lines += ["environment:", f"  make: {findings.make}"]
    if findings.options:
        lines.append(f"  options: {_flow(findings.options)}")
    lines.append(f"  max_steps: {findings.max_steps}{_guess(findings, 'max_steps')}")
    lines.append(f"  images: {_flow(images)}")
    if findings.state:
        lines.append(f"  state: {findings.state}{_guess(findings, 'state')}")
    elif "state" in findings.guesses:
        lines.append(f"  # state: the whole observation{_guess(findings, 'state')}")
    lines.append(f"  success: {findings.success or 'WHERE_IN_INFO'}{_guess(findings, 'success')}")
    if "success" in findings.guesses:
        lines.append("  at_least: 1.0")
    lines.append("  # expert: MODULE:FUNCTION, expert(env) -> act(observation) -> command")
    lines.append("  tasks:")
    lines.append(
        f"    - {_flow({'name': name, 'instruction': 'do what is to be done here'})}  # in your words"
    )
    return "\n".join(lines) + "\n"


def _guess(findings: Findings, field: str) -> str:
    return f"  # guessed: {findings.guesses[field]}" if field in findings.guesses else ""


def _smaller(height: int, width: int) -> tuple[int, int]:
    factor = max(1, min(height, width) // LARGEST)
    return height // factor, width // factor


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).strip()
