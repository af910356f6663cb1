"""The command line as such: help, mistakes, exit codes."""

import json
import resource
import subprocess
import sys

import pytest
import yaml
from safetensors import SafetensorError

from ideomotor.control.errors import DiskFull, UserError
from ideomotor.launch import cli

HEAVY = {"torch", "mujoco", "av", "numpy", "transformers", "pyarrow", "tyro", "rich"}


@pytest.mark.parametrize("arguments", [["--help"], [], ["data", "--help"], ["dat"]])
def test_help_and_mistakes_import_nothing_heavy(arguments):
    code = f"import sys; from ideomotor.launch.cli import main; main({arguments}); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(eval(done.stdout.splitlines()[-1]))
    assert not HEAVY & modules


def test_help_answers_at_once(ideomotor):
    def cpu_s():  # of finished child processes: a busy machine must not fail this
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    spent, shown = [], None
    for _ in range(5):
        before = cpu_s()
        shown = ideomotor("--help")
        spent.append(cpu_s() - before)
    assert min(spent) < 0.3
    assert shown and shown.returncode == 0


def test_help_names_every_command(in_process):
    shown = in_process("--help")
    assert shown.returncode == 0
    for name in cli.COMMANDS:
        assert f"  {name} " in shown.stdout
    assert "data validate" in in_process("data", "--help").stdout


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*name.split(), "--help"])
    assert stop.value.code == 0
    assert f"usage: ideomotor {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["command", "'rnu'", "did you mean 'run'?"]),
        (["data", "valdate"], ["data command", "did you mean 'validate'?"]),
        (["run", "lift", "--sede", "3"], ["--sede", "--seed", "ideomotor run --help"]),
        (["run"], ["TASK"]),
        (["run", "lift", "--seed", "three"], ["--seed", "three"]),
        (["run", "lift", "--randomize", "much"], ["--randomize", "much", "light"]),
        (["record", "lift"], ["--out"]),
    ],
)
def test_a_mistyped_command_line_is_refused_in_one_line(arguments, words, in_process):
    in_process(*arguments).assert_refused(*words)


def test_the_list_of_tasks(in_process):
    listed = in_process("tasks", "--json", "-").json
    assert [task["name"] for task in listed["longer_tasks"]][:2] == ["tidy", "tower"]
    tasks = {task["name"]: task for task in listed["tasks"]}
    assert {"reach", "push", "lift"} <= set(tasks)
    for task in tasks.values():
        assert len(task["instructions"]) >= 8
        assert task["objects"] and task["max_seconds"] > 0
    shown = in_process("tasks")
    assert all(name in shown.stdout for name in tasks)


def test_the_list_of_robots(ideomotor, in_process, tmp_path):
    robots = {robot["name"]: robot for robot in ideomotor("robots", "--json", "-").json["robots"]}
    assert robots["so101"]["control_hz"] == 120
    assert [joint["unit"] for joint in robots["so101"]["joints"]] == ["rad"] * 6
    assert in_process("robots", "so101", "--json", tmp_path / "robots.json").returncode == 0
    assert json.loads((tmp_path / "robots.json").read_text())["robots"] == [robots["so101"]]


def test_an_unknown_robot_and_a_malformed_embodiment_are_refused(ideomotor, in_process, tmp_path):
    from ideomotor.control.embodiment import EMBODIMENTS

    ideomotor("robots", "so102", "--json", "-").assert_refused("so102", "did you mean 'so101'?")
    facts = yaml.safe_load((EMBODIMENTS / "so101.yaml").read_text())
    facts["joints"][2]["max_velocity"] = -1
    (tmp_path / "arm.yaml").write_text(yaml.safe_dump(facts))
    for command in (
        ["robots", tmp_path / "arm.yaml"],
        ["run", "lift", "--expert", "--robot", tmp_path / "arm.yaml"],
    ):
        in_process(*command).assert_refused("arm.yaml", "max_velocity", "-1")
    (tmp_path / "arm.yaml").write_text("joints: [")
    in_process("robots", tmp_path / "arm.yaml").assert_refused("arm.yaml")


def test_json_into_a_missing_folder_is_refused_before_any_work(in_process, tmp_path):
    in_process("run", "lift", "--expert", "--json", tmp_path / "no" / "x.json").assert_refused("json", "no")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("field: got\n 3, expected 4"), 2, "error: field: got 3, expected 4\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (PermissionError(13, "Permission denied", "/x"), 2, "error: path: Permission denied (/x)\n"),
        (DiskFull("data: the disk is full"), 1, "error: data: the disk is full\n"),
        (
            OSError(28, "No space left on device", "/data/x"),
            1,
            "error: disk: No space left on device (/data/x)\n",
        ),
        (
            SafetensorError('IoError(Os { code: 28, kind: StorageFull, message: "No space left" })'),
            1,
            "error: disk: No space left on device (while writing)\n",
        ),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            1,
            "error: disk: No space left on device (while writing)\n",
        ),
        (
            OSError("27648 requested and 4096 written"),  # of numpy, without a number
            1,
            "error: disk: No space left on device (while writing)\n",
        ),
    ],
)
def test_errors_become_exit_codes(error, code, said, monkeypatch, capsys):
    def fail(options):
        raise error

    from ideomotor.launch.commands import listing

    monkeypatch.setattr(listing, "tasks", fail)
    assert cli.main(["tasks"]) == code
    assert capsys.readouterr().err == said


def test_a_defect_keeps_its_traceback(monkeypatch):
    from ideomotor.launch.commands import listing

    monkeypatch.setattr(listing, "tasks", lambda options: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["tasks"])
