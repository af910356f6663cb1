"""From recorded data to a policy folder, in one process and in two, with the real simulator and loader."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control.errors import UserError
from ideomotor.control.types import Observation
from ideomotor.launch import cli
from ideomotor.train.pipeline import train
from ideomotor.vla.checkpoint import load_interpreter
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy

TWO = """
import sys
from pathlib import Path
from ideomotor.train.pipeline import train
if __name__ == "__main__":  # processes that render scenes import this file
    train([Path(sys.argv[1])], Path(sys.argv[2]), "smoke", overrides=["joint.train.steps=3"])
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDEOMOTOR_CACHE", str(tmp_path_factory.mktemp("cache") / "datasets"))
        yield


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "policy"
    result = train([data], out, "smoke", overrides=["joint.train.steps=3"])
    json.dumps(result)
    assert result["policy"]["step"] == result["joint"]["step"] == 3
    return out


def test_the_folder_is_a_policy_that_runs(trained: Path) -> None:
    policy = EpisodePolicy.from_pretrained(trained)
    images = {name: np.zeros((96, 96, 3), np.uint8) for name in ("front", "wrist")}
    observation = Observation(0.0, 0, images, np.zeros(6, np.float32), "reach the red cube")
    chunk = policy.act(observation, policy.plan(observation), np.zeros((4, 6)))
    assert np.isfinite(chunk.actions).all()
    assert "revision" in (trained / "README.md").read_text()
    assert json.loads((trained / "recipe.json").read_text())["recipe"]["robot"] == "so101"


def test_a_used_folder_is_refused_unless_resumed(trained: Path, data: Path) -> None:
    with pytest.raises(UserError, match="already has a training in it"):
        train([data], trained, "smoke")
    result = train([data], trained, "smoke", resume=True, overrides=["decoder.train.steps=5"])
    assert result["policy"]["step"] == 5
    assert "interpreter" not in result


def test_a_training_of_an_older_version_is_not_resumed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "recipe.json").write_text('{"recipe": {"scenes": {}, "policy": {}}}')
    with pytest.raises(UserError, match="was begun by an older version"):
        train([data], tmp_path, "smoke", resume=True)


def test_data_may_be_added_to_a_training_whose_normalisation_stays(
    data: Path, more: Path, tmp_path: Path
) -> None:
    train([data], tmp_path / "out", "smoke")
    began_with = PolicyNetworks.from_pretrained(tmp_path / "out").processor
    result = train([data, more], tmp_path / "out", "smoke", resume=True, overrides=["decoder.train.steps=5"])
    assert result["policy"]["step"] == 5
    assert PolicyNetworks.from_pretrained(tmp_path / "out").processor == began_with
    train([data, more], tmp_path / "new", "smoke")
    assert PolicyNetworks.from_pretrained(tmp_path / "new").processor != began_with


def test_a_decoder_is_trained_further_with_its_own_normalisation(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    given = [f"init.interpreter={trained}", f"init.policy={trained}", "decoder.train.learning_rate=0.0"]
    train([data], tmp_path / "more", "smoke", overrides=given)
    old, new = PolicyNetworks.from_pretrained(trained), PolicyNetworks.from_pretrained(tmp_path / "more")
    assert new.processor == old.processor
    for key, weight in old.decoder.state_dict().items():
        torch.testing.assert_close(new.decoder.state_dict()[key], weight, msg=key)
    with pytest.raises(UserError, match="do not fit the recipe"):
        train([data], tmp_path / "wider", "smoke", overrides=[*given, "decoder.width=64"])


def test_a_training_keeps_its_teacher_and_takes_over_its_normalisation(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    out, given = tmp_path / "student", ["decoder.width=16", "interpreter.text_width=16"]
    given.append("interpreter.train.steps=21")  # long enough for what it will take to be measured
    result = train([data], out, "smoke", overrides=[*given, f"distill.teacher={trained}"])
    assert result["interpreter"]["taught_plan"] > 0 and result["policy"]["step"] == 3
    student, theirs = PolicyNetworks.from_pretrained(out), PolicyNetworks.from_pretrained(trained)
    assert student.processor == theirs.processor
    assert student.interpreter.tokenizer.get_vocab() == theirs.interpreter.tokenizer.get_vocab()
    assert student.decoder.config.width == 16
    longer = [*given, "decoder.train.steps=4"]
    assert train([data], out, "smoke", resume=True, overrides=longer)["policy"]["step"] == 4
    assert json.loads((out / "recipe.json").read_text())["recipe"]["distill"]["teacher"] == str(trained)
    with pytest.raises(
        UserError, match=r"^teacher: .* is another one than the training in .* was begun with"
    ):
        train([data], out, "smoke", resume=True, overrides=[*longer, f"distill.teacher={out}"])
    with pytest.raises(UserError, match=r"^teacher: the training in .* was begun without one"):
        train([data], trained, "smoke", resume=True, overrides=[f"distill.teacher={out}"])


def changed(trained: Path, folder: Path, name: str, **values: object) -> Path:
    """A copy of a checkpoint with values of a part of its config changed, or of its processor."""
    folder.mkdir()
    for path in trained.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    file = folder / ("processor.json" if name == "processor" else "config.json")
    content = json.loads(file.read_text())
    (content if name == "processor" else content[name]).update(values)
    file.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("processor", {"fingerprint": "0", "embodiment": "other"}, "trained for robot 'other'"),
        ("timing", {"control_hz": 60}, "timing.control_hz: got 60, expected so101's 120"),
        ("decoder", {"cameras": ["front", "ceiling"]}, "looks through camera ceiling, which so101 lacks"),
        ("decoder", {"horizon": 48}, "set: decoder.horizon: got 96, expected the teacher's 48"),
        ("sampling", {"noise_knots": 6}, "decoder.objective.noise_knots: got 12, expected the teacher's 6"),
        (
            "interpreter",
            {"cameras": ["front", "wrist"]},
            "interpreter.cameras: got 'front', expected the teacher's",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_before_anything_is_written(
    trained: Path, data: Path, tmp_path: Path, capfd, name: str, values: dict, message: str
) -> None:
    other = changed(trained, tmp_path / "other", name, **values)
    given = ("--config", "smoke", "--data", data, "--teacher", other, "--out", tmp_path / "out")
    assert cli.main(["train", *map(str, given)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: teacher: ") and message in line
    assert not (tmp_path / "out").exists()


def test_only_the_joint_stage(trained: Path, data: Path, tmp_path: Path) -> None:
    without = ["decoder.train.steps=0", "joint.train.steps=2"]
    with pytest.raises(UserError, match="needs init.policy=DIR"):
        train([data], tmp_path / "alone", "smoke", overrides=without)
    assert not (tmp_path / "alone").exists()
    given = [*without, f"init.policy={trained}"]
    result = train([data], tmp_path / "more", "smoke", overrides=given)
    assert result["joint"]["step"] == 2 and not {"interpreter", "policy"} & result.keys()
    old, new = PolicyNetworks.from_pretrained(trained), PolicyNetworks.from_pretrained(tmp_path / "more")
    for part in ("interpreter", "decoder"):
        before, after = (getattr(each, part).state_dict() for each in (old, new))
        assert any(not torch.equal(before[key], after[key]) for key in before), part
    given[1] = "joint.train.steps=3"
    resumed = train([data], tmp_path / "more", "smoke", resume=True, overrides=given)
    assert resumed["joint"]["step"] == 3


def test_an_interpreter_is_trained_further(trained: Path, tmp_path: Path) -> None:
    given = [f"interpreter.start={trained}", "interpreter.train.learning_rate=0.0"]
    train([], tmp_path / "more", "smoke", overrides=given)
    old, new = load_interpreter(trained), load_interpreter(tmp_path / "more")
    assert new.tokenizer.get_vocab() == old.tokenizer.get_vocab()
    for key, weight in old.state_dict().items():
        torch.testing.assert_close(new.state_dict()[key], weight, msg=key)


def test_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        train([tmp_path / "nowhere"], tmp_path / "out", "smoke")


def losses(run: Path, stage: str) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / f"{stage}.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.slow
def test_two_processes_train_as_one_does(trained: Path, data: Path, tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    out = tmp_path / "two"
    ran = subprocess.run(
        [*command, str(script), str(data), str(out)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    PolicyNetworks.from_pretrained(out)
    for stage in ("interpreter", "decoder", "joint"):
        one, two = losses(trained, stage), losses(out, stage)
        assert list(two) == [1, 2, 3]
        np.testing.assert_allclose(list(two.values()), [one[step] for step in two], rtol=1e-4, err_msg=stage)


@pytest.mark.slow
def test_trainings_killed_and_interrupted_in_every_stage_go_on_to_the_same_weights(
    data: Path, tmp_path: Path
) -> None:
    changed = [
        f"{stage}.train.{change}"
        for stage in ("interpreter", "decoder", "joint")
        for change in ("steps=14", "save_every_s=0")
    ]
    command = ["train", "--config", "smoke", "--data", str(data), "--resume"]
    command += [word for change in changed for word in ("--set", change)]
    with Forking() as forking:
        assert forking.start(*command, "--out", tmp_path / "whole").wait() == 0
        torn = tmp_path / "torn"
        ends = {"interpreter": signal.SIGKILL, "decoder": signal.SIGINT, "joint": signal.SIGKILL}
        for stage, number in ends.items():
            forking.start(*command, "--out", torn)
            while not ((torn / f"{stage}.jsonl").is_file() and len(losses(torn, stage)) >= 3):
                os.kill(forking.process, 0)  # ProcessLookupError: it has ended
                time.sleep(0.005)
            os.kill(forking.process, number)
            assert forking.wait() == (130 if number == signal.SIGINT else -number)
            assert len(losses(torn, stage)) < 14
        assert forking.start(*command, "--out", torn).wait() == 0
    whole, parts = (PolicyNetworks.from_pretrained(tmp_path / name) for name in ("whole", "torn"))
    for part in ("interpreter", "decoder"):
        one, two = (getattr(policy, part).state_dict() for policy in (whole, parts))
        for key, weight in one.items():
            torch.testing.assert_close(two[key], weight, rtol=1e-5, atol=1e-6, msg=f"{part} {key}")


class Forking:
    """Starts commands one after the other, each a process of its own that finds its modules imported.

    Importing them takes five seconds of CPU, half of what a small training takes.

    Attributes:
        process: the id of the command's process.
    """

    CODE = """
import json, os, sys
import transformers.models.smolvlm.modeling_smolvlm
from ideomotor.launch import __main__
from ideomotor.launch.commands import train
from ideomotor.train import pipeline
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        os.dup2(2, 1)
        sys.argv[1:] = json.loads(line)
        sys.exit(__main__.main())
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-P", "-c", self.CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.process = 0

    def __enter__(self) -> Forking:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate()

    def start(self, *words: object) -> Forking:
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([str(word) for word in words]) + "\n")
        self._parent.stdin.flush()
        self.process = int(self._parent.stdout.readline())
        return self

    def wait(self) -> int:
        """The exit code; minus the number of the signal that killed it."""
        assert self._parent.stdout is not None
        return int(self._parent.stdout.readline())
