"""Episodes of a dataset as one self-contained HTML page: videos, plots and texts under one cursor.

`page.html` beside this file is the page; what it shows is put into it as JSON. Nothing is fetched when it
is opened, so that it can be mailed, kept beside a report, and read on a phone.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout, video
from ideomotor.datasets.lerobot.demonstration_writer import DRIVER, INTERVENTION, STATE_HIGH_RATE
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.outputs import write_output

TEMPLATE = Path(__file__).with_name("page.html")
VIDEO_WIDTH = 320  # [pixels] at most: a page of ten episodes stays a few MB
QUANTIZER, GOP = 26, 10  # smaller than in a dataset, and still quick to jump about in
FRAMES_AT_ONCE = 64
LINES = 8  # a chart of more could not be read
WHO_DROVE = (DRIVER, INTERVENTION)  # said in words, and as a tint behind the charts
NOT_PLOTTED = {*layout.COUNTERS, "timestamp", "next.done", layout.HIGH_RATE, STATE_HIGH_RATE, *WHO_DROVE}
# Lines, where it is said who drove: a follower measures, a leader (a person or a policy) commands.
LED = {layout.STATE: "follower (state)", layout.ACTION: "leader (action)"}


def write_page(
    dataset: Dataset,
    path: Path,
    episodes: Sequence[int],
    robot: Embodiment | None = None,
    on_episode: Callable[[], None] = lambda: None,
) -> int:
    """Writes the page, whole or not at all, and returns its size in bytes.

    Args:
        episodes: which to show; each is embedded, with its videos.
        robot: its joint limits are drawn, and its units named.
        on_episode: called after each episode, for progress.

    Raises:
        UserError: a file of the dataset is missing or damaged, or it has other joints than the robot.
    """
    shown = []
    for episode in episodes:
        shown.append(_episode(dataset, episode))
        on_episode()
    name = dataset.root.absolute().name
    seconds = float(dataset.starts[-1]) / dataset.fps
    robot_type = dataset.info.get("robot_type") or "unknown"
    facts = f"robot {robot_type}, {dataset.fps:g} frames/s, {len(dataset)} episodes, {seconds:.0f} s"
    if len(shown) < len(dataset):
        facts += f"; {len(shown)} of the episodes are in this page"
    content = {"facts": facts, "fps": dataset.fps, "charts": charts(dataset, robot), "episodes": shown}
    text = json.dumps(content, allow_nan=False).replace("<", "\\u003c")  # or a text could end the script
    parts = {"{{title}}": html.escape(f"Dataset {name}"), "{{data}}": text}
    template = TEMPLATE.read_text(encoding="utf-8")
    page = re.sub("|".join(parts), lambda found: parts[found[0]], template).encode()
    write_output(path, page)
    return len(page)


def charts(dataset: Dataset, robot: Embodiment | None) -> list[dict[str, Any]]:
    """Returns what is plotted: title, unit, limits (or None) and lines {name, feature, column} of each.

    A joint's measured state and its command share a chart; other vectors get one each.
    """
    features = {
        name: names
        for name, feature in dataset.meta.features.items()
        if layout.is_numeric(feature) and name not in NOT_PLOTTED
        for names in [component_names(feature)]
    }
    found: list[dict[str, Any]] = []
    joints = [name for name in (layout.STATE, layout.ACTION) if name in features]
    if len(joints) == 2 and len(features[joints[0]]) != len(features[joints[1]]):
        joints = []
    for column, title in enumerate(features[joints[0]] if joints else []):
        led = LED if DRIVER in dataset.meta.features else {}
        lines = [_line(led.get(name, name.removeprefix("observation.")), name, column) for name in joints]
        joint = robot.joints[column] if robot is not None and column < len(robot.joints) else None
        limits = {"lower": joint.lower, "upper": joint.upper} if joint else {"lower": None, "upper": None}
        found.append({"title": title, "unit": joint.unit if joint else "", "lines": lines} | limits)
    for name, names in features.items():
        if name in joints:
            continue
        for first in range(0, len(names), LINES):
            lines = [_line(names[i], name, i) for i in range(first, min(first + LINES, len(names)))]
            title = name if len(names) <= LINES else f"{name}, {first} to {first + len(lines) - 1}"
            found.append({"title": title, "unit": "", "lines": lines, "lower": None, "upper": None})
    return found


def component_names(feature: dict[str, Any]) -> list[str]:
    """Returns a name for each value of a vector: that of info.json, or a number."""
    names = [name.removesuffix(".pos") for name in layout.component_names(feature)]
    width = layout.width_of(feature)
    return names or ([str(number) for number in range(width)] if width > 1 else [""])


def texts_of(dataset: Dataset, columns: dict[str, np.ndarray]) -> dict[str, list[tuple[int, str]]]:
    """Returns, for each column of texts and for the task, (first frame, text) of every run of equal ones."""
    found = {}
    for name, feature in dataset.meta.features.items():
        if feature["dtype"] == "string" and name in columns:
            found[name] = _runs([str(text) for text in columns[name]])
    if "task_index" in columns:
        count = len(dataset.tasks)
        numbers = [int(number) for number in columns["task_index"]]
        found["task"] = _runs([dataset.tasks[i] if 0 <= i < count else f"task {i}" for i in numbers])
    if DRIVER in columns:
        found[DRIVER] = _runs(who_drove(columns))
    return found


def who_drove(columns: dict[str, np.ndarray]) -> list[str]:
    """Returns for each row who drove, in words."""
    person = columns[DRIVER].ravel() == 1
    corrects = columns[INTERVENTION].ravel() if INTERVENTION in columns else np.zeros(len(person), bool)
    words = {(True, True): "person, correcting", (True, False): "person"}
    return [words.get((bool(p), bool(c)), "policy") for p, c in zip(person, corrects, strict=True)]


def _tinted(columns: dict[str, np.ndarray]) -> list[tuple[int, int]]:
    """Returns (first, after the last) row of each stretch in which a person drove; none if always."""
    if DRIVER not in columns or (columns[DRIVER] == 1).all():
        return []
    person = np.concatenate([[0], columns[DRIVER].ravel() == 1, [0]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(person))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def shown_cameras(dataset: Dataset) -> list[str]:
    """Returns the cameras whose pictures are colour."""
    return [camera for camera in dataset.cameras if camera not in dataset.not_colour]


def not_shown(dataset: Dataset, episodes: Sequence[int]) -> dict[str, str]:
    """Returns {camera or column: why it cannot be shown}, of these episodes."""
    found = dict(dataset.not_colour)
    for episode in episodes:
        for name, why in dataset.read_columns(episode)[1].items():
            found.setdefault(name, f"episode {episode}: {why}" if episode != episodes[0] else why)
    return found


def encode_episode(dataset: Dataset, episode: int, camera: str, width: int = VIDEO_WIDTH) -> bytes:
    """Returns a small H.264 mp4 of an episode's frames, whatever they are stored as."""
    frames = _frames(dataset, episode, camera, width)
    return video.encode(frames, dataset.fps, quantizer=QUANTIZER, gop=GOP)


def _episode(dataset: Dataset, episode: int) -> dict[str, Any]:
    columns = dataset.columns(episode)
    frames = int(dataset.starts[episode + 1] - dataset.starts[episode])
    values = {
        name: np.ascontiguousarray(column.reshape(frames, -1), "<f4")
        for name, column in columns.items()
        if column.dtype.kind in "fiub" and name not in NOT_PLOTTED and name in dataset.meta.features
    }
    texts = texts_of(dataset, columns)
    table = dataset.episodes
    success = table["success"][episode].as_py() if "success" in table.column_names else None
    return {
        "index": episode,
        "task": texts["task"][0][1] if "task" in texts else "",
        "frames": frames,
        "success": success if isinstance(success, bool) else None,
        "values": {name: base64.b64encode(array.tobytes()).decode() for name, array in values.items()},
        "texts": texts,
        "person": _tinted(columns),
        "videos": {
            name: _data_uri(encode_episode(dataset, episode, name)) for name in shown_cameras(dataset)
        },
    }


def _frames(dataset: Dataset, episode: int, camera: str, width: int) -> Iterator[np.ndarray]:
    length = int(dataset.starts[episode + 1] - dataset.starts[episode])
    for first in range(0, length, FRAMES_AT_ONCE):
        numbers = np.arange(first, min(first + FRAMES_AT_ONCE, length))
        for frame in dataset.frames(episode, camera, numbers):
            yield _fitted(frame, width)


def _fitted(frame: np.ndarray, width: int) -> np.ndarray:
    """The frame at most `width` wide, both sides even as its pixel format needs."""
    height, wide = frame.shape[:2]
    scale = min(1.0, width / wide)
    size = [max(2, round(side * scale / 2) * 2) for side in (wide, height)]
    return frame if [wide, height] == size else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _runs(texts: Sequence[str]) -> list[tuple[int, str]]:
    return [(i, text) for i, text in enumerate(texts) if i == 0 or text != texts[i - 1]]


def _line(name: str, feature: str, column: int) -> dict[str, Any]:
    return {"name": name, "feature": feature, "column": column}


def _data_uri(mp4: bytes) -> str:
    return "data:video/mp4;base64," + base64.b64encode(mp4).decode()


def choose(dataset: Dataset, first: int, count: int) -> range:
    """Returns `count` episodes from `first` on, or as many as there are.

    Raises:
        UserError: there are none.
    """
    if not len(dataset):
        raise UserError(f"{dataset.root}: no episodes to show")
    if not 0 <= first < len(dataset):
        raise UserError(f"first: got {first}, expected an episode from 0 to {len(dataset) - 1}")
    if count < 1:
        raise UserError(f"episodes: got {count}, expected at least 1")
    return range(first, min(first + count, len(dataset)))
