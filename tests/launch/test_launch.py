"""`ideomotor launch` over the twin: what is refused before any torque, and one launch from start to end."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.checking.audit_log import NAME as AUDIT
from ideomotor.datasets.checking.audit_log import check_audit_log
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.launch.runtime.recording.session_recorder import PICTURE, PLANS, REPORT, TICKS

pytestmark = [pytest.mark.realtime, pytest.mark.session]

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
GIVE_UP_S = 240.0  # for anything at all, on a busy machine
CAMERAS = ("--camera", "front=0", "wrist=1")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("port: missing", "--twin")),
        (("--port", "/dev/null"), ("camera: front, wrist missing",)),
        (("--port", "/dev/null", "--camera", "frnt=0"), ("did you mean 'front'",)),
        (("--port", "/dev/null", "--camera", "front"), ("expected NAME=INDEX",)),
        (("--port", "/dev/null", "--camera", "front=0", "front=1"), ("front is given twice",)),
        (
            ("--port", "/dev/null", "--camera", "front=/nowhere", "wrist=1"),
            ("front: cannot open '/nowhere'",),
        ),
        (("--twin", "--port", "/dev/null"), ("exclude each other",)),
        (("--fault", "dead id=3"), ("expected --twin",)),
        (("--twin", "--fault", "ded id=3"), ("unknown name 'ded'",)),
        (("--twin", "--speed", "2"), ("speed: got 2.0",)),
        (("--twin", "--policy", "/nowhere"), ("policy: no folder",)),
        (("--twin", "--policy", "."), ("config.json",)),
        (("--twin", "--log", "."), ("log: '.' is there already",)),
        (("--twin", "--handover", "rtx"), ("did you mean 'rtc'",)),
        (("--twin", "--floor"), ("expected --max-seconds",)),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_are_refused_at_once(in_process, tmp_path, monkeypatch, arguments, words) -> None:
    (tmp_path / "something").touch()
    monkeypatch.chdir(tmp_path)
    in_process("launch", "so101", *arguments).assert_refused(*words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--instruction", " "), ("instruction: got ' '", "what the robot is to do")),
        (("--fault", "dead id=3", "dead id=5"), ("elbow_flex (id 3)", "wrist_roll (id 5)")),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, tuple) else None,
)
def test_an_arm_that_is_not_well_is_refused_before_any_torque(in_process, arguments, words) -> None:
    in_process("launch", "so101", "--twin", *arguments).assert_refused(*words)


class Launched:
    """A launch whose standard input is a terminal, and that says on standard error what happens."""

    def __init__(self, command: Path, *arguments: object) -> None:
        ours, theirs = pty.openpty()
        self.keyboard = ours
        self.process = subprocess.Popen(
            [command, "launch", "so101", *map(str, arguments)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(theirs)
        self.said = ""

    def press(self, key: str) -> None:
        os.write(self.keyboard, key.encode())

    def wait_for(self, line: str) -> None:
        """Until it has said this line, after the ones waited for before."""
        assert self.process.stderr is not None
        while line not in self.said:
            assert select.select([self.process.stderr], [], [], GIVE_UP_S)[0], self.said
            more = os.read(self.process.stderr.fileno(), 4096).decode()
            assert more, f"it ended without {line!r}, but with {self.said!r}"
            self.said += more
        self.said = self.said.split(line, 1)[1]

    def result(self) -> tuple[int, dict]:
        assert self.process.stdout is not None
        return self.process.wait(GIVE_UP_S), json.loads(self.process.stdout.read())


@pytest.fixture
def launched(command: Path) -> Iterator[Callable[..., Launched]]:
    running: list[Launched] = []

    def start(*arguments: object) -> Launched:
        running.append(Launched(command, *arguments))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.communicate()
        os.close(each.keyboard)


def test_a_launch_from_start_to_end(launched, tmp_path) -> None:
    log, said = tmp_path / "log", "could you do something about the cylinders?"  # which nobody can judge
    run = launched("--twin", "--instruction", said, "--countdown", "0.5", "--log", log, "--json", "-")
    run.wait_for("not judged: ")
    run.wait_for("torque on in 1 s")
    run.wait_for("\nrun\n")
    time.sleep(1.5)
    run.press(" ")
    run.wait_for("hold: emergency stop: key space")
    run.press("r")
    run.wait_for("\nrun\n")
    run.press("h")
    run.wait_for("park: home, to begin again")
    run.wait_for("Enter begins again")
    run.press("b")
    run.wait_for("this attempt: bad")
    run.press("\n")
    run.wait_for("\nrun\n")
    time.sleep(0.5)
    run.press("gq")
    code, result = run.result()
    assert code == 0, result
    assert result["stop_reason"] == "finished" and result["stage"] == "off" and result["faults"] == []
    assert not result["motors_on"] and not result["interrupted"]
    assert result["instruction"] == said and len(result["possible_goals"]) > 1
    assert (result["judged"], result["goal"], result["solved"]) == (False, None, None)
    assert [stop["reason"] for stop in result["stops"]].count("emergency stop: key space") == 1
    assert result["logged"]["ticks"] == result["ticks"] > 200 and result["logged"]["lost_ticks"] == 0
    assert set(result["lateness_us"]) == {"p50", "p99", "p999", "max"} and result["floor_us"] is None

    report = json.loads((log / REPORT).read_text())
    assert report["outcome"] == {**result}
    assert [servo["model"] for servo in report["preflight"]["servos"]] == ["sts3215"] * 6
    assert {camera["name"] for camera in report["preflight"]["cameras"]} == {"front", "wrist"}
    assert (log / PICTURE).read_text().startswith("<svg")
    assert len(pq.read_table(log / PLANS)) == result["logged"]["plans"] > 0
    the_log_is_whole(log, result)
    assert list(check_audit_log(log)) == []
    events = [json.loads(line) for line in (log / AUDIT).read_text().splitlines()]
    assert events[0]["instruction"] == said and len(events[0]["weights_sha256"]) == 64
    assert "bad" in [event.get("mark") for event in events]
    assert "emergency stop: key space" in [event.get("reason") for event in events]
    assert events[-1]["what"] == "ended" and events[-1]["reason"] == "finished"


def the_log_is_whole(log: Path, result: dict) -> None:
    """A dataset that everybody reads, and every tick as it was."""
    ticks = pq.read_table(log / TICKS)
    assert ticks["tick"].to_pylist() == list(range(result["ticks"]))
    commands = np.array(ticks["command"].to_pylist())
    assert (np.abs(np.diff(commands, axis=0)) * ROBOT.control_hz <= ROBOT.max_velocity * 1.5).all()
    assert set(ticks["stage"].to_pylist()) == {"run", "hold", "park", "off"}
    np.testing.assert_allclose(commands[-1], ROBOT.home_position, atol=1e-6)
    measured = np.array(ticks["position"].to_pylist())
    assert np.nanmax(np.abs(measured - commands)) < 0.5

    assert validate(log) == []
    dataset = Dataset(log)
    columns = dataset.columns(0)
    assert len(columns["action"]) == result["logged"]["frames"] == -(-result["ticks"] // 4)
    np.testing.assert_allclose(columns["action"], commands[::4], atol=1e-6)
    whole = len(commands) // 4
    high_rate = columns["action.high_rate"][:whole].reshape(-1, 6)
    np.testing.assert_allclose(high_rate, commands[: 4 * whole], atol=1e-6)
    assert dataset.tasks == [result["instruction"]]
    assert dataset.frames(0, "front", [0, 9]).std() > 10  # something is to be seen
    batch = WindowLoader([log], ROBOT, horizon=96, batch_size=4, cache_root=log / "cache").batch(0)
    assert batch.actions.shape == (4, 96, 6) and batch.now.images["wrist"].shape == (4, 96, 96, 3)
