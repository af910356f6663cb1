"""The `ideomotor` command: finds the subcommand, parses its options with tyro, turns errors into exit codes.

Each command is a frozen dataclass of options and a function of it, in a file of its own, and has an entry in
`COMMANDS`. Nothing but the chosen command is imported, so that `--help` and mistakes answer at once.

Exit codes: 0 done, 1 a fault (with its traceback; a full disk with one line), 2 bad input (one line), 130
interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ideomotor.control.ctrl_c import interruptible, loading
from ideomotor.launch import exits
from ideomotor.launch.command_line import help_page, parse, split
from ideomotor.launch.runtime.left_on import left_on
from ideomotor.launch.streams import make_patient


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line, by default the process's own without its name, and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    make_patient()
    pressed: list[int] = []
    try:
        with loading():
            if not arguments or arguments[0] in ("-h", "--help"):
                print(help_page(_summaries()))
                return exits.printed(0)
            name, rest = split(arguments, COMMANDS)
            if name is None:
                print(help_page(_summaries(), arguments[0]))
                return exits.printed(0)
            for note in left_on():
                print(note.text, file=sys.stderr)
            options_type, command = COMMANDS[name].load()
            options = parse(options_type, name, rest)
        with interruptible() as pressed:
            return exits.printed(command(options))
    except KeyboardInterrupt:
        return exits.interrupted()
    except Exception as error:
        if pressed and not exits.means_full_disk(error):  # else what should have been saved was not
            return exits.interrupted()
        code = exits.explained(error)
        if code is None:
            raise
        return code


@dataclass(frozen=True)
class _Entry:
    """One command: a line of help, and how to import its options and its function."""

    summary: str
    load: Callable[[], tuple[type, Callable[[Any], int]]]


def _run() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import run

    return run.RunOptions, run.run


def _tasks() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import listing

    return listing.TasksOptions, listing.tasks


def _robots() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import listing

    return listing.RobotsOptions, listing.robots


def _robots_check() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.bring_up import robots_check

    return robots_check.RobotsCheckOptions, robots_check.robots_check


def _record() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.record import arguments, record

    return arguments.RecordArguments, record.record_either


def _data_info() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.data import info

    return info.InfoOptions, info.info


def _data_validate() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.data import info

    return info.ValidateOptions, info.validate


def _data_stats() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.data import stats

    return stats.StatsOptions, stats.stats


def _data_view() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.data import view

    return view.ViewOptions, view.view


def _data_convert() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.data import convert

    return convert.ConvertOptions, convert.convert


def _data_edit() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.data import edit

    return edit.EditOptions, edit.edit


def _policy_halve() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import policy_halve

    return policy_halve.HalveOptions, policy_halve.halve


def _policy_convert() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import policy_convert

    return policy_convert.ConvertOptions, policy_convert.convert


def _export() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import export

    return export.ExportOptions, export.export


def _train() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import train

    return train.TrainOptions, train.train


def _eval() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.evaluate import evaluate

    return evaluate.EvalArguments, evaluate.evaluate


def _bench_loop() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.bench import control_loop

    return control_loop.LoopOptions, control_loop.loop


def _bench_render() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.bench import rendering

    return rendering.RenderOptions, rendering.render


def _bench_data() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.bench import data

    return data.DataOptions, data.data


def _bench_inference() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.bench import inference_options

    return inference_options.InferenceOptions, inference_options.inference


def _bench_serve() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.bench import serving

    return serving.ServeBenchOptions, serving.serve_bench


def _bench_train() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.bench import training

    return training.TrainingOptions, training.training


def _launch() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import launch

    return launch.LaunchOptions, launch.launch


def _serve() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import serve

    return serve.ServeOptions, serve.serve


def _teleop() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import teleop

    return teleop.TeleopOptions, teleop.teleop


def _env_check() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import env_check

    return env_check.CheckOptions, env_check.env_check


def _twin() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import twin

    return twin.TwinOptions, twin.twin


def _replay() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.replay import options, replay

    return options.ReplayOptions, replay.replay


def _find_port() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.bring_up import find_port

    return find_port.FindPortOptions, find_port.find_port


def _setup_motors() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.bring_up import setup_motors

    return setup_motors.SetupMotorsOptions, setup_motors.setup_motors


def _find_cameras() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.bring_up import find_cameras

    return find_cameras.FindCamerasOptions, find_cameras.find_cameras


def _release() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands import release

    return release.ReleaseOptions, release.release


def _calibrate() -> tuple[type, Callable[[Any], int]]:
    from ideomotor.launch.commands.bring_up import calibrate

    return calibrate.CalibrateOptions, calibrate.calibrate


COMMANDS: dict[str, _Entry] = {
    "run": _Entry("run a simulated task with a policy or the scripted expert", _run),
    "tasks": _Entry("list the tasks, their objects and instructions", _tasks),
    "robots": _Entry("list the robots, their joints and limits; check an embodiment file", _robots),
    "robots check": _Entry("how well each servo of an arm is, motors off", _robots_check),
    "record": _Entry("record demonstrations of scripted experts, or of a person on an arm", _record),
    "data info": _Entry("what a dataset holds", _data_info),
    "data validate": _Entry("check a dataset file by file", _data_validate),
    "data stats": _Entry("smallest, largest and usual value of every joint and channel", _data_stats),
    "data view": _Entry("episodes as one HTML page with videos and plots, or for Rerun", _data_view),
    "data convert": _Entry("import LeRobot v2.0, v2.1, v3.0 or robomimic HDF5", _data_convert),
    "data edit": _Entry("delete, trim, merge, split, rename: into a new dataset", _data_edit),
    "policy convert": _Entry("write a checkpoint of an earlier version anew", _policy_convert),
    "policy halve": _Entry("store a checkpoint's weights in float16", _policy_halve),
    "export": _Entry("write a policy that runs without torch, in float32 or int8", _export),
    "train": _Entry("train a policy on datasets", _train),
    "eval": _Entry("evaluate a policy on a suite, with 95 % intervals", _eval),
    "launch": _Entry("launch a policy on an arm, or rehearse it with --twin", _launch),
    "serve": _Entry("serve a policy to robots over the network", _serve),
    "env check": _Entry("try somebody's environment; write a first file for a new one", _env_check),
    "replay": _Entry("play a recorded episode on an arm, on its twin or in simulation", _replay),
    "teleop": _Entry("drive an arm by hand with a leader arm, or rehearse it with --twin", _teleop),
    "twin": _Entry("serve a simulated arm behind a pseudo-terminal, with faults on demand", _twin),
    "find-port": _Entry("which serial port the arm is on", _find_port),
    "setup-motors": _Entry("give new servos their ids, one at a time", _setup_motors),
    "find-cameras": _Entry("which cameras there are, what they give and see", _find_cameras),
    "calibrate": _Entry("guided calibration of an arm, or its rehearsal with --twin", _calibrate),
    "release": _Entry("switch the motors of an arm off, with a hand under it", _release),
    "bench data": _Entry("measure training samples against LeRobotDataset", _bench_data),
    "bench inference": _Entry("measure plans and chunks against LeRobot's policies", _bench_inference),
    "bench loop": _Entry("measure the 120 Hz loop beside the floor that this machine sets", _bench_loop),
    "bench render": _Entry("measure rendering against gymnasium's MuJoCo renderer", _bench_render),
    "bench serve": _Entry("measure a policy server beside a bare echo of the same bytes", _bench_serve),
    "bench train": _Entry("measure training against LeRobot's policies", _bench_train),
}


def _summaries() -> dict[str, str]:
    return {name: entry.summary for name, entry in COMMANDS.items()}
