"""`ideomotor data validate` on the command line: exit codes, JSON, `--robot` and `--fix`."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from ideomotor.control.embodiment import EMBODIMENTS

WHOLE = {"ok": True, "problems": [], "warnings": []}


@pytest.fixture(scope="module")
def recorded(ideomotor, tmp_path_factory):
    out = tmp_path_factory.mktemp("recorded") / "data"
    assert ideomotor("record", "reach", "--episodes", 3, "--out", out).returncode == 0
    return out


@pytest.fixture
def damaged(recorded, tmp_path):
    """A copy in which one value of the first episode is not a number."""
    root = shutil.copytree(recorded, tmp_path / "damaged")
    path = root / "data/chunk-000/file-000.parquet"
    groups = [pq.ParquetFile(path).read_row_group(i) for i in range(3)]
    values = groups[0]["progress"].to_numpy().copy()
    values[0] = np.nan
    at = groups[0].column_names.index("progress")
    groups[0] = groups[0].set_column(at, groups[0].schema.field(at), [values])
    with pq.ParquetWriter(path, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)
    return root


def test_exit_codes_and_json(recorded, damaged, in_process, tmp_path):
    assert in_process("data", "validate", recorded, "--json", "-").json == {
        "ok": True,
        "problems": [],
        "warnings": [],
    }
    done = in_process("data", "validate", damaged, "--every-frame", "--json", tmp_path / "found.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "episode 0: progress: not finite at frame 0\n1 problems\n"
    assert "not finite at frame 0" in (tmp_path / "found.json").read_text()
    in_process("data", "validate", tmp_path / "nothing").assert_refused("nothing")
    in_process("data", "validate", recorded, "--robot", "so100").assert_refused("robot", "so100")


def test_fix_writes_a_copy_that_is_whole(damaged, in_process, tmp_path):
    out = tmp_path / "fixed"
    found = in_process("data", "validate", damaged, "--fix", out, "--json", "-").json
    assert not found["ok"] and len(found["problems"]) == 1
    assert found["fixed"]["out"] == str(out) and found["fixed"]["episodes"] == 2
    dropped = {"where": "episode 0", "what": "dropped: progress: not finite at frame 0"}
    assert dropped in found["fixed"]["done"]
    assert in_process("data", "validate", out, "--json", "-").json == {
        "ok": True,
        "problems": [],
        "warnings": [],
    }
    in_process("data", "validate", damaged, "--fix", out).assert_refused("fix", "exists already")


def test_limits_of_another_robot(recorded, in_process, tmp_path):
    text = (EMBODIMENTS / "so101.yaml").read_text().replace("name: so101", "name: mine", 1)
    (tmp_path / "mine.yaml").write_text(text)
    done = in_process("data", "validate", recorded, "--robot", tmp_path / "mine.yaml", "--json", "-")
    assert done.json["ok"]
