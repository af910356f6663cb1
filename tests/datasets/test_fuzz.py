"""Damage anywhere in a dataset is a listed problem or one line of a UserError, and never anything else.

Three kinds: bytes flipped or cut off, JSON values and parquet columns replaced by what nobody expects.
Whatever comes of it, the damaged dataset is not changed and a repaired copy is whole or absent.
"""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import info, validate
from ideomotor.datasets.checking.repair import repair
from ideomotor.datasets.lerobot.file_group import parquet_bytes
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(
        [2**31, 2**63, -(2**40), 1e308, 0.5, -1.5, "", "x", "../..", "{", "{0}", "v3.1", "video"]
    ),
    st.sampled_from([[], {}, [None], [[]], [1, "a"], {"a": 1}, {"dtype": "float32", "shape": [1]}]),
)
TYPES = (pa.int64(), pa.int8(), pa.float64(), pa.string(), pa.bool_(), pa.list_(pa.int64()), pa.null())


@pytest.fixture(scope="module")
def small(tmp_path_factory, so101, make_episode) -> Path:
    """Two episodes of 5 and 6 frames."""
    root = tmp_path_factory.mktemp("small") / "two"
    with DatasetWriter(root, so101) as writer:
        for seed in range(2):
            writer.add_episode(make_episode(seed, 5 + seed))
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def damaged(small, folder) -> Path:
    shutil.rmtree(folder / "copy", ignore_errors=True)
    return Path(shutil.copytree(small, folder / "copy"))


def flipped_or_cut(data, content: bytes) -> bytes:
    changed = bytearray(content)
    if data.draw(st.booleans()):
        return bytes(changed[: data.draw(st.integers(0, len(changed) - 1))])
    # headers and indices are at the ends of mp4 and parquet files
    spots = st.one_of(
        st.integers(0, len(changed) - 1),
        st.integers(0, min(400, len(changed) - 1)),
        st.integers(max(0, len(changed) - 3000), len(changed) - 1),
    )
    for at in data.draw(st.lists(spots, min_size=1, max_size=4)):
        changed[at] ^= 1 << data.draw(st.integers(0, 7))
    return bytes(changed)


def use(root: Path, hashes) -> None:
    """Does with a dataset what people do; only UserError may come of it."""
    before = hashes(root)
    with contextlib.suppress(UserError):
        json.dumps(info(root))
    problems = validate(root)
    for problem in problems:
        assert problem.keys() == {"where", "what"}
        assert "\n" not in problem["where"] + problem["what"]
    with contextlib.suppress(UserError):
        dataset = Dataset(root)
        with contextlib.suppress(UserError):
            assert dataset.stats
        for episode in range(len(dataset)):
            with contextlib.suppress(UserError):
                assert dataset.columns(episode)
            for camera in dataset.cameras:
                with contextlib.suppress(UserError):
                    dataset.frames(episode, camera, [0])
        dataset.close()
    out = root.with_name("fixed")
    shutil.rmtree(out, ignore_errors=True)
    try:
        done = repair(root, out)
    except UserError as error:
        assert "\n" not in str(error)
        assert not out.exists()
        if not problems:
            raise AssertionError("valid, but cannot be repaired") from error
    else:
        assert validate(out) == [], done
        assert len(Dataset(out)) == 2 or done
    assert {path.name for path in root.parent.iterdir()} <= {"copy", "fixed"}
    assert hashes(root) == before


@pytest.mark.slow
@settings(max_examples=25)
@given(data=st.data())
def test_bytes(data, small, folder, hashes):
    root = damaged(small, folder)
    kind = data.draw(st.sampled_from(["*.parquet", "*.json", "*.mp4"]))
    path = data.draw(st.sampled_from(sorted(root.rglob(kind))))
    path.write_bytes(flipped_or_cut(data, path.read_bytes()))
    use(root, hashes)


@settings(max_examples=25)
@given(data=st.data())
def test_values_in_json(data, small, folder, hashes):
    root = damaged(small, folder)
    path = root / data.draw(st.sampled_from(["meta/info.json", "meta/stats.json", "meta/ideomotor.json"]))
    whole = value = json.loads(path.read_text())
    while True:
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        below = value[key]
        if not isinstance(below, (dict, list)) or not below or data.draw(st.integers(0, 3)) == 0:
            break
        value = below
    if isinstance(value, dict) and data.draw(st.integers(0, 3)) == 0:
        del value[key]
    else:
        value[key] = data.draw(ODD)
    path.write_text(json.dumps(whole))
    use(root, hashes)


@settings(max_examples=25)
@given(data=st.data())
def test_columns_of_parquet(data, small, folder, hashes):
    root = damaged(small, folder)
    path = data.draw(st.sampled_from(sorted(root.rglob("*.parquet"))))
    table = pq.read_table(path)
    name = data.draw(st.sampled_from(table.column_names))
    at = table.column_names.index(name)
    match data.draw(st.sampled_from(["drop", "retype", "one", "fewer", "more"])):
        case "drop":
            table = table.drop_columns([name])
        case "retype":
            kind = data.draw(st.sampled_from(TYPES))
            values = {pa.string(): "x", pa.bool_(): True, pa.list_(pa.int64()): [1, 2], pa.null(): None}
            table = table.set_column(at, name, pa.array([values.get(kind, 1)] * len(table), kind))
        case "one":
            column, row = table[name].to_pylist(), data.draw(st.integers(0, len(table) - 1))
            odd = st.sampled_from([None, np.nan, -1, 2**31, 7, 1e300, ""])
            column[row] = (
                [data.draw(odd)] * len(column[row]) if isinstance(column[row], list) else data.draw(odd)
            )
            try:
                table = table.set_column(at, name, pa.array(column, table.schema.field(name).type))
            except (pa.ArrowException, OverflowError, TypeError):
                return  # does not fit this type
        case "fewer":
            table = table.slice(data.draw(st.integers(0, 1)), len(table) - 1)
        case "more":
            table = pa.concat_tables([table, table.slice(0, 1)])
    if table.num_columns:
        path.write_bytes(parquet_bytes([table]))
    use(root, hashes)
