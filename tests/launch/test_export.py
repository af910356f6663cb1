"""`ideomotor export`, and what was exported on a computer that has nothing but the extra `edge`."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ideomotor.control.calibration import calibration_path, default_calibration, save_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import Observation
from ideomotor.eval.policy_spec import PolicySpec, load_policy
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.sim.twin.process import Twin
from ideomotor.vla.checkpoint_info import bundled_checkpoint, read_facts
from ideomotor.vla.networks import PolicyNetworks

ABSENT = (
    "daqp",
    "diffusers",
    "gymnasium",
    "mink",
    "mujoco",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)
# With IDEOMOTOR_EDGE_PYTHON of an environment that was made for it, nothing has to be hidden.
PYTHON = os.environ.get("IDEOMOTOR_EDGE_PYTHON", sys.executable)


@pytest.fixture(scope="session")
def exported(ideomotor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "policy"
    done = ideomotor("export", "--out", folder, "--json", "-").json
    assert done["precision"] == "float32" and done["cameras"] == ["front", "wrist"] and done["text"]
    assert done["bytes"] == done["float32_bytes"] > 20e6
    return folder


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of processes that cannot import what an edge computer has not."""
    folder = tmp_path_factory.mktemp("edge")
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {ABSENT!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"}


def on_edge(edge: dict[str, str], *arguments: object, **options) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-P", "-m", "ideomotor.launch", *map(str, arguments)]
    return subprocess.run(command, env=edge, capture_output=True, text=True, **options)


CODE = (
    "import json, sys, numpy as np, ideomotor\n"
    "from ideomotor.control.types import Observation\n"
    "policy = ideomotor.load_policy(sys.argv[1]).policy\n"
    "policy.reset(3); rng = np.random.default_rng(0)\n"
    "images = {n: rng.integers(0, 255, (96, 96, 3), dtype=np.uint8) for n in ('front', 'wrist')}\n"
    "seen = Observation(0.0, 0, images, np.zeros(6, np.float32), 'lift the red cube')\n"
    "plan = policy.plan(seen)\n"
    "chunk = policy.act(seen, plan, np.zeros((4, 6)))\n"
    f"assert not set(sys.modules) & set({ABSENT!r})\n"
    "print(json.dumps([plan.text, plan.tokens.tolist(), chunk.actions.tolist()]))\n"
)


@pytest.fixture(scope="module")
def seen() -> Observation:
    """What `CODE` has the policy see."""
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 255, (96, 96, 3), dtype=np.uint8) for name in ("front", "wrist")}
    return Observation(0.0, 0, images, np.zeros(6, np.float32), "lift the red cube")


def answers(folder: Path, seen: Observation) -> tuple[str, np.ndarray, np.ndarray]:
    """What a checkpoint makes of it here: the text, the plan's tokens and a chunk."""
    policy = load_policy(folder, "so101")
    policy.reset(3)
    plan = policy.plan(seen)
    return plan.text, plan.tokens, policy.act(seen, plan, np.zeros((4, 6))).actions


def assert_alike(found, expected) -> None:
    assert found[0] == expected[0]
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def on_edge_asked(folder: Path, edge: dict[str, str]) -> list:
    done = subprocess.run([PYTHON, "-P", "-c", CODE, str(folder)], env=edge, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_answers_where_nothing_else_is_installed(
    exported: Path, edge: dict[str, str], seen: Observation
) -> None:
    """And as the checkpoint does here."""
    expected = answers(bundled_checkpoint(), seen)
    assert expected[0]
    assert_alike(on_edge_asked(exported, edge), expected)


def test_openvinos_graphs_answer_there_too(
    in_process, edge: dict[str, str], seen: Observation, tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="needs the extra 'export', with openvino")
    checkpoint, out = tmp_path / "checkpoint", tmp_path / "policy"
    tiny_networks().save_pretrained(checkpoint)
    given = ("--policy", checkpoint, "--to", "openvino", "--out", out, "--json", "-")
    done = in_process("export", *given).json
    assert done["to"] == "openvino" and done["precision"] == "float32"
    names = {path.name for path in out.iterdir()}
    assert {"step.xml", "step.bin", "config.json"} <= names
    assert not [name for name in names if name.endswith(".onnx")]
    assert_alike(on_edge_asked(out, edge), answers(checkpoint, seen))


def tiny_networks() -> PolicyNetworks:
    """Those of tests/vla/exported."""
    path = Path(__file__).parents[1] / "vla" / "exported" / "conftest.py"
    spec = importlib.util.spec_from_file_location("exported_policies", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # where its dataclasses are looked up
        spec.loader.exec_module(module)
    return module.tiny_networks()


def test_it_is_served_there_to_those_who_ask_from_here(
    exported: Path, edge: dict[str, str], seen: Observation
) -> None:
    command = [PYTHON, "-P", "-m", "ideomotor.launch", "serve", "--policy", exported, "--port", "0"]
    with subprocess.Popen(command, env=edge, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            lines = iter(server.stdout.readline, b"")
            address = next(line for line in lines if b"listening on " in line).decode().split()[-1]
            policy = PolicySpec(chosen_policy(address, load_embodiment("so101"))).load()
            assert policy is not None
            policy.reset(3)
            plan = policy.plan(seen)
            chunk = policy.act(seen, plan, np.zeros((4, 6)))
            assert_alike((plan.text, plan.tokens, chunk.actions), answers(bundled_checkpoint(), seen))
        finally:
            server.terminate()
        _, errors = server.communicate()
    assert server.returncode == 0, errors


def test_what_needs_more_says_so(edge: dict[str, str]) -> None:
    done = on_edge(edge, "run", "lift")
    assert done.returncode == 2 and "pip install 'ideomotor[full]'" in done.stderr, done.stderr


def test_it_is_what_it_was_made_from(exported: Path) -> None:
    facts, own = read_facts(exported), read_facts(bundled_checkpoint())
    assert (facts.timing, facts.cameras, facts.processor) == (own.timing, own.cameras, own.processor)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "tflite"), ("to: ", "onnx")),
        (("--int8",), ("data: missing", "--int8")),
        (("--keep", "step"), ("keep: belongs to --int8",)),
        (("--cameras", "side"), ("camera: ", "front, wrist")),
    ],
)
def test_mistakes_are_refused(
    in_process, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    in_process("export", "--out", tmp_path / "out", *arguments).assert_refused(*words)
    assert not (tmp_path / "out").exists()


def test_an_exported_policy_is_no_checkpoint(in_process, exported: Path, tmp_path: Path) -> None:
    done = in_process("export", "--policy", exported, "--out", tmp_path / "out")
    done.assert_refused("config.json: an exported policy, expected the checkpoint")


def test_a_damaged_file_is_named(exported: Path, tmp_path: Path, in_process) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in exported.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "step.onnx").write_bytes(b"nothing")
    in_process("run", "reach", "--policy", broken).assert_refused(
        "step.onnx: not a graph that onnxruntime runs"
    )
    (broken / "step.onnx").unlink()
    in_process("run", "reach", "--policy", broken).assert_refused("step.onnx: no such file")


@pytest.mark.realtime
def test_a_launch_on_an_edge_computer(exported: Path, edge: dict[str, str], tmp_path: Path) -> None:
    """The arm is a twin that another process serves; its cameras are films."""
    edge = edge | {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    robot = load_embodiment("so101")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, edge[name])
        made = replace(default_calibration(robot), made_at="for a test")
        save_calibration(made, calibration_path(robot.name, "main"))
    films = [f"{camera.name}={film(tmp_path / f'{camera.name}.mp4')}" for camera in robot.cameras]
    with Twin("so101") as twin:
        time.sleep(0.2)
        done = on_edge(
            edge, "launch", "so101", "--port", twin.port, "--policy", exported, "--camera", *films,
            "--instruction", "lift the red cube", "--max-seconds", 4, "--countdown", 0, "--yes",
            "--json", tmp_path / "result.json", "--log", tmp_path / "log",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["policy"] == str(exported) and result["ticks"] > 100


def film(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (96, 96))
    for index in range(300):
        picture = np.full((96, 96, 3), 90, np.uint8)
        picture[40:60, index % 70 : index % 70 + 20] = (40, 40, 220)
        writer.write(picture)
    writer.release()
    return path
