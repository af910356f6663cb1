"""No camera is lost or ruined on import without a word: what is plain is converted, the rest is listed."""

import io
import json
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import examine, validate
from ideomotor.datasets.checking.repair import repair
from ideomotor.datasets.importing.convert import convert
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.cache import open_cache
from ideomotor.datasets.viewing import page

H, W = 48, 64
COLOUR = (200, 120, 40)  # of the pictures, as far as they have any


def coloured(frames, kind=np.uint8, channels=3):
    picture = np.array([*COLOUR, 255][:channels], kind)
    return np.broadcast_to(picture, (frames, H, W, channels)).astype(kind)


def encoded(suffix):
    """Image files, filled up to one length as ALOHA's are."""
    data = cv2.imencode(suffix, coloured(1)[0][..., ::-1])[1].tobytes()
    return lambda n: np.stack([np.frombuffer(data + bytes(50), np.uint8)] * n)


# HDF5 arrays of n pictures: (name, made by, the camera's colour or why it is left out, what is said)
HDF5 = {
    "colour": ("hand_image", coloured, COLOUR, ""),
    "four channels": ("hand_image", lambda n: coloured(n, channels=4), COLOUR, "fourth channel is left out"),
    "grey": ("hand_image", lambda n: coloured(n, channels=1), (200, 200, 200), "narrowed: grey"),
    "grey without channels": ("hand_rgb", lambda n: coloured(n)[..., 0], (200, 200, 200), "narrowed: grey"),
    "channels first": ("hand_rgb", lambda n: np.moveaxis(coloured(n), -1, 1), COLOUR, ""),
    "floats to 1": ("hand_rgb", lambda n: coloured(n, np.float32) / 255, COLOUR, "floating point becomes 8"),
    "floats to 255": ("hand_image", lambda n: coloured(n, np.float64), COLOUR, "floating point becomes 8"),
    "jpeg": ("hand_image", encoded(".jpg"), COLOUR, ""),
    "png": ("hand", encoded(".png"), COLOUR, ""),
    "16 bits of colour": (
        "hand_image",
        lambda n: coloured(n, np.uint16),
        None,
        "uint16 of shape",
    ),
    "16 bits of depth": ("hand_depth", lambda n: coloured(n, np.uint16, 1), None, "depth or labels"),
    "unnamed 16 bits": ("hand", lambda n: coloured(n, np.uint16, 1), None, "uint16 of shape (48, 64, 1)"),
    "metres": ("hand_depth", lambda n: coloured(n, np.float32, 1), None, "depth or labels"),
    "kinds of things": ("hand_segmentation", lambda n: coloured(n, channels=1), None, "depth or labels"),
}


def added(path, name, make, only=(0, 2, 10)):
    import h5py

    with h5py.File(path, "a") as file:
        for number in only:
            demo: Any = file[f"data/demo_{number}"]
            demo[f"obs/{name}"] = make(len(demo["actions"]))


@pytest.mark.parametrize("kind", HDF5)
def test_what_becomes_of_pictures_in_hdf5(foreign, tmp_path, kind):
    name, make, expected, said = HDF5[kind]
    path = tmp_path / "lift.hdf5"
    foreign.write_robomimic(path)
    added(path, name, make)
    result = convert(path, tmp_path / "out")
    left_out = {item["what"]: item["why"] for item in result["left_out"]}
    assert said in left_out.get(name, "") and (name in left_out) == bool(said)
    dataset = Dataset(tmp_path / "out")
    assert validate(tmp_path / "out") == []
    assert not [feature for feature in dataset.meta.features if feature == f"observation.{name}"]
    if expected is None:
        assert dataset.cameras == ["agentview"]
    else:
        assert dataset.cameras == ["agentview", "hand"]
        frames = dataset.frames(1, "hand", range(8)).mean(axis=(0, 1, 2))
        assert frames == pytest.approx(expected, abs=4)


def test_all_that_is_left_out_of_an_hdf5_file_is_listed(foreign, tmp_path):
    path = tmp_path / "lift.hdf5"
    foreign.write_robomimic(path)
    added(path, "hand_image", coloured, only=(0, 10))
    added(path, "force", lambda n: np.full((n, 3), np.nan))
    added(path, "state", lambda n: np.zeros((n, 3)))
    added(path, "words", lambda n: np.array([b"a"] * n))
    result = convert(path, tmp_path / "out")
    assert {item["what"]: item["why"] for item in result["left_out"]} == {
        "agentview_depth": "depth or labels, not colour",
        "force": "not finite in demo_0",
        "hand_image": "missing in demo_2",
        "state": "the name observation.state is taken",
        "words": "|S1 of shape ()",
        "states": "not an observation",
        "next_obs": "not an observation",
    }


def test_two_pictures_do_not_become_one_camera(foreign, tmp_path):
    path = tmp_path / "lift.hdf5"
    foreign.write_robomimic(path)
    added(path, "agentview_rgb", lambda n: coloured(n))
    convert(path, tmp_path / "out")
    assert Dataset(tmp_path / "out").cameras == ["agentview", "agentview_rgb"]


def test_a_file_of_which_no_camera_is_left_is_refused(foreign, tmp_path):
    import h5py

    path = tmp_path / "lift.hdf5"
    foreign.write_robomimic(path)
    with h5py.File(path, "a") as file:
        for number in (0, 2, 10):
            del file[f"data/demo_{number}/obs/agentview_image"]
    with pytest.raises(UserError, match=r"no camera is left \(agentview_depth: depth or labels"):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with h5py.File(path, "a") as file:
        for number in (0, 2, 10):
            del file[f"data/demo_{number}/obs/agentview_depth"]
    assert convert(path, tmp_path / "out")["episodes"] == 3  # there never was one


def test_an_empty_demonstration_is_left_out_by_name(foreign, tmp_path):
    path = tmp_path / "lift.hdf5"
    foreign.write_robomimic(path, lengths=(0, 8, 5))
    result = convert(path, tmp_path / "out")
    assert (result["episodes"], result["frames"]) == (2, 13)
    assert {"what": f"{path}: demo_0", "why": "no rows in it"} in result["left_out"]
    foreign.write_robomimic(path, lengths=(0,))
    with pytest.raises(UserError, match="lift.hdf5: demo_0: no rows in it, nor in any other"):
        convert(path, tmp_path / "none")


def with_images(root, camera, make):
    """Puts other image files into a camera's column of a v3.0 dataset."""
    for path in root.glob("data/*/*.parquet"):
        table = pq.read_table(path)
        name = f"observation.images.{camera}"
        values = [{"bytes": make(i), "path": "frame"} for i in range(len(table))]
        column = pa.array(values, table.schema.field(name).type)
        pq.write_table(table.set_column(table.column_names.index(name), name, column), path)


def depth_png(i):
    return cv2.imencode(".png", np.full((H, W), 1000 + 100 * i, np.uint16))[1].tobytes()


def depth_tiff(i):
    return cv2.imencode(".tiff", np.full((H, W), 1.5 + i, np.float32))[1].tobytes()


@pytest.fixture(params=[depth_png, depth_tiff], ids=["png", "tiff"])
def deep(request, foreign, tmp_path):
    """A dataset of images whose second camera is depth that nothing marks as such."""
    root = foreign.write_v3(tmp_path / "deep", foreign.recordings(), inline=True)
    with_images(root, "side", request.param)
    return root


def test_depth_of_16_bits_never_becomes_a_colour_video(deep, tmp_path):
    result = convert(deep, tmp_path / "out")
    [item] = [item for item in result["left_out"] if item["what"] == "side"]
    assert "bits a channel, such as depth: not 8-bit colour" in item["why"]
    assert Dataset(tmp_path / "out").cameras == ["top"]
    with pytest.raises(UserError, match=r"observation.images.side: row 0: .* not 8-bit colour"):
        open_cache(deep, H, W, cache_root=tmp_path / "cache")
    open_cache(deep, H, W, cameras=["top"], cache_root=tmp_path / "cache")
    dataset = Dataset(deep)
    assert page.write_page(dataset, tmp_path / "page.html", [0]) and "side" in page.not_shown(dataset, [0])


def test_depth_that_nothing_marks_is_a_warning_and_is_kept_by_a_repair(deep, tmp_path):
    found = examine(deep)
    assert [warning["where"] for warning in found.warnings] == ["camera side"]
    assert not [problem for problem in found.problems if "data/" in problem["where"]]
    repair(deep, tmp_path / "fixed")
    assert len(Dataset(tmp_path / "fixed")) == 3
    before, after = (
        pq.read_table(root / "data/chunk-000/file-000.parquet") for root in (deep, tmp_path / "fixed")
    )
    assert after["observation.images.side"] == before["observation.images.side"]


def test_a_dataset_of_which_no_camera_is_left_is_refused(foreign, tmp_path):
    root = foreign.write_v3(tmp_path / "a", foreign.recordings(cameras=("side",)), inline=True)
    with_images(root, "side", depth_png)
    with pytest.raises(UserError, match=r"no camera is left \(side: .*16 bits"):
        convert(root, tmp_path / "out")


@pytest.mark.parametrize("where", ["info", "video_info"])
def test_depth_that_is_marked_is_listed(foreign, tmp_path, where):
    root = foreign.write_v3(tmp_path / "a", foreign.recordings(), inline=True)
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    mark = "is_depth_map" if where == "info" else "video.is_depth_map"
    info["features"]["observation.images.side"] |= {"info": {"video.fps": 10}, where: {mark: True}}
    path.write_text(json.dumps(info))
    assert Dataset(root).cameras == ["top"]
    [item] = convert(root, tmp_path / "out")["left_out"]
    assert item == {"what": "observation.images.side", "why": "a depth map, not colour"}


def test_a_fourth_channel_is_said_to_be_lost(foreign, tmp_path):
    root = foreign.write_v3(tmp_path / "a", foreign.recordings(), inline=True)
    data = cv2.imencode(".png", coloured(1, channels=4)[0][..., [2, 1, 0, 3]])[1].tobytes()
    with_images(root, "side", lambda _: data)
    [item] = convert(root, tmp_path / "out")["left_out"]
    assert item == {"what": "side", "why": "narrowed: its channel of transparency is left out"}
    shown = Dataset(tmp_path / "out").frames(0, "side", [0]).mean(axis=(0, 1, 2))
    assert shown == pytest.approx(COLOUR, abs=4)


def film(pixels, count):
    """An HEVC or FFV1 file of one channel of 16 bits, or of 10 bits of colour."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = W, H, pixels
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((H, W), 3000 + i, np.uint16), "gray16le")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def test_videos_of_more_than_8_bits(foreign, tmp_path):
    made = foreign.recordings()
    root = foreign.write_v2(tmp_path / "a", made)
    for episode, recording in enumerate(made):
        path = root / f"videos/chunk-00{episode // 2}/observation.images.side/episode_{episode:06d}.mp4"
        path.write_bytes(film("gray16le", recording.length))
    [item] = convert(root, tmp_path / "out")["left_out"]
    assert item["what"] == "side" and "one channel of 16 bits (gray16le)" in item["why"]
    for episode, recording in enumerate(made):
        path = root / f"videos/chunk-00{episode // 2}/observation.images.side/episode_{episode:06d}.mp4"
        path.write_bytes(film("yuv420p10le", recording.length))
    [item] = convert(root, tmp_path / "colour")["left_out"]
    assert item == {"what": "side", "why": "narrowed: 10 bits a channel become 8"}
