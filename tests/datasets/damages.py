"""Kinds of damage to a dataset of three episodes, each by itself: what test_kinds.py does to one."""

import json

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ideomotor.datasets.lerobot import layout, video_packets
from ideomotor.datasets.lerobot.file_group import parquet_bytes

DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
FRONT = "videos/observation.images.front/chunk-000/file-000.mp4"
FRAMES = 16  # of each episode


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
