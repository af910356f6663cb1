"""`ideomotor env check`: tries somebody's environment as a newcomer would; a first file for a new one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
import yaml
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.environments import ROBOT, checked_tasks, robot_of

SHOWN_TASKS = 3  # that are tried where none is named


@dataclass(frozen=True)
class CheckOptions:
    """Tries a Gymnasium environment: spaces, seeds, pictures, speed, success, and its expert if there is one.

    Of an environment that no file describes yet it writes a first file from what it finds, and says what it
    guessed.
    """

    env: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE|MODULE:ID")]
    """a preset, an embodiment file, or an environment as gymnasium.make takes it"""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """where the first file of a new environment goes; by default it is shown"""

    option: tyro.conf.UseAppendAction[Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")]] = ()
    """keyword of gymnasium.make for a new environment, such as obs_type=pixels_agent_pos; may be given
    several times"""

    tasks: Annotated[str | None, tyro.conf.arg(metavar="A,B")] = None
    """of a file: only these; by default the first three"""

    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 2
    """that the expert is given of each task"""

    brief: bool = False
    """say in one line that it works, or what does not"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was found as JSON; - is standard output"""


def env_check(options: CheckOptions) -> int:
    """The command: 0 where nothing is wrong, 1 where something is."""
    output = Output(options.json)
    if options.episodes < 0:
        raise UserError(f"episodes: got {options.episodes}, expected at least 0")
    if options.out and options.out.exists():
        raise UserError(f"out: {str(options.out)!r} is there already, expected a new file")
    described = _described(options.env)
    if described is None:
        return _new(options, output)
    if options.out or options.option:
        raise UserError(
            f"{'out' if options.out else 'option'}: {options.env} has a file already, nothing is written"
        )
    return _tried(options, output, described)


def _described(env: str) -> str | None:
    """The embodiment, by name or file, that describes it; None where nothing does. UserError for neither."""
    try:
        return robot_of(env, ROBOT)
    except UserError:
        if ":" in env and not env.endswith((".yaml", ".yml")):
            return None
        raise


def _tried(options: CheckOptions, output: Output, robot: str) -> int:
    with loading():
        from ideomotor.sim.environments.trying import trials

    embodiment = load_embodiment(robot)
    wanted = [name.strip() for name in options.tasks.split(",")] if options.tasks else []
    tasks = checked_tasks(embodiment, wanted)
    found: dict[str, list[dict[str, str]]] = {}
    table = Table("task", "what", "found", box=None, pad_edge=False)
    for task in tasks if wanted else tasks[:SHOWN_TASKS]:
        found[task] = []
        for trial in trials(embodiment, task, options.episodes):
            found[task].append(dataclasses.asdict(trial))
            table.add_row(task, trial.what, f"PROBLEM: {trial.problem}" if trial.problem else trial.found)
    problems = [
        f"{task}: {one['problem']}" for task, all_of in found.items() for one in all_of if one["problem"]
    ]
    output.result({"env": embodiment.name, "ok": not problems, "problems": problems, "tasks": found})
    if options.brief:
        said = problems[0] if problems else f"{embodiment.name} works here: ideomotor tasks --env {robot}"
        output.text.print(said, markup=False)
    else:
        output.text.print(table)
        output.text.print("nothing is wrong" if not problems else f"{len(problems)} problems", markup=False)
    return int(bool(problems))


def _new(options: CheckOptions, output: Output) -> int:
    with loading():
        from ideomotor.sim.environments.first_yaml import first_yaml
        from ideomotor.sim.environments.probing import probe

    findings = probe(options.env, _keywords(options.option))
    text = first_yaml(findings)
    problems = [
        *([] if findings.pictures else ["no pictures: a policy has nothing to see (an option may add them)"]),
        *([] if findings.success else ["success: nothing in info tells it"]),
    ]
    output.result(
        {
            "env": options.env,
            "ok": not problems,
            "problems": problems,
            "guesses": findings.guesses,
            "steps_per_s": findings.steps_per_s,
            "file": text,
        }
    )
    say: Any = output.text.print
    if options.out:
        write_whole(options.out, text)
        say(f"{options.out}: {len(findings.guesses)} guesses, each says so in its line", markup=False)
    else:
        say(text, markup=False, highlight=False)
    for field, why in findings.guesses.items():
        say(f"guessed {field}: {why}", markup=False)
    for problem in problems:
        say(f"PROBLEM: {problem}", markup=False)
    where = options.out or "FILE.yaml"
    say(
        f"next: ideomotor env check {where}; then --env {where} of tasks, record, train and eval",
        markup=False,
    )
    return int(bool(problems))


def _keywords(texts: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UserError(f"option: got {text!r}, expected KEY=VALUE such as obs_type=pixels_agent_pos")
        try:
            found[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"option: got {text!r}, expected a value as YAML has it") from None
    return found
