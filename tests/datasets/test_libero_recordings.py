"""LIBERO's published demonstrations, in the layouts that the hub has them in, train as they are.

The features are those of HuggingFaceVLA/libero, physical-intelligence/libero and IPEC-COMMUNITY's
conversions: 1,693 episodes whose rows are steps of 1/20 s, stamped with 10 frames a second in the first two.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.mapping.mapping import open_mapped

ROBOT = load_embodiment("libero")
MOTORS = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
LAYOUTS = {  # {layout: (writer, its options, {feature as written: as published}, names of the state)}
    "HuggingFaceVLA": ("write_v3", {"inline": True}, {"image2": "observation.images.image2"}, "state"),
    "physical-intelligence": (
        "write_v2",
        {"version": "v2.0", "inline": True},
        {
            "image": "image",
            "image2": "wrist_image",
            "observation.state": "state",
            "action": "actions",
        },
        "state",
    ),
    "IPEC-COMMUNITY": ("write_v2", {}, {"image2": "observation.images.wrist_image"}, [*MOTORS, "gripper"]),
}


@pytest.fixture(scope="module")
def made(foreign):
    """Two episodes with LIBERO's eight numbers of state and seven of a command."""
    rng = np.random.default_rng(0)
    found = []
    for recording in foreign.recordings(lengths=(12, 9), cameras=("image", "image2")):
        count = recording.length
        action = rng.uniform(-1, 1, (count, 7)).astype(np.float32)
        action[:, 6] = np.where(np.arange(count) < 5, -1, 1)
        state = rng.normal(size=(count, 8)).astype(np.float32)
        found.append(foreign.Recording(recording.images, state, action, recording.task))
    return found


@pytest.fixture(params=LAYOUTS)
def root(request, foreign, made, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("IDEOMOTOR_CACHE", str(tmp_path / "cache"))
    writer, options, renamed, names = LAYOUTS[request.param]
    folder = getattr(foreign, writer)(tmp_path / "data", made, names=[names], **options)
    prefix = "observation.images."
    of = {prefix + old if old.startswith("image") else old: new for old, new in renamed.items()}
    foreign_rename(folder, of)
    path = folder / "meta" / "info.json"
    info = json.loads(path.read_text())
    for name, feature in info["features"].items():
        if feature["dtype"] == "float32" and name not in ("timestamp",):
            feature["names"] = {"motors": names if len(names) == feature["shape"][0] else MOTORS}
            if isinstance(names, str):
                feature["names"] = [name.rpartition(".")[2]]
    path.write_text(json.dumps(info))
    return folder


def foreign_rename(root: Path, names: dict[str, str]) -> None:
    """Gives features other names, in the files as in what describes them."""
    import pyarrow.parquet as pq

    for path in [*root.rglob("*.json"), *root.rglob("*.jsonl")]:
        text = path.read_text()
        for old, new in names.items():
            text = text.replace(f'"{old}"', f'"{new}"')
        path.write_text(text)
    for path in root.rglob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.rename_columns([_renamed(name, names) for name in table.column_names]), path)
    for folder in [path for path in root.rglob("*") if path.is_dir() and path.name in names]:
        folder.rename(folder.with_name(names[folder.name]))


def _renamed(name: str, names: dict[str, str]) -> str:
    parts = name.split("/")
    return "/".join(names.get(part, part) for part in parts)


def test_published_demonstrations_need_no_mapping(root, made):
    datasets = open_mapped([root], ROBOT)
    loader = WindowLoader(datasets, ROBOT, 4, 4)
    rows = np.array([0, 3, 12])  # the first and another frame, and the first of the other episode
    window = loader.windows(rows, np.zeros(3, int), np.zeros(3, int))
    every = np.concatenate([recording.action for recording in made])
    for got, row in zip(window.actions, rows, strict=True):
        assert np.allclose(got, every[row : row + 4], atol=1e-6)  # a row is a step
    states = np.concatenate([recording.state for recording in made])
    assert np.allclose(window.now.state, states[rows])
    for camera, picture in (("image", 0), ("image2", 1)):
        found = window.now.images[camera][:2].astype(int)
        shown = made[0].images[camera][rows[:2]].astype(int)
        assert np.abs(found.mean(axis=(1, 2)) - shown[:, :, 8:56].mean(axis=(1, 2))).max() < 8, picture


def test_pairs_of_ones_own_come_first(root, made):
    main = camera_of(root, ("image",))
    [dataset] = open_mapped([root], ROBOT, [f"{camera_of(root)}=image", f"{main}=image2"])
    shown = dataset.frames(0, "image", [2])[0].astype(int)
    assert np.abs(shown - made[0].images["image2"][2]).max() <= 8


def test_another_robot_has_to_be_told(root, so101):
    with pytest.raises(UserError, match="no camera"):
        open_mapped([root], so101)


def camera_of(root: Path, ends: tuple[str, ...] = ("image2", "wrist_image")) -> str:
    """A camera as the data calls it, the wrist's by default."""
    features = json.loads((root / "meta" / "info.json").read_text())["features"]
    return next(name for name in features if name.rpartition(".")[2] in ends)
