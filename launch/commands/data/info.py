"""`ideomotor data info|validate`: what a dataset holds, and whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output


@dataclass(frozen=True)
class InfoOptions:
    """Says what a LeRobot dataset holds."""

    dataset: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """folder of the dataset"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write it as JSON; - is standard output"""


@dataclass(frozen=True)
class ValidateOptions:
    """Checks a LeRobot dataset file by file: nothing missing, cut short or contradictory."""

    dataset: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """folder of the dataset"""

    robot: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """robot, or embodiment file, whose joint limits hold; by default the one it was recorded with"""

    every_frame: bool = False
    """decode every frame of every video, not only four of each episode"""

    fix: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """write what can be used of it, repaired, to this new folder, as LeRobot v3.0"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the problems as JSON; - is standard output"""


def info(options: InfoOptions) -> int:
    """Shows size, rate, features and instructions."""
    output = Output(options.json)

    with loading():
        from ideomotor.datasets.checking.summary import summary

    found = summary(options.dataset)
    output.result(found)
    length = found["episode_seconds"]
    facts = {
        "format": f"{found['format']}, {found['bytes'] / 1e6:.1f} MB",
        "robot": found["robot"],
        "episodes": f"{found['episodes']}, {found['seconds']:.1f} s altogether",
        "frames": f"{found['frames']} at {found['fps']:g} Hz",
    }
    if length is not None:
        facts["lengths"] = f"{length['min']:.1f} to {length['max']:.1f} s, median {length['median']:.1f} s"
    for camera in found["cameras"]:
        facts[f"camera {camera['name']}"] = f"{camera['width']} x {camera['height']}, {camera['stored']}"
    for name, fact in facts.items():
        output.text.print(f"{name:<{max(map(len, facts))}}  {fact}", markup=False)
    table = Table("feature", "type", "shape", box=None, pad_edge=False)
    for name, feature in found["features"].items():
        table.add_row(name, feature["dtype"], " x ".join(map(str, feature["shape"])))
    output.text.print("", table, "", sep="\n")
    output.text.print(
        f"{len(found['tasks'])} instructions" + (", such as:" if len(found["tasks"]) > 5 else ":")
    )
    for task in found["tasks"][:5]:
        count = found["episodes_of_task"].get(task)
        output.text.print(f"  {task}" + (f" ({count} of the episodes)" if count else ""), markup=False)
    return 0


def validate(options: ValidateOptions) -> int:
    """Shows every problem; 0 for a whole dataset or one that was repaired, 1 if there are problems."""
    output = Output(options.json)

    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.datasets.checking import checks, repair

    if not options.dataset.is_dir():
        raise UserError(f"dataset: no folder {str(options.dataset)!r}")
    robot = load_embodiment(options.robot) if options.robot else None
    if options.fix is not None:
        repair.check_target(options.dataset, options.fix)
    findings = checks.examine(options.dataset, robot, every_frame=options.every_frame)
    problems = findings.problems
    said = [f"warning: {warning['where']}: {warning['what']}" for warning in findings.warnings]
    said += [f"{problem['where']}: {problem['what']}" for problem in problems]
    said.append(f"{len(problems)} problems" if problems else "no problems")
    result = {"ok": not problems, "problems": problems, "warnings": findings.warnings}
    if options.fix is not None:
        done = repair.repair(options.dataset, options.fix, robot)
        whole = checks.info(options.fix)
        fixed = {"out": str(options.fix), "episodes": whole["episodes"], "frames": whole["frames"]}
        result["fixed"] = fixed | {"done": done}
        said += [f"{step['where']}: {step['what']}" for step in done]
        said.append(f"{whole['episodes']} episodes, {whole['frames']} frames in {options.fix}")
    output.result(result)
    for line in said:
        output.text.print(line, markup=False)
    return 1 if problems and options.fix is None else 0
