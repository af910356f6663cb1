"""A recording that is killed at any moment is a valid dataset of all complete episodes, and can go on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot.layout import IDENTITY, INFO, STATS, TASKS
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter

PROGRAM = Path(__file__).with_name("killed_writer.py")
HOLD = (
    "import sys\n"
    "from ideomotor.control.embodiment import load_embodiment\n"
    "from ideomotor.datasets.lerobot.writer import DatasetWriter\n"
    "writer = DatasetWriter(sys.argv[1], load_embodiment('so101'), resume=True)\n"
    "print('writing', flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.mark.slow
def test_a_chain_of_kills_loses_no_episode_that_was_complete(tmp_path, so101, make_episode, hashes):
    """30 kills: at steps that go through two commits, and at 7 random moments."""
    root = tmp_path / "killed"
    done = subprocess.run([sys.executable, PROGRAM, root, "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["kills"] == 30 and said["safe"] >= 3
    assert not list(root.rglob("*.tmp"))
    count = len(Dataset(root))
    with DatasetWriter(tmp_path / "whole", so101) as writer:
        for seed in range(count):
            writer.add_episode(make_episode(seed, 4))
    assert hashes(root) == hashes(tmp_path / "whole")


def test_a_second_process_is_refused_until_the_first_is_gone(recorded, hashes, so101):
    before = hashes(recorded)
    command = [sys.executable, "-c", HOLD, str(recorded)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout is not None and first.stdout.readline() == "writing\n"
            with pytest.raises(UserError, match="another process is writing") as refused:
                DatasetWriter(recorded, so101, resume=True)
            assert "\n" not in str(refused.value)
        finally:
            os.kill(first.pid, signal.SIGKILL)
    DatasetWriter(recorded, so101, resume=True).close()
    assert hashes(recorded) == before


@pytest.mark.parametrize("left", [[], [IDENTITY], [IDENTITY + ".tmp"], [IDENTITY, INFO + ".tmp"]])
def test_a_folder_in_which_recording_has_not_begun_is_as_good_as_new(left, tmp_path, so101, make_episode):
    (tmp_path / "meta").mkdir()
    for name in left:
        (tmp_path / name).write_text("{")
    with DatasetWriter(tmp_path, so101, resume=True) as writer:
        writer.add_episode(make_episode(0, 4))
    assert validate(tmp_path) == []
    assert not list(tmp_path.rglob("*.tmp"))


def test_resuming_takes_back_what_an_unfinished_commit_put_in_place(tmp_path, so101, make_episode, hashes):
    """The kill came when all was renamed but info.json: valid as it is, and the episode is dropped."""
    root, one = tmp_path / "two", tmp_path / "one"
    for folder, count in ((one, 1), (root, 2)):
        with DatasetWriter(folder, so101) as writer:
            for seed in range(count):
                writer.add_episode(make_episode(seed, 4))
    (root / INFO).write_bytes((one / INFO).read_bytes())
    assert validate(root) == []
    whole = hashes(root)
    DatasetWriter(root, so101, resume=True).close()
    assert validate(root) == []
    for name in (INFO, STATS, TASKS):
        assert (root / name).read_bytes() == (one / name).read_bytes(), name
    with DatasetWriter(root, so101, resume=True) as writer:
        writer.add_episode(make_episode(1, 4))
    assert hashes(root).keys() == whole.keys()
    assert validate(root) == []
