"""Jobs on a Ray cluster of two nodes, some of which die: the same results as in one process, each once."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.run import evaluate, run_episode
from ideomotor.eval.suites import suite
from ideomotor.eval.summary import summary
from ideomotor.eval.workers import in_order

EXPERT = PolicySpec(None)
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the jobs below, to workers
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


def noted(job: tuple[int, Path]) -> tuple[int, str]:
    """Notes that it ran; the worker with job 3 dies the first time."""
    number, folder = job
    with (folder / str(number)).open("a") as file:
        file.write("ran\n")
    if number == 3 and (folder / "3").read_text() == "ran\n":
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.environ["OMP_NUM_THREADS"]


def failing(number: int) -> int:
    if number == 2:
        error = OSError("the simulator broke")
        error.add_note("in job 2")
        raise error
    return number


def test_the_jobs_of_a_killed_worker_run_again_and_every_result_comes_once_and_in_order(cluster, tmp_path):
    results = list(in_order(noted, ((n, tmp_path) for n in range(8)), workers=1, ray=cluster.address))
    assert results == [(n, "1") for n in range(8)]
    assert (tmp_path / "3").read_text() == "ran\nran\n"


def test_an_error_is_raised_as_it_was_at_its_jobs_turn(cluster):
    done = []
    with pytest.raises(OSError, match="the simulator broke") as raised:
        for result in in_order(failing, range(100), workers=1, ray=cluster.address):
            done.append(result)
    assert done == [0, 1] and raised.value.__notes__ == ["in job 2"]


def test_an_evaluation_gives_the_same_json_although_a_node_goes_and_another_comes(cluster, tmp_path):
    specs = suite("builtin", ["reach", "press"], 5, 1_000_000)
    seen = []

    def on_row(row) -> None:
        seen.append(row.spec)
        if len(seen) == 2:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            cluster.add_node(**NODE)

    rows = evaluate(specs, EXPERT, ray=cluster.address, out=tmp_path, on_row=on_row)
    alone = evaluate(specs, EXPERT)
    assert seen == specs
    assert json.dumps(summary("builtin", "expert", rows)) == json.dumps(summary("builtin", "expert", alone))
    kept = (tmp_path / "episodes.jsonl").read_text().splitlines()[1:]
    assert [json.loads(line)["seed"] for line in kept] == [spec.seed for spec in specs]


def test_a_recording_has_the_same_bytes(cluster, ideomotor, tmp_path):
    recordings = []
    for name, more in (("here", ()), ("ray", ("--ray", cluster.address))):
        done = ideomotor("record", "reach", "--episodes", 2, "--out", tmp_path / name, *more)
        assert done.returncode == 0, done.stderr
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        recordings.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert recordings[0] == recordings[1] and len(recordings[0]) > 4


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "ray://127.0.0.1:1", "127.0.0.1:port"])
def test_a_cluster_that_is_not_there_is_refused_at_once(in_process, address):
    pytest.importorskip("ray")
    done = in_process("eval", "--expert", "--tasks", "reach", "--episodes", 1, "--ray", address)
    done.assert_refused(f"ray: got '{address}'", "expected a running cluster's HOST:PORT")


def test_without_ray_the_extra_is_named(in_process, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = in_process("eval", "--expert", "--tasks", "reach", "--episodes", 1, "--ray", "auto")
    done.assert_refused("ray: needs the extra 'ray': pip install 'ideomotor[ray]'")


def test_a_node_with_another_checkpoint_is_found_out():
    spec = suite("builtin", ["reach"], 1, 1_000_000)[0]
    with pytest.raises(UserError, match="policy: so101 is another one on .* than where the evaluation"):
        run_episode(spec, EXPERT, fingerprint="0" * 64)
