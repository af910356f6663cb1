"""Episodes of a dataset as a Rerun recording (.rrd), for the viewer of https://rerun.io.

Needs the extra `rerun`. Episodes follow each other on two timelines: `frame`, the row in the dataset, and
`time`, the seconds since the dataset's first row. Each camera's videos are in the file, as H.264.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.outputs import write_output
from ideomotor.datasets.viewing.page import charts, encode_episode, shown_cameras, texts_of

VIDEO_WIDTH = 640  # [pixels] at most
COLOURS = ((47, 111, 192), (209, 112, 28), (59, 143, 78), (138, 79, 191), (176, 144, 42), (29, 143, 152))
LIMIT_COLOUR = (192, 52, 52)


def write_rrd(
    dataset: Dataset,
    path: Path,
    episodes: Sequence[int],
    robot: Embodiment | None = None,
    on_episode: Callable[[], None] = lambda: None,
) -> int:
    """Writes the recording, whole or not at all, and returns its size in bytes.

    Args:
        episodes: which to write.
        robot: its joint limits are written too.
        on_episode: called after each episode, for progress.

    Raises:
        UserError: the extra is not installed, or a file of the dataset is missing or damaged.
    """
    rr = require_rerun()
    shown = charts(dataset, robot)
    recording = rr.RecordingStream("ideomotor", recording_id=dataset.root.absolute().name)
    recording.set_log_time_enabled(False)  # when it was converted is of no interest
    recording.set_log_tick_enabled(False)
    # In memory: Rerun's own writer goes on when the disk is full, and tells no program.
    stream = recording.binary_stream()
    recording.send_blueprint(_blueprint(rr, dataset, shown))
    span = np.array([dataset.starts[min(episodes)], dataset.starts[max(episodes) + 1] - 1])
    for chart in shown:
        _log_style(rr, recording, chart, _times(rr, dataset, span))
    for episode in episodes:
        _log_episode(rr, recording, dataset, episode, shown)
        on_episode()
    data = stream.read() or b""
    write_output(path, data)
    return len(data)


def require_rerun(field: str = "rrd") -> Any:
    """Returns the package rerun.

    Args:
        field: the option that needs it.

    Raises:
        UserError: naming the extra, when it is not installed.
    """
    try:
        import rerun
    except ImportError:
        raise UserError(f"{field}: needs the extra 'rerun': pip install 'ideomotor[rerun]'") from None
    return rerun


def _log_episode(
    rr: Any, recording: Any, dataset: Dataset, episode: int, shown: list[dict[str, Any]]
) -> None:
    start, end = (int(dataset.starts[episode + i]) for i in (0, 1))
    columns = dataset.columns(episode)
    rows = np.arange(start, end)
    for chart in shown:
        for line in chart["lines"]:
            if line["feature"] not in columns:
                continue
            values = columns[line["feature"]].reshape(end - start, -1)[:, line["column"]].astype(np.float64)
            scalars = rr.Scalars.columns(scalars=values)
            recording.send_columns(_entity(rr, chart, line), _times(rr, dataset, rows), scalars)
    for name, runs in texts_of(dataset, columns).items():
        for frame, text in runs:
            _set_time(recording, dataset, start + frame)
            recording.log(rr.new_entity_path(["text", name]), rr.TextDocument(text))
    _set_time(recording, dataset, start)
    recording.log("text/episode", rr.TextDocument(f"episode {episode}"))
    for camera in shown_cameras(dataset):
        mp4 = encode_episode(dataset, episode, camera, VIDEO_WIDTH)
        entity = rr.new_entity_path(["camera", camera])
        recording.log(entity, rr.AssetVideo(contents=mp4, media_type="video/mp4"))
        moments = np.round((rows - start) / dataset.fps * 1e9).astype(np.int64)
        frames = rr.VideoFrameReference.columns_nanos(moments)
        recording.send_columns(entity, _times(rr, dataset, rows), frames)


def _log_style(rr: Any, recording: Any, chart: dict[str, Any], times: list[Any]) -> None:
    """Names and colours the lines, and draws the limits from the first to the second of the times."""
    for line, colour in zip(chart["lines"], cycle(COLOURS), strict=False):
        style = rr.SeriesLines(names=line["name"] or chart["title"], colors=colour)
        recording.log(_entity(rr, chart, line), style, static=True)
    if chart["lower"] is None:
        return
    for name in ("lower", "upper"):
        entity = rr.new_entity_path(["plot", chart["title"], f"{name} limit"])
        style = rr.SeriesLines(names=f"{name} limit", colors=LIMIT_COLOUR)
        recording.log(entity, style, static=True)
        recording.send_columns(entity, times, rr.Scalars.columns(scalars=[chart[name]] * 2))


def _blueprint(rr: Any, dataset: Dataset, shown: list[dict[str, Any]]) -> Any:
    """Cameras and texts to the left, a plot for each chart to the right."""
    rrb = rr.blueprint
    cameras = [
        rrb.Spatial2DView(origin=rr.new_entity_path(["camera", name]), name=name) for name in dataset.cameras
    ]
    texts = [name for name, f in dataset.meta.features.items() if f["dtype"] == "string"]
    documents = [
        rrb.TextDocumentView(origin=rr.new_entity_path(["text", name]), name=name)
        for name in ("episode", "task", *texts)
    ]
    plots = [
        rrb.TimeSeriesView(origin=rr.new_entity_path(["plot", chart["title"]]), name=chart["title"])
        for chart in shown
    ]
    left = rrb.Vertical(*cameras, rrb.Tabs(*documents))
    return rrb.Blueprint(rrb.Horizontal(left, rrb.Grid(*plots)), collapse_panels=True)


def _entity(rr: Any, chart: dict[str, Any], line: dict[str, Any]) -> str:
    return rr.new_entity_path(["plot", chart["title"], line["name"] or "value"])


def _times(rr: Any, dataset: Dataset, rows: np.ndarray) -> list[Any]:
    return [
        rr.TimeColumn("frame", sequence=rows),
        rr.TimeColumn("time", duration=rows / dataset.fps),
    ]


def _set_time(recording: Any, dataset: Dataset, row: int) -> None:
    recording.set_time("frame", sequence=row)
    recording.set_time("time", duration=row / dataset.fps)
