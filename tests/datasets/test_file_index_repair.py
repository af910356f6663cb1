"""An episode table that is wrong about data files, as lerobot's converter from v2.1 leaves it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.reader import Dataset

LENGTHS = (7, 9, 5, 8, 6)


@pytest.fixture(params=[False, True], ids=["video", "image"])
def converted(request, foreign, tmp_path):
    """(folder, recordings): two episodes a file; the first of each file is said to lie in the one before."""
    made = foreign.recordings(LENGTHS)
    root = foreign.write_v3(tmp_path / "wrong", made, inline=request.param, per_file=2)
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    claimed = pa.array([0, 0, 0, 1, 1], pa.int64())  # and nobody in file 2
    column = table.column_names.index("data/file_index")
    pq.write_table(table.set_column(column, "data/file_index", claimed), path)
    return root, made


def test_rows_and_images_are_found_in_the_file_that_has_them(converted):
    root, made = converted
    dataset = Dataset(root)
    files = [dataset.meta.data_path(episode).name for episode in range(5)]
    assert files == [f"file-00{number}.parquet" for number in (0, 0, 1, 1, 2)]
    for episode in (4, 2, 0, 3, 1):
        assert np.array_equal(dataset.columns(episode)["action"], made[episode].action)
        frames = dataset.frames(episode, "side", [2])[0].astype(int)
        assert np.abs(frames - made[episode].images["side"][2]).max() <= 8


def test_files_that_do_not_add_up_are_reported_as_before(converted):
    root, _ = converted
    (root / "data/chunk-000/file-002.parquet").unlink()
    with pytest.raises(UserError, match="file-001.parquet: rows .* episode 4"):
        Dataset(root).columns(4)
    (root / "data/chunk-000/file-000.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(UserError, match="file-000.parquet"):
        Dataset(root).columns(0)


def test_a_table_that_is_right_is_left_alone(foreign, tmp_path):
    root = foreign.write_v3(tmp_path / "right", foreign.recordings(LENGTHS), per_file=2)
    dataset = Dataset(root)
    assert [dataset.meta.data_path(episode).stem for episode in (1, 2, 4)] == [
        "file-000",
        "file-001",
        "file-002",
    ]
