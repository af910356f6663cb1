"""What a user's shell does to a command: where its outputs lead, who reads them, and what they can show."""

import json
import os
import stat
import subprocess

import pytest

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # as a terminal of another encoding


@pytest.fixture
def shell(command, tmp_path):
    """shell("LINE") runs a line of bash in a folder of its own, where `ideomotor` is the program."""

    def run(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{command.parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
        )

    return run


def results(folder, *names):
    """{name: size} of what there is of these."""
    return {name: (folder / name).stat().st_size for name in names if (folder / name).exists()}


RUN = "ideomotor run reach --expert --record film.mp4 --json run.json"
EVAL = "ideomotor eval --expert --tasks reach --episodes 1 --out out --json eval.json"


@pytest.mark.parametrize("line", [f"{RUN} 2>&1 | true", f"{RUN} >&-"])
def test_a_closed_pipe_loses_no_film_and_no_json(line, shell, tmp_path):
    done = shell(line)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run.json").read_text())["success"] is True
    assert (tmp_path / "film.mp4").stat().st_size > 10_000


@pytest.mark.parametrize("how", ["closed", "ascii", "full"])
def test_an_evaluation_is_saved_whatever_becomes_of_what_it_prints(how, shell, tmp_path):
    done = shell(
        EVAL + {"closed": " | true", "ascii": "", "full": " > /dev/full"}[how],
        **(ASCII if how == "ascii" else {}),
    )
    if how == "full":  # what could not be printed is said, when all else is done
        said = "error: standard output: No space left on device\n"
        assert (done.returncode, done.stderr) == (1, said)
    else:
        assert (done.returncode, done.stderr) == (0, "")
    if how == "ascii":
        assert "100.0%" in done.stdout
    found = json.loads((tmp_path / "eval.json").read_text())
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == found
    assert "</html>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "line", ["ideomotor", "ideomotor tasks", "ideomotor tasks --json - 2> table.txt", "ideomotor run --help"]
)
def test_listings_end_well_when_their_reader_has_seen_enough(line, shell):
    done = shell(f"{line} | head -c 1")
    assert (done.returncode, done.stderr) == (0, "") and len(done.stdout) == 1


def test_every_kind_of_output_can_be_given_to_another_process(shell, tmp_path):
    """`>(…)` is a pipe, and a link leads to a file: neither is replaced by a file."""
    (tmp_path / "link.json").symlink_to("linked.json")
    done = shell(
        "ideomotor run reach --expert --record >(cat > film.mp4) --json link.json > shown.txt; echo $?; wait"
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"  # as browsers want an mp4
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "linked.json").read_text())["video"].startswith("/dev/fd/")


def test_a_device_named_for_the_json_stays_a_device(in_process, tmp_path):
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.write_bytes(b"")
    except PermissionError:
        pytest.skip("needs the right to make a device and open it")
    for command in (["tasks"], ["robots"], ["data", "validate", tmp_path]):
        in_process(*command, "--json", null)
        assert stat.S_ISCHR(null.stat().st_mode) and [path.name for path in tmp_path.iterdir()] == ["null"]


def test_json_into_standard_output_named_as_a_file(shell, tmp_path):
    done = shell("ideomotor tasks --json /dev/stdout > both.txt")
    assert (done.returncode, done.stderr) == (0, "")
    first, *table = (tmp_path / "both.txt").read_text().splitlines()
    assert json.loads(first)["tasks"] and "instructions" in table[0] and len(table) > 8


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["run", "lift", "--expert", "--json", "folder"], "json"),
        (["run", "lift", "--expert", "--record", "folder.mp4"], "record"),
        (["eval", "--expert", "--json", "folder"], "json"),
        (["eval", "--expert", "--out", "file"], "out"),
        (["eval", "--suite", "questions", "--out", "file"], "out"),
        (["record", "lift", "--out", "file"], "out"),
        (["record", "lift", "--out", "file/below"], "out"),
        (["record", "lift", "--out", "new", "--json", "folder"], "json"),
        (["train", "--data", "folder", "--out", "file"], "out"),
        (["train", "--data", "folder", "--out", "new", "--json", "folder"], "json"),
        (["data", "view", "folder", "--out", "folder.html"], "out"),
        (["data", "view", "folder", "--rrd", "folder.rrd"], "rrd"),
        (["data", "convert", "folder", "file"], "out"),
        (["data", "validate", "folder", "--json", "folder"], "json"),
        (["bench", "loop", "--picture", "folder.svg"], "picture"),
        (["bench", "render", "--json", "folder"], "json"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_work(
    arguments, name, in_process, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for suffix in ("", ".mp4", ".html", ".rrd", ".svg"):
        (tmp_path / f"folder{suffix}").mkdir()
    before = sorted(tmp_path.rglob("*"))
    in_process(*arguments).assert_refused(f"{name}: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("out", ["data", "data/policy", "link"])
def test_a_training_does_not_write_into_its_dataset(out, in_process, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    in_process("train", "--data", tmp_path / "data", "--out", tmp_path / out).assert_refused(
        "out: ", "lies in"
    )
    assert not list((tmp_path / "data").iterdir())
