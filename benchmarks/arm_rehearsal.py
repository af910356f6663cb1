"""A day with an arm of one's own over the twins: what 60 demonstrations teach, and corrections then.

    make arm-rehearsal                       # or: .venv/bin/python -P benchmarks/arm_rehearsal.py --out DIR

Everything is what a person with a leader arm and a follower types, with `--twin` where they would give ports:
demonstrations in sessions of five, each at another table, over the servos' real protocols and in real time;
one bad one edited away; a training; launches in which the hand takes over 1.5 s into an attempt; a
training on from there with these corrections (`--control`: and one without them for as long); each policy
evaluated on the same scenes, in lockstep. What is done is not done again when it is called again. Ends with
one JSON line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TASK, SESSION = "lift", 5  # episodes to a session
FIRST_TABLE, FIRST_LAUNCH = 700_000, 710_000  # seeds of the tables; evaluations begin elsewhere
HELP_AFTER_S, LAUNCH_S = 1.5, 60.0
INTERPRETER = Path(__file__).resolve().parent.parent / "vla" / "checkpoints" / "so101"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("outputs/rehearsal"))
    parser.add_argument("--demonstrations", type=int, default=60)
    parser.add_argument("--launches", type=int, default=10)
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="of the first training; half of it for each further one"
    )
    parser.add_argument("--episodes", type=int, default=100, help="of each evaluation")
    parser.add_argument("--control", action="store_true", help="train on without the corrections, too")
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)

    sessions = [
        _demonstrated(out, number, options) for number in range(-(-options.demonstrations // SESSION))
    ]
    data = _edited(out, sessions)
    before = _trained(out / "before", [data], options.minutes, options.cores)
    logs = [_launched(out, before, number) for number in range(options.launches)]
    on = ["--set", f"init.policy={before}"]
    after = _trained(
        out / "after", [data, *(log["log"] for log in logs)], options.minutes / 2, options.cores,
        *on, "--person-weight", "5",
    )  # fmt: skip
    policies = {"before": before, "after corrections": after}
    if options.control:
        policies["as long without"] = _trained(
            out / "longer", [data], options.minutes / 2, options.cores, *on
        )
    evaluated = {name: _evaluated(out, policy, options) for name, policy in policies.items()}
    print(json.dumps(_figures(sessions, logs, evaluated)))


def _demonstrated(out: Path, number: int, options: argparse.Namespace) -> dict[str, Any]:
    """One session at one table; the things come to other spots before each episode."""
    report = out / "sessions" / f"{number}.json"
    wanted = min(SESSION, options.demonstrations - number * SESSION)
    arguments = (
        "record", "--twin", "--task", TASK, "--seed", FIRST_TABLE + number, "--rearrange",
        "--episodes", wanted, "--out", out / "sessions" / str(number), "--countdown", 0, "--resume",
    )  # fmt: skip
    return _once(report, *arguments)


def _edited(out: Path, sessions: list[dict[str, Any]]) -> str:
    """All sessions as one dataset, without the first episode, as somebody does who was still trying."""
    data = out / "demonstrations"
    if not data.exists():
        _ideomotor("data", "edit", *(session["out"] for session in sessions), "--out", data, "--delete", 0)
        _ideomotor("data", "validate", data)
    return str(data)


def _trained(folder: Path, data: list[str], minutes: float, cores: int, *more: Any) -> Path:
    arguments = (
        "train", "--data", *data, "--out", folder, "--interpreter", INTERPRETER, "--resume",
        "--set", f"decoder.train.minutes={minutes:g}", *more,
    )  # fmt: skip
    report = folder.with_suffix(".json")
    if not report.exists():
        torchrun = Path(sys.executable).with_name("torchrun")
        workers = (torchrun, "--standalone", "--nproc-per-node", cores, "--no-python")
        _ideomotor(*arguments, "--json", report, before=workers)
    return folder


def _launched(out: Path, policy: Path, number: int) -> dict[str, Any]:
    """A launch at another table, in which the hand puts right what takes the policy too long."""
    report = out / "launches" / f"{number}.json"
    return _once(
        report, "launch", "so101", "--twin", "--leader", "so101", "--task", TASK,
        "--seed", FIRST_LAUNCH + number, "--rearrange", "--policy", policy,
        "--help-after", HELP_AFTER_S, "--max-seconds", LAUNCH_S, "--countdown", 0,
        "--log", out / "launches" / str(number),
    )  # fmt: skip


def _evaluated(out: Path, policy: Path, options: argparse.Namespace) -> dict[str, Any]:
    report = out / "evaluations" / f"{policy.name}.json"
    return _once(
        report, "eval", "--policy", policy, "--tasks", TASK, "--episodes", options.episodes,
        "--workers", options.cores, "--batch", 8, "--out", out / "evaluations" / policy.name, "--resume",
    )  # fmt: skip


def _once(report: Path, *arguments: Any) -> dict[str, Any]:
    """What the command reports, run unless it has reported already."""
    if not report.exists():
        report.parent.mkdir(parents=True, exist_ok=True)
        unfinished = report.with_suffix(".unfinished")
        _ideomotor(*arguments, "--json", unfinished)
        unfinished.rename(report)
    return json.loads(report.read_text())


def _ideomotor(*arguments: Any, before: tuple[Any, ...] = ()) -> None:
    command = [str(word) for word in (*before, Path(sys.executable).with_name("ideomotor"), *arguments)]
    print("+ ideomotor", " ".join(str(word) for word in arguments), flush=True)
    if (code := subprocess.run(command).returncode) != 0:
        sys.exit(f"it ended with exit code {code}; the same command goes on from here")


def _figures(
    sessions: list[dict[str, Any]], logs: list[dict[str, Any]], evaluated: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    ticks = sum(session["ticks"] for session in sessions)
    return {
        "demonstrations": sum(session["recorded"] for session in sessions),
        "not_solved": sum(session["not_solved"] for session in sessions),
        "ticks": ticks,
        "missed_ticks": sum(session["missed_ticks"] for session in sessions),
        "launched_attempts": sum(log["attempts"] for log in logs),
        "solved_in_launches": sum(log["solved"] for log in logs),
        "takeovers": sum(log["takeovers"] for log in logs),
        "evaluations": {name: result["tasks"][TASK] for name, result in evaluated.items()},
    }


if __name__ == "__main__":
    main()
