"""LeRobot v3.0 on disk: where files are, what `info.json` says and which columns a row has.

Facts: https://github.com/huggingface/lerobot (datasets/utils.py), confirmed on files it wrote. Beside
them we keep `meta/ideomotor.json`, which other readers ignore: it fingerprints the embodiment.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.video import GOP, PIX_FMT, PRESET, QUANTIZER

CODEBASE_VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
IDENTITY = "meta/ideomotor.json"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_PER_CHUNK = 1000
DATA_FILE_MB = 100
VIDEO_FILE_MB = 200

IMAGE_PREFIX = "observation.images."
STATE = "observation.state"
ACTION = "action"
HIGH_RATE = "action.high_rate"
EXPERT = "action.expert"  # what an expert would command from the row on, where somebody else drives
EXPERT_S = 0.8  # [s] that it tells
STOP_STATE = "stage"  # of the safe-stop state machine, see control/runtime/safe_stop.py
# Who drove a row: 0 the policy, 1 a person; and, as LeRobot tags it, whether that took over from a policy.
DRIVER, INTERVENTION = "driver", "intervention"
REFERRED = "observation.referred"
KEYPOINTS = "observation.keypoints"
COUNTERS = ("frame_index", "episode_index", "index", "task_index")
PICTURES = ("video", "image")  # dtypes of cameras; an image is kept in a column of the data file
_ARROW = {
    "float32": pa.float32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
}


def features_of(embodiment: Embodiment, fps: float, expert_labels: bool = False) -> dict[str, dict[str, Any]]:
    """Returns the `features` of info.json for demonstrations of an embodiment recorded at `fps`.

    Args:
        expert_labels: whether rows tell what an expert would have commanded from there on.
    """
    if fps <= 0 or embodiment.control_hz % fps:
        raise UserError(f"fps: got {fps}, expected a divisor of {embodiment.control_hz} (control_hz)")
    joints, state = list(embodiment.joint_names), list(embodiment.state_names)
    ticks = range(int(embodiment.control_hz // fps))
    places = [f"{what}.{axis}" for what in ("target", "place") for axis in "xyz"]
    keypoints = [f"{what}.{part}" for what in ("target", "place") for part in ("u", "v", "visible")]
    features = {
        IMAGE_PREFIX + camera.name: video_feature(camera.height, camera.width, fps)
        for camera in embodiment.cameras
    }
    features |= {
        STATE: vector_feature(state),
        ACTION: vector_feature(joints),
        HIGH_RATE: vector_feature([f"t{tick}.{joint}" for tick in ticks for joint in joints]),
        REFERRED: vector_feature(places),
        KEYPOINTS: vector_feature(keypoints),
        "progress": scalar_feature("float32"),
        "subtask": scalar_feature("string"),
        "plan_text": scalar_feature("string"),
        "next.done": scalar_feature("bool"),
    }
    if expert_labels:
        ahead = range(expert_ticks(embodiment))
        features[EXPERT] = vector_feature([f"t{tick}.{joint}" for tick in ahead for joint in joints])
    return features | made_up_features()


def expert_ticks(embodiment: Embodiment) -> int:
    """How many ticks an expert's label tells."""
    return round(EXPERT_S * embodiment.control_hz)


def made_up_features() -> dict[str, dict[str, Any]]:
    """Returns the features that follow from the place of a row."""
    return {"timestamp": scalar_feature("float32")} | {name: scalar_feature("int64") for name in COUNTERS}


def new_info(embodiment: Embodiment, fps: float, expert_labels: bool = False) -> dict[str, Any]:
    """Returns the info.json of a dataset without episodes."""
    return empty_info(embodiment.name, fps, features_of(embodiment, fps, expert_labels))


def empty_info(robot: str | None, fps: float, features: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the info.json of a dataset without episodes, of any robot."""
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": robot,
        "total_episodes": 0,
        "total_frames": 0,
        "total_tasks": 0,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": fps,
        "splits": {"train": "0:0"},
        "data_path": DATA,
        "video_path": VIDEO,
        "features": features,
    }


def identity_of(embodiment: Embodiment) -> dict[str, Any]:
    """Returns what meta/ideomotor.json records: enough to refuse the data of another robot."""
    return {
        "embodiment": embodiment.name,
        "fingerprint": embodiment.fingerprint,
        "control_hz": embodiment.control_hz,
        "joints": list(embodiment.joint_names),
    }


def data_schema(features: dict[str, dict[str, Any]]) -> pa.Schema:
    """Returns the columns of a data file: vectors as fixed-size lists, shape (1,) as scalars."""
    fields = []
    for name, feature in features.items():
        if feature["dtype"] == "video":
            continue
        value, shape = _ARROW[feature["dtype"]], feature["shape"]
        fields.append(pa.field(name, value if list(shape) == [1] else pa.list_(value, shape[0])))
    return pa.schema(fields)


def tasks_table(tasks: list[str]) -> pa.Table:
    """Returns tasks.parquet: `task_index`, with the text as a pandas index called "task"."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": tasks})
    columns = [("task_index", "int64", "int64"), ("task", "unicode", "object")]
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [
            {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object",
             "metadata": {"encoding": "UTF-8"}}
        ],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
            for name, kind, numpy in columns
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }  # fmt: skip
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def is_numeric(feature: dict[str, Any]) -> bool:
    """Whether a feature is a column of numbers; others are pictures, texts, or annotations of some kind."""
    return feature["dtype"].startswith(("float", "int", "uint", "bool"))


def is_array(feature: dict[str, Any]) -> bool:
    """Whether a feature is a column that can be an array: of numbers or of texts."""
    return is_numeric(feature) or feature["dtype"] == "string"


def component_names(feature: dict[str, Any]) -> list[str]:
    """Returns the names of a vector's components; [] without them.

    They are a list, lists in an object ({"motors": [...]}), or an object of their numbers ({"pan": 0}).
    """
    names = feature.get("names")
    if isinstance(names, dict) and {str(i) for i in names.values()} == {str(i) for i in range(len(names))}:
        names = [name for _, name in sorted((int(i), name) for name, i in names.items())]
    elif isinstance(names, dict):
        names = [name for part in names.values() for name in (part if isinstance(part, list) else [part])]
    if not isinstance(names, list) or len(names) != width_of(feature):
        return []
    return [str(name) for name in names]


def width_of(feature: dict[str, Any]) -> int:
    """Returns the number of values of a feature in a row."""
    return math.prod(feature["shape"])


def read_json(path: Path) -> dict[str, Any]:
    """Returns a JSON object; UserError naming the file when it is missing or is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        expected = f", expected a LeRobot dataset in {path.parent.parent}" if path.name == "info.json" else ""
        raise UserError(f"{path}: no such file{expected}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})".replace("\n", " ")) from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: got {type(value).__name__}, expected a JSON object")
    return value


def to_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=4, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def vector_feature(names: list[str]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": [len(names)], "names": names}


def scalar_feature(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [1], "names": None}


def video_feature(height: int, width: int, fps: float) -> dict[str, Any]:
    return {
        "dtype": "video",
        "shape": [height, width, 3],
        "names": ["height", "width", "channels"],
        "info": _video_info(height, width, fps),
    }


def _video_info(height: int, width: int, fps: float) -> dict[str, Any]:
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": "h264",
        "video.pix_fmt": PIX_FMT,
        "video.is_depth_map": False,
        "video.fps": fps,
        "video.channels": 3,
        "video.g": GOP,
        "video.crf": None,
        "video.preset": PRESET,
        "video.fast_decode": 0,
        "video.video_backend": "pyav",
        "video.extra_options": {"bf": 0, "qp": QUANTIZER, "threads": 1},
        "has_audio": False,
        "is_depth_map": False,
    }
