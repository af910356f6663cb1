"""Makes the files of a launch's log (launch/runtime/recording/session_log.py) from the shared state."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.seqlock import Follower
from ideomotor.control.runtime.shared_state import (
    SharedState,
    SharedStateSpec,
    text_of,
    unpack_frames,
    unpack_plan,
)
from ideomotor.control.teleop.teleoperator import DriverName

if TYPE_CHECKING:
    import pyarrow as pa

LOG_FPS = 30  # rows a second, or the greatest common divisor of this and the control rate
TICKS, PLANS, REPORT = "launch/ticks.parquet", "launch/plans.parquet", "launch/launch.json"
PICTURE = "launch/lateness.svg"
BLOCK = 1200  # ticks in a row group
ARRAYS = ("position", "velocity", "effort", "command")
PLAN_COLUMNS = ("observed_at", "text", "progress", "keypoints")
NUMBERS = ("time", "state_age", "chunk_age", "plan_age", "action_age", "late_us")
TEXTS = ("stage", "reason", "driver")


@dataclass
class _Row:
    """A row of the dataset that is being made."""

    time: float  # [s], of its first tick
    state: np.ndarray  # (D,)
    commands: np.ndarray  # (K, A)
    stage: str
    driver: str
    plan_text: str
    progress: float
    images: dict[str, np.ndarray] | None = None


class Recorder:
    """Makes the files from the shared state. Call `take` many times a second, then `finish`."""

    def __init__(self, shared: SharedState, embodiment: Embodiment, folder: Path, task: str) -> None:
        import pyarrow.parquet as pq

        from ideomotor.datasets.lerobot.live_writer import LiveEpisode

        self._shared, self._folder = shared, folder
        fps = math.gcd(embodiment.control_hz, LOG_FPS)
        self._per_row = embodiment.control_hz // fps
        kept = {camera.name for camera in embodiment.cameras}
        self._cameras = [camera for camera in shared.spec.filmed.cameras if camera[0] in kept]
        self._episode = LiveEpisode(folder, _filmed(embodiment, shared.spec), fps, task, "ideomotor launch")
        (folder / TICKS).parent.mkdir()
        self._schema = _ticks_schema(embodiment)
        self._ticks_file = pq.ParquetWriter(_unfinished(folder / TICKS), self._schema)
        self._ticks, self._frames = Follower(shared.ticks), Follower(shared.films)
        self._plans = Follower(shared.plan)
        self._block: list[np.ndarray] = []
        self._said: list[dict[str, Any]] = []  # rows of plans.parquet
        self._count = 0
        self._rows: deque[_Row] = deque()
        self._started = 0  # rows of the dataset
        self._pictures: deque[tuple[float, dict[str, np.ndarray]]] = deque(maxlen=8)
        self._state = embodiment.home_position  # where joints were measured last
        self._text, self._progress = "", 0.0
        self._policy_drove = False  # in this session, so far

    def take(self) -> None:
        """Takes over what is new in the shared state."""
        for record in self._plans.new():
            plan = unpack_plan(record)
            self._text, self._progress = plan.text, plan.progress
            said = (plan.observed_at, plan.text, plan.progress, json.dumps(plan.keypoints))
            self._said.append(dict(zip(PLAN_COLUMNS, said, strict=True)))
        for record in self._ticks.new():
            self._block.append(record)
            self._count += 1
            self._to_row(record)
        if len(self._block) >= BLOCK:
            self._write_block()
        for record in self._frames.new():
            self._pictures.append((float(record["time"]), unpack_frames(record, self._shared.spec.filmed)))
            self._give_pictures()
        self._pass_on(all_of_them=False)

    def finish(self, facts: dict[str, Any], take: bool = True) -> dict[str, int]:
        """Takes what is left, unless recording has ended before, and puts the files in place."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from ideomotor.datasets.files import put_in_place

        if take:
            self.take()
        self._give_pictures(at_the_end=True)
        self._pass_on(all_of_them=True)
        frames = self._episode.length
        self._write_block()
        self._ticks_file.close()
        put_in_place(_unfinished(self._folder / TICKS), self._folder / TICKS)
        pq.write_table(pa.Table.from_pylist(self._said, _plans_schema()), _unfinished(self._folder / PLANS))
        put_in_place(_unfinished(self._folder / PLANS), self._folder / PLANS)
        self._episode.finish(facts)
        lost = self._ticks.lost
        return {"frames": frames, "ticks": self._count, "lost_ticks": lost, "plans": len(self._said)}

    def _to_row(self, record: np.ndarray) -> None:
        """Puts a tick's command where it belongs, in a new row if it begins one."""
        tick = int(record["tick"])
        measured = np.isfinite(record["position"])
        self._state = np.where(measured, record["position"], self._state)
        command = record["command"].copy()
        while self._started <= tick // self._per_row:  # more than once if ticks were lost
            self._started += 1
            commands = np.repeat(command[None], self._per_row, axis=0)
            stage, driver = text_of(record["stage"]), text_of(record["driver"])
            self._policy_drove |= driver == DriverName.POLICY
            said = (stage, driver, self._text, self._progress)
            self._rows.append(_Row(float(record["time"]), self._state, commands, *said))
        self._rows[-1].commands[tick % self._per_row :] = command

    def _give_pictures(self, at_the_end: bool = False) -> None:
        """Each row gets the newest pictures from before its time, as soon as later ones are there."""
        if not self._pictures:
            return
        newest = self._pictures[-1][0]
        for row in self._rows:
            if row.images is None and (row.time < newest or at_the_end):
                before = [images for at, images in self._pictures if at <= row.time]
                row.images = before[-1] if before else self._pictures[0][1]

    def _pass_on(self, all_of_them: bool) -> None:
        """Gives the rows that are whole to the dataset; the last one still gets commands."""
        while len(self._rows) > (0 if all_of_them else 1):
            if self._rows[0].images is None and not all_of_them:
                return
            row = self._rows.popleft()
            images = {
                name: (row.images or {}).get(name, np.zeros((height, width, 3), np.uint8))
                for name, height, width in self._cameras
            }
            person = row.driver == DriverName.PERSON
            said = (row.stage, row.plan_text, row.progress, int(person), person and self._policy_drove)
            self._episode.add(images, row.state, row.commands, *said)

    def _write_block(self) -> None:
        """Appends the ticks to their file."""
        import pyarrow as pa

        if not self._block:
            return
        records = np.stack(self._block)
        self._block.clear()
        columns: list[Any] = [pa.array(records["tick"])]
        columns += [pa.array(records[name]) for name in NUMBERS]
        for name in ARRAYS:
            flat = pa.array(records[name].ravel())
            columns.append(pa.FixedSizeListArray.from_arrays(flat, records[name].shape[1]))
        columns += [pa.array([text_of(text) for text in records[name]]) for name in TEXTS]
        reasons = [text_of(text) for text in records["interventions"]]
        columns.append(pa.array([text.split(",") if text else [] for text in reasons], pa.list_(pa.string())))
        self._ticks_file.write_table(pa.Table.from_arrays(columns, schema=self._schema))


def _filmed(embodiment: Embodiment, spec: SharedStateSpec) -> Embodiment:
    """The robot with its cameras as large as the log has them."""
    sizes = {name: (height, width) for name, height, width in spec.filmed.cameras}
    cameras = (replace(c, height=sizes[c.name][0], width=sizes[c.name][1]) for c in embodiment.cameras)
    return replace(embodiment, cameras=tuple(cameras))


def _ticks_schema(embodiment: Embodiment) -> pa.Schema:
    """Columns of ticks.parquet. `late_us` is of the tick before."""
    import pyarrow as pa

    joints = len(embodiment.joints)
    fields = [("tick", pa.int64()), *((name, pa.float64()) for name in NUMBERS)]
    fields += [(name, pa.list_(pa.float64(), joints)) for name in ARRAYS]
    fields += [*((name, pa.string()) for name in TEXTS), ("interventions", pa.list_(pa.string()))]
    return pa.schema(fields, {"joints": json.dumps(embodiment.joint_names), "time": "monotonic seconds"})


def _plans_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(zip(PLAN_COLUMNS, (pa.float64(), pa.string(), pa.float64(), pa.string()), strict=True))


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")
