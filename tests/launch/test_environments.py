"""`--env`: from an expert in a Gymnasium environment to a policy that acts in it, by the command line."""

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.vla.networks import PolicyNetworks

TINY = (
    *(
        "interpreter.train.steps=2",
        "interpreter.vision_width=32",
        "interpreter.text_width=32",
        "interpreter.layers=1",
    ),
    *(
        "interpreter.pictures=4",
        "decoder.train.steps=2",
        "decoder.width=32",
        "decoder.heads=2",
        "decoder.blocks=2",
    ),
    *("decoder.batch=4", "robot=reacher"),
)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDEOMOTOR_CACHE", str(tmp_path_factory.mktemp("cache") / "datasets"))
        yield


def test_record_train_and_eval(in_process, tmp_path):
    folders = [tmp_path / name for name in ("data", "again")]
    for folder in folders:
        done = in_process("record", "reach", "--env", "reacher", "--episodes", 2, "--out", folder)
        assert done.returncode == 0, done.stderr
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    )
    assert one == two
    info = in_process("data", "info", folders[0], "--json", "-").json
    assert info["fps"] == 25 and info["tasks"] == ["reach the red ball with the fingertip"]
    assert in_process("data", "validate", folders[0], "--json", "-").json["ok"]

    embodiment = load_embodiment("reacher")
    columns = Dataset(folders[0]).columns(0)
    loader = WindowLoader([folders[0]], embodiment, 96, 4)
    window = loader.windows(np.zeros(1, int), np.zeros(1, int), np.zeros(1, int))
    commands = columns["action.high_rate"].reshape(-1, 2)
    assert window.now.state.shape == (1, 6) and (window.past_commands == 0).all()
    assert np.array_equal(window.actions[0, : len(commands)], commands)
    assert window.action_mask.sum() == len(commands) < 96

    settings = [part for change in TINY for part in ("--set", change)]
    out = tmp_path / "policy"
    train = ("train", "--data", folders[0], "--out", out, "--config", "metaworld", *settings)
    assert in_process(*train).returncode == 0
    policy = PolicyNetworks.from_pretrained(out)
    assert (
        not policy.processor.targets and policy.sampling.smoothing == 0 and not policy.sampling.past_commands
    )

    measure = ("eval", "--policy", out, "--env", "Reacher-v5", "--episodes", 2, "--json", "-")
    results, repeated = in_process(*measure).json, in_process(*measure).json
    assert results == repeated
    assert results["suite"] == "reacher" and results["tasks"]["reach"]["episodes"] == 2
    assert [row["seed"] for row in results["episodes"]] == [1_000_000, 1_000_001]
    assert results["smoothness"]["jerk_ratio"] is None  # of torques there is none


def test_experts_are_evaluated_and_wrong_combinations_are_refused(in_process, tmp_path):
    results = in_process("eval", "--expert", "--env", "reacher", "--episodes", 3, "--json", "-").json
    assert results["mean"]["rate"] == 1.0
    listed = in_process("tasks", "--env", "metaworld", "--json", "-").json["tasks"]
    assert len(listed) == 50 and listed[0]["max_seconds"] == 5.0 and listed[0]["level"] == "easy"
    for arguments, words in (
        (("eval", "--env", "metaworlds"), ["env", "did you mean 'metaworld'"]),
        (("eval", "--env", "reacher", "--tasks", "lift"), ["task", "lift"]),
        (("eval", "--env", "reacher", "--suite", "named"), ["suite", "named"]),
        (("eval", "--env", "reacher", "--suite", "mt50"), ["env", "metaworld"]),
        (("eval", "--env", "reacher"), ["policy", "so101", "reacher"]),
        (("record", "reach", "--env", "reacher", "--noise", "2", "--out", tmp_path / "x"), ["noise"]),
        (("record", "lift", "--env", "reacher", "--out", tmp_path / "x"), ["task", "lift"]),
    ):
        in_process(*arguments).assert_refused(*words)
