"""`ideomotor record`, then `data info` and `data validate` on what it wrote."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from ideomotor.datasets.lerobot.reader import Dataset

EPISODES = 10  # of each task: enough that an interrupted recording has not finished before the signal


@pytest.fixture(scope="module")
def recorded(ideomotor, tmp_path_factory):
    """(folder, the command's JSON) of a few episodes of each of two tasks."""
    out = tmp_path_factory.mktemp("recorded") / "data"
    return out, ideomotor("record", "reach", "lift", "--episodes", EPISODES, "--out", out, "--json", "-").json


def contents(folder):
    """{relative path: bytes} of every file in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_summary_agrees_with_data_info_and_the_dataset_is_valid(recorded, in_process):
    out, summary = recorded
    info = in_process("data", "info", out, "--json", "-").json
    assert summary["episodes"] == info["episodes"] == 2 * EPISODES
    assert summary["frames"] == info["frames"] > 0
    assert summary["tasks"] == ["reach", "lift"]
    assert info["fps"] == 30
    assert {"action", "action.high_rate", "observation.referred", "subtask"} <= set(info["features"])
    assert in_process("data", "validate", out, "--json", "-").json["ok"]


def test_rows_hold_the_commands_between_frames(recorded):
    dataset = Dataset(recorded[0])
    columns = dataset.columns(EPISODES)  # of the first lift
    commands = columns["action.high_rate"].reshape(-1, 4, 6)
    assert np.array_equal(columns["action"], commands[:, 0])  # the command of the frame's own tick
    steps = np.diff(commands.reshape(-1, 6), axis=0)
    assert 0 < np.abs(steps).max() < 4.0 / 120 + 1e-5  # four a frame, continuous across frames
    assert columns["progress"][0] == 0 and columns["progress"].max() >= 0.5
    assert dataset.episodes["seed"].to_pylist() == [*range(EPISODES)] * 2
    assert dataset.episodes["task_name"].to_pylist() == ["reach"] * EPISODES + ["lift"] * EPISODES


def test_a_policys_frames_have_beside_them_what_the_expert_would_do(in_process, tmp_path):
    out = tmp_path / "data"
    done = in_process("record", "reach", "--policy", "vla/checkpoints/so101", "--episodes", 2, "--out", out)
    assert done.returncode == 0, done.stderr
    assert in_process("data", "validate", out, "--json", "-").json["ok"]
    dataset, driven = Dataset(out), 0
    for episode in range(2):
        columns = dataset.columns(episode)
        commands = columns["action.high_rate"].reshape(-1, 6)
        labels = columns["action.expert"].reshape(len(columns["action"]), 96, 6)
        sent = np.stack([commands[4 * row : 4 * row + 4] for row in range(len(labels))])
        near = np.abs(labels[:, :4] - sent).max(axis=(1, 2))
        driven += int((near > 0).sum())
        assert near.max() < 0.1  # an expert goes on from the commands that the policy sent
    assert driven > 20


def test_a_students_frames_have_beside_them_what_its_teacher_would_do(in_process, tmp_path):
    policy = "vla/checkpoints/so101"
    taught = ["record", "reach", "--policy", policy, "--teacher", policy, "--episodes", 1, "--out", tmp_path]
    done = in_process(*taught[:-1], out := tmp_path / "taught")
    assert done.returncode == 0, done.stderr
    columns = Dataset(out).columns(0)
    labels = columns["action.expert"].reshape(len(columns["action"]), 96, 6)
    sent = columns["action.high_rate"].reshape(len(labels), 4, 6)
    near = np.abs(labels[:, :4] - sent).max(axis=(1, 2))
    assert np.median(near) < 0.02  # a policy that teaches itself means what it does
    assert json.loads((out / "record.json").read_text())["teacher"] == policy
    in_process(*taught[:4], "--episodes", 1, "--resume", "--out", out).assert_refused(
        "teacher: got None, but"
    )
    alone = ["record", "reach", "--teacher", policy, "--out", tmp_path / "alone"]
    in_process(*alone).assert_refused("teacher: missing --policy")


def test_the_bytes_do_not_depend_on_the_number_of_workers(recorded, ideomotor, tmp_path):
    out = tmp_path / "data"
    done = ideomotor("record", "reach", "lift", "--episodes", EPISODES, "--out", out, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(recorded[0])


def test_ctrl_c_keeps_whole_episodes_and_resume_completes_the_same_bytes(
    recorded, in_process, command, tmp_path
):
    out = tmp_path / "data"
    arguments = ["record", "reach", "lift", "--episodes", str(EPISODES), "--out", str(out)]
    process = subprocess.Popen(
        [command, *arguments, "--workers", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    info = out / "meta" / "info.json"
    while process.poll() is None:
        if info.exists() and json.loads(info.read_text())["total_episodes"] >= 1:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, said = process.communicate()
    assert (process.returncode, said) == (130, "interrupted\n")
    assert in_process("data", "validate", out, "--json", "-").json["ok"]
    assert in_process(*arguments, "--resume").returncode == 0
    assert contents(out) == contents(recorded[0])


def test_kill_9_keeps_whole_episodes_and_resume_completes_the_same_bytes(
    recorded, in_process, command, tmp_path
):
    out = tmp_path / "data"
    arguments = ["record", "reach", "lift", "--episodes", str(EPISODES), "--out", str(out)]
    process = subprocess.Popen([command, *arguments, "--workers", "2"], start_new_session=True)
    info = out / "meta" / "info.json"
    while process.poll() is None:
        if info.exists() and json.loads(info.read_text())["total_episodes"] >= 2:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)  # its workers live on for a moment, and hold nothing
    process.wait()
    (out / "record.json").unlink(missing_ok=True)  # as if killed before it was written
    assert in_process("data", "validate", out, "--json", "-").json["ok"]
    assert in_process(*arguments, "--resume").returncode == 0
    assert contents(out) == contents(recorded[0])


def test_an_existing_dataset_is_never_overwritten_or_mixed(recorded, in_process):
    out, before = recorded[0], contents(recorded[0])
    in_process("record", "reach", "--out", out).assert_refused(str(out))
    in_process("record", "reach", "lift", "--out", out, "--resume", "--noise", 0.5).assert_refused(
        "noise", "0.5"
    )
    in_process("record", "push", "--out", out, "--resume").assert_refused("tasks", "push")
    assert contents(out) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["raech"], ["task", "did you mean 'reach'?"]),
        ([], ["tasks", "none"]),
        (["reach", "reach"], ["tasks", "reach reach"]),
        (["reach", "--episodes", "0"], ["episodes", "0"]),
        (["reach", "--workers", "0"], ["workers", "0"]),
        (["reach", "--noise", "2"], ["noise", "2"]),
    ],
)
def test_bad_options_leave_no_folder(arguments, words, in_process, tmp_path):
    in_process("record", *arguments, "--out", tmp_path / "data").assert_refused(*words)
    assert not list(tmp_path.iterdir())


def test_a_file_limit_while_recording_leaves_whole_episodes(ideomotor, in_process, tmp_path):
    out = tmp_path / "data"
    limit = 60_000  # [bytes] per file: the videos reach it after some episodes

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = ideomotor("record", "lift", "--episodes", 20, "--out", out, preexec_fn=limited)
    done.assert_refused(str(out), code=1)
    check_whole(out, in_process)


def test_a_full_disk_while_recording_leaves_whole_episodes(ideomotor, in_process, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a small disk")
    try:
        ideomotor("record", "lift", "--episodes", 20, "--out", disk / "data").assert_refused(
            "the disk is full", code=1
        )
        check_whole(disk / "data", in_process)
    finally:
        subprocess.run(["umount", disk], check=True)


def check_whole(out, in_process):
    """Nothing is half-written: complete episodes, or no dataset at all."""
    if not out.exists():
        return
    assert in_process("data", "validate", out, "--json", "-").json["ok"]
    assert 0 < in_process("data", "info", out, "--json", "-").json["episodes"] < 20
    assert not list(out.rglob("*.tmp"))


def test_data_of_no_dataset_is_refused(in_process, tmp_path):
    for command in ("info", "validate"):
        in_process("data", command, tmp_path / "nothing", "--json", "-").assert_refused("nothing")
