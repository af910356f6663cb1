"""Each kind of damage alone: `validate` names it and nothing else, `repair` mends it or drops the episode."""

import errno
import json
import shutil
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.checking.repair import repair
from ideomotor.datasets.lerobot import layout, video_packets
from ideomotor.datasets.lerobot.file_group import parquet_bytes
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter

DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
FRONT = "videos/observation.images.front/chunk-000/file-000.mp4"
FRAMES = 16  # of each of three episodes


@pytest.fixture(scope="module")
def whole(tmp_path_factory, so101, make_episode) -> Path:
    root = tmp_path_factory.mktemp("whole") / "three"
    with DatasetWriter(root, so101) as writer:
        for seed in range(3):
            writer.add_episode(make_episode(seed, FRAMES))
    return root


@pytest.fixture
def copy(tmp_path, whole) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def write_rows(root, so101, make_episode, change):
    """Records the three episodes again, episode 1 changed by keyword arguments."""
    with DatasetWriter(root, so101) as writer:
        for seed in range(3):
            episode = make_episode(seed, FRAMES)
            writer.add_episode(make_episode(seed, FRAMES, **change(episode)) if seed == 1 else episode)


def change_table(path, change):
    groups = [pq.ParquetFile(path).read_row_group(i) for i in range(pq.ParquetFile(path).num_row_groups)]
    path.write_bytes(parquet_bytes([change(table, i) for i, table in enumerate(groups)]))


def with_values(name, change, only):
    def changed(table, i):
        if i != only:
            return table
        at = table.column_names.index(name)
        return table.set_column(at, name, pa.array(change(table[name].to_pylist()), table.schema[at].type))

    return changed


def change_json(path, change):
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def missing_video(root):
    (root / FRONT).unlink()


def truncated_video(root):
    data = (root / FRONT).read_bytes()
    (root / FRONT).write_bytes(data[: len(data) // 2])


def short_video(root):
    data = (root / FRONT).read_bytes()
    (root / FRONT).write_bytes(video_packets.join([(data, 2 * FRAMES + 4)], 30))


def damaged_frame(root):
    data = bytearray((root / FRONT).read_bytes())
    with av.open(str(root / FRONT)) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
    first = packets[FRAMES + 6]  # in episode 1, a key frame
    assert first.pos is not None
    half, end = first.pos + first.size // 2, first.pos + first.size
    data[half:end] = bytes(end - half)
    (root / FRONT).write_bytes(bytes(data))


def late_video(root):
    """One frame of episode 2 is 20 ms late."""
    target = root / "late.mp4"
    with av.open(str(root / FRONT)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for i, packet in enumerate(source.demux(video=0)):
            if packet.pts is None:
                continue
            if i == 2 * FRAMES + 3:
                packet.pts = packet.dts = packet.pts + int(0.02 / packet.time_base)
            packet.stream = stream
            out.mux(packet)
    target.replace(root / FRONT)


def late_rows(root):
    change_table(root / DATA, with_values("timestamp", lambda rows: [t + 0.01 for t in rows], 1))


def not_a_number(root):
    change_table(root / DATA, with_values("observation.state", lambda rows: [[np.nan] * 6, *rows[1:]], 1))


def infinite(root):
    change_table(root / DATA, with_values("progress", lambda rows: [np.inf, *rows[1:]], 1))


def out_of_limits(root):
    change_table(root / DATA, with_values("action", lambda rows: [*rows[:-1], [9.0] + rows[-1][1:]], 1))


def wrong_total(root):
    def change(found):
        found["action"]["mean"][2] += 0.5

    change_json(root / layout.STATS, change)


def stale_total(root):
    change_json(root / layout.STATS, lambda found: found["action"].update(count=[5 * FRAMES]))


def images_in_bytes(root):
    def change(found):
        for values in found["observation.images.front"].values():
            values[:] = [values[0]] if len(values) == 1 else [[[255 * v[0][0]]] for v in values]

    change_json(root / layout.STATS, change)


def black_images(root):
    def change(found):
        front = found["observation.images.front"]
        front.update({key: [[[0.0]]] * 3 for key in front if key != "count"})

    change_json(root / layout.STATS, change)


def wrong_row_statistics(root):
    def change(table, _):
        at = table.column_names.index("stats/action/max")
        rows = table["stats/action/max"].to_pylist()
        rows[1][0] += 1
        return table.set_column(at, "stats/action/max", pa.array(rows, table.schema[at].type))

    change_table(root / EPISODES, change)


def empty_task(root):
    path = root / layout.TASKS
    path.write_bytes(parquet_bytes([layout.tasks_table(["put the red cube into the bowl", " "])]))


def wrong_task(root):
    change_table(root / DATA, with_values("task_index", lambda rows: [7] * len(rows), 1))


def wrong_frames(root):
    change_json(root / layout.INFO, lambda found: found.update(total_frames=100))


def wrong_length(root):
    def change(table, _):
        at = table.column_names.index("length")
        return table.set_column(at, "length", pa.array([FRAMES, FRAMES + 1, FRAMES]))

    change_table(root / EPISODES, change)


def lost_column(root):
    change_table(root / DATA, lambda table, _: table.drop_columns(["progress"]))


def lost_rows(root):
    change_table(root / DATA, lambda table, i: table.slice(0, FRAMES - 2) if i == 1 else table)


def lost_tasks(root):
    (root / layout.TASKS).write_bytes(b"PAR1")


# damage: (what `validate` says, the episodes that a repaired copy keeps)
KINDS = {
    missing_video: ("no such video file", None),
    truncated_video: ("not readable as a video", None),
    short_video: ("36 frames, expected 48", [0, 1]),
    damaged_frame: ("cannot decode frame", [0, 2]),
    late_video: ("episode 2: frame 35 is at 1.1867 s, expected 1.1667", [0, 1]),
    late_rows: ("timestamp: 0.0100 s from frame_index / 30", [0, 1, 2]),
    not_a_number: ("episode 1: observation.state: not finite at frame 0", [0, 2]),
    infinite: ("episode 1: progress: not finite at frame 0", [0, 2]),
    out_of_limits: ("episode 1: action: shoulder_pan 9.0000 rad at frame 15, limits", [0, 2]),
    wrong_total: ("meta/stats.json: action: mean is", [0, 1, 2]),
    stale_total: ("action: count is 80, the data's is 48", [0, 1, 2]),
    images_in_bytes: ("observation.images.front: ", [0, 1, 2]),
    black_images: ("observation.images.front: mean is 0, 0, 0, that of some frames is", [0, 1, 2]),
    wrong_row_statistics: ("episode 1: action: max is", [0, 1, 2]),
    empty_task: ("meta/tasks.parquet: task 1 is empty", [0, 2]),
    wrong_task: ("episode 1: task_index: outside of the 2 tasks", [0, 1, 2]),
    wrong_frames: ("lengths do not add up to 100 frames", [0, 1, 2]),
    wrong_length: ("lengths do not add up to 48 frames", [0, 1, 2]),
    lost_column: ("episode 0: progress: the column is missing", [0, 1, 2]),
    lost_rows: ("file-000.parquet", [0, 2]),
    lost_tasks: ("meta/tasks.parquet: not readable as parquet", [0, 1, 2]),
}


@pytest.mark.parametrize("damage", KINDS, ids=lambda damage: damage.__name__)
def test_a_kind_of_damage_is_named_and_repaired(damage, copy, whole, make_episode, hashes):
    what, kept = KINDS[damage]
    damage(copy)
    before = hashes(copy)
    problems = validate(copy, every_frame=damage is damaged_frame)
    said = [f"{p['where']}: {p['what']}" for p in problems]
    assert any(what in line for line in said), said
    assert len({line.partition(" is ")[0].partition(": ")[0] for line in said}) <= 3, said  # and little else
    out = copy.with_name("fixed")
    if kept is None:
        with pytest.raises(UserError, match="no episode of it can be used"):
            repair(copy, out)
        assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    else:
        done = repair(copy, out)
        dropped = {p["where"] for p in done if p["what"].startswith("dropped")}
        assert dropped == {f"episode {seed}" for seed in {0, 1, 2} - set(kept)}, done
        check_kept(out, kept, make_episode)
    assert hashes(copy) == before


def check_kept(out, kept, make_episode):
    """The repaired copy holds these episodes' values and pictures."""
    assert validate(out, every_frame=True) == []
    dataset = Dataset(out)
    assert len(dataset) == len(kept)
    for index, seed in enumerate(kept):
        episode, columns = make_episode(seed, FRAMES), dataset.columns(index)
        assert np.array_equal(columns["action"], episode.action)
        assert dataset.tasks[columns["task_index"][0]] == episode.task
        decoded = dataset.frames(index, "front", range(FRAMES))
        assert np.abs(decoded.astype(int) - episode.images["front"]).mean() < 4


def test_static_and_duplicate_episodes_are_named_and_dropped(tmp_path, so101, make_episode):
    def resting(episode):
        return {
            "state": np.repeat(episode.state[:1], FRAMES, 0),
            "action": np.repeat(episode.action[:1], FRAMES, 0),
        }

    write_rows(tmp_path / "still", so101, make_episode, resting)
    assert validate(tmp_path / "still") == [{"where": "episode 1", "what": "nothing moves in it"}]
    repair(tmp_path / "still", tmp_path / "moving")
    check_kept(tmp_path / "moving", [0, 2], make_episode)
    with DatasetWriter(tmp_path / "twice", so101) as writer:
        for index, seed in enumerate((0, 1, 0)):
            writer.add_episode(make_episode(seed, FRAMES, index=index))
    assert validate(tmp_path / "twice") == [{"where": "episode 2", "what": "a duplicate of episode 0"}]
    repair(tmp_path / "twice", tmp_path / "once")
    check_kept(tmp_path / "once", [0, 1], make_episode)


def test_limits_are_those_of_the_robot_given(copy, so101, tmp_path):
    (copy / layout.IDENTITY).unlink()
    change_json(copy / layout.INFO, lambda found: found.update(robot_type="another"))
    assert validate(copy) == []  # a robot that is not known has no limits
    narrow = load_embodiment("so101")
    object.__setattr__(narrow, "upper", narrow.upper * 0 + 1e-3)
    problems = validate(copy, narrow)
    assert problems and all(", limits " in problem["what"] for problem in problems)
    change_json(copy / layout.INFO, lambda found: found["features"]["action"].update(shape=[5]))
    with pytest.raises(UserError, match="expected 6 joints of robot 'so101'"):
        validate(copy, so101)


def test_a_repaired_dataset_can_be_recorded_on(copy, tmp_path, so101, make_episode):
    not_a_number(copy)
    repair(copy, tmp_path / "fixed")
    with DatasetWriter(tmp_path / "fixed", so101, resume=True) as writer:
        writer.add_episode(make_episode(1, FRAMES, index=None))
    check_kept(tmp_path / "fixed", [0, 2, 1], make_episode)


def test_a_copy_of_a_whole_dataset_says_nothing(copy, tmp_path, make_episode):
    (copy / "notes.txt").write_text("mine")
    assert repair(copy, tmp_path / "fixed") == []
    check_kept(tmp_path / "fixed", [0, 1, 2], make_episode)
    assert (tmp_path / "fixed/notes.txt").read_text() == "mine"


def test_a_copy_is_never_written_over_or_into_something(copy, tmp_path, hashes):
    before = hashes(tmp_path)
    for out in (copy, copy / "meta/new", tmp_path):
        with pytest.raises(UserError, match="fix: .* expected a"):
            repair(copy, out)
    assert hashes(tmp_path) == before


def test_a_full_disk_leaves_no_half_copy(copy, tmp_path, monkeypatch):
    def full(path, data):
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_synced", full)
    with pytest.raises(UserError, match="fixed: the disk is full$"):
        repair(copy, tmp_path / "fixed")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
