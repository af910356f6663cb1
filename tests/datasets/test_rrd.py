"""The recording of `data view --rrd`, read back with Rerun's own reader."""

import builtins
import io
import shutil

import av
import numpy as np
import pyarrow as pa
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.viewing import rrd


@pytest.fixture(scope="module")
def rows(recorded, so101, tmp_path_factory):
    """{entity: rows, each {column: value}, by frame} of a recording of the episodes 1 and 2 of five."""
    rerun_chunk = pytest.importorskip("rerun.chunk", reason="the extra rerun is not installed")
    path = tmp_path_factory.mktemp("rrd") / "two.rrd"
    assert rrd.write_rrd(Dataset(recorded), path, [1, 2], so101) == path.stat().st_size
    assert [file.name for file in path.parent.iterdir()] == ["two.rrd"]
    found = {}
    for chunk in rerun_chunk.RrdReader(str(path)).stream():
        batch = chunk.to_record_batch()
        columns = {name: integers(batch[name]).to_pylist() for name in batch.schema.names}
        for i in range(batch.num_rows):
            row = {name: column[i] for name, column in columns.items() if column[i] is not None}
            found.setdefault(chunk.entity_path, []).append(row)
    return {entity: sorted(part, key=lambda row: row.get("frame", -1)) for entity, part in found.items()}


def integers(column):
    return column.cast(pa.int64()) if pa.types.is_duration(column.type) else column  # [ns]


def values_of(rows, column):
    """The values of the rows that have one."""
    return [row[column][0] for row in rows if column in row]


def test_every_joint_is_a_line_over_the_frames_of_the_dataset(rows, recorded, so101):
    dataset = Dataset(recorded)
    frames = np.arange(dataset.starts[1], dataset.starts[3])
    for feature, label in (("observation.state", "state"), ("action", "action")):
        values = np.concatenate([dataset.columns(episode)[feature] for episode in (1, 2)])
        for i, joint in enumerate(so101.joint_names):
            line = [row for row in rows[f"/plot/{joint}/{label}"] if "Scalars:scalars" in row]
            assert [row["frame"] for row in line] == frames.tolist()
            assert np.allclose([row["time"] for row in line], frames / 30 * 1e9, atol=1e3)
            assert np.array_equal(np.float32(values_of(line, "Scalars:scalars")), values[:, i])


def test_limits_are_lines_from_the_first_frame_to_the_last(rows, recorded, so101):
    starts = Dataset(recorded).starts
    for joint in so101.joints:
        for name, limit in (("lower", joint.lower), ("upper", joint.upper)):
            (entity,) = [e for e in rows if e.startswith(f"/plot/{joint.name}/{name}")]
            line = [row for row in rows[entity] if "Scalars:scalars" in row]
            assert values_of(line, "Scalars:scalars") == [limit, limit]
            assert [row["frame"] for row in line] == [starts[1], starts[3] - 1]


def test_each_row_has_its_frame_of_the_video(rows, recorded):
    dataset = Dataset(recorded)
    lengths = [int(dataset.starts[episode + 1] - dataset.starts[episode]) for episode in (1, 2)]
    for camera in dataset.cameras:
        part = rows[f"/camera/{camera}"]
        shown = [row for row in part if "VideoFrameReference:timestamp" in row]
        assert [row["frame"] for row in shown] == list(range(dataset.starts[1], dataset.starts[3]))
        moments = [int(moment) for moment in values_of(shown, "VideoFrameReference:timestamp")]
        assert moments == [round(i / 30 * 1e9) for length in lengths for i in range(length)]
        videos = [row for row in part if "AssetVideo:blob" in row]
        assert [row["frame"] for row in videos] == dataset.starts[1:3].tolist()
        for length, row in zip(lengths, videos, strict=True):
            with av.open(io.BytesIO(bytes(row["AssetVideo:blob"][0])), "r") as container:
                assert sum(1 for _ in container.decode(video=0)) == length


def test_texts_change_where_they_change(rows, recorded):
    dataset = Dataset(recorded)
    part = rows["/text/subtask"]
    for episode in (1, 2):
        for frame, text in enumerate(dataset.columns(episode)["subtask"], int(dataset.starts[episode])):
            assert values_of([row for row in part if row["frame"] <= frame], "TextDocument:text")[-1] == text


def test_a_missing_extra_is_named(recorded, tmp_path, monkeypatch):
    original = builtins.__import__

    def without(name, *arguments, **keywords):
        if name == "rerun":
            raise ModuleNotFoundError("No module named 'rerun'", name="rerun")
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"rrd: needs the extra 'rerun': pip install 'ideomotor\[rerun\]'"):
        rrd.write_rrd(Dataset(recorded), tmp_path / "x.rrd", [0])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_dataset_leaves_no_recording(recorded, tmp_path):
    pytest.importorskip("rerun", reason="the extra rerun is not installed")
    shutil.copytree(recorded, tmp_path / "damaged")
    video = next((tmp_path / "damaged").glob("videos/*/*/*.mp4"))
    video.write_bytes(video.read_bytes()[:3000])
    with pytest.raises(UserError, match=video.name):
        rrd.write_rrd(Dataset(tmp_path / "damaged"), tmp_path / "x.rrd", [0])
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]
