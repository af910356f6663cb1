"""What the processes of one running robot share: a block of memory with a mailbox for each kind of value.

    cameras ──frames──► interpreter ──plan──► decoder ──chunk──► control ──state──► all of them
                                      teleoperator ──teleop──────► control

Each mailbox has one writer. Beside them are plain 64-bit words that are written whole: who is alive
(`HEARTBEATS`), what control is asked to do (`REQUESTS`, and by whom) and whether it has ended by itself.
Nothing here waits for anybody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.interrupts import shielded
from ideomotor.control.runtime import seqlock
from ideomotor.control.runtime.seqlock import ALIGNMENT, Mailbox, size
from ideomotor.control.runtime.shared_state_spec import (
    HEARTBEATS,
    MAX_HORIZON,
    MAX_PLAN_FLOATS,
    NAME_BYTES,
    REQUESTS,
    SLOTS,
    TEXT_BYTES,
    WHO_BYTES,
    SharedStateSpec,
)
from ideomotor.control.types import ActionChunk, LatentPlan


class SharedState:
    """The shared memory of one running robot, seen from one process. Made by `create` or `attach`."""

    def __init__(self, spec: SharedStateSpec, memory: SharedMemory, owner: bool) -> None:
        self.spec = spec
        self._memory, self._owner = memory, owner
        assert memory.buf is not None  # it is None only once closed
        words = np.frombuffer(memory.buf, dtype=np.int64, count=_WORDS)
        flat = words[: 2 * len(HEARTBEATS)]
        self.heartbeats = flat.reshape(len(HEARTBEATS), 2)  # (role, [process id, time in ns])
        self.requests = words[2 * len(HEARTBEATS) : -1]  # (request,), how often each was made
        self.ended = words[-1:]  # (1,), not 0: control left by itself, nobody need take over
        # who made each request last
        self._who = np.frombuffer(memory.buf, f"S{WHO_BYTES}", len(REQUESTS), 8 * _WORDS)
        offset = _words_size()
        self._mailboxes: dict[str, Mailbox] = {}
        for name, dtype in spec.dtypes.items():
            slots = SLOTS.get(name, seqlock.SLOTS)
            self._mailboxes[name] = Mailbox(memory.buf[offset:], dtype, slots=slots)
            offset += size(dtype, slots)

    @property
    def state(self) -> Mailbox:
        return self._mailboxes["state"]

    @property
    def ticks(self) -> Mailbox:
        return self._mailboxes["ticks"]

    @property
    def scene(self) -> Mailbox:
        return self._mailboxes["scene"]

    @property
    def sim_command(self) -> Mailbox:
        return self._mailboxes["sim_command"]

    @property
    def sim_state(self) -> Mailbox:
        return self._mailboxes["sim_state"]

    @property
    def frames(self) -> Mailbox:
        return self._mailboxes["frames"]

    @property
    def films(self) -> Mailbox:
        """The pictures that the log has: `frames`, or larger ones where `spec.films` says so."""
        return self._mailboxes["films" if self.spec.films else "frames"]

    @property
    def plan(self) -> Mailbox:
        return self._mailboxes["plan"]

    @property
    def chunk(self) -> Mailbox:
        return self._mailboxes["chunk"]

    @property
    def instruction(self) -> Mailbox:
        return self._mailboxes["instruction"]

    @property
    def teleop(self) -> Mailbox:
        return self._mailboxes["teleop"]

    def heartbeat(self, role: str) -> None:
        """Says that this process, which is `role`, is alive now."""
        row = self.heartbeats[HEARTBEATS.index(role)]
        row[1] = time.monotonic_ns()
        row[0] = os.getpid()

    def request(self, name: str, by: str = "another process") -> None:
        """Asks control for one of `REQUESTS`, and says for people who wants it; any process may."""
        self._who[REQUESTS.index(name)] = _cut(by, WHO_BYTES)
        self.requests[REQUESTS.index(name)] += 1

    def requested_by(self, name: str) -> str:
        """Who made a request last."""
        return text_of(self._who[REQUESTS.index(name)])

    def close(self) -> None:
        """Lets go of the memory; the process that created it also removes it."""
        del self.heartbeats, self.requests, self.ended, self._who
        self._mailboxes.clear()
        try:
            self._memory.close()
        except BufferError:  # an error's traceback still holds a view; the process is about to end with it
            self._memory.close = lambda: None  # or its destructor would complain instead
        if self._owner:
            self._memory.unlink()


def create(embodiment: Embodiment, films: tuple[tuple[str, int, int], ...] = ()) -> SharedState:
    """Makes an empty shared state for a robot.

    Args:
        films: (name, height, width) of every camera as the log has it, where that is larger.
    """
    cameras = tuple((c.name, c.height, c.width) for c in embodiment.cameras)
    draft = SharedStateSpec("", len(embodiment.joints), cameras, films)
    sizes = [size(dtype, SLOTS.get(name, seqlock.SLOTS)) for name, dtype in draft.dtypes.items()]
    with shielded():  # it starts a process that removes the memory, should this one not
        memory = SharedMemory(create=True, size=_words_size() + sum(sizes))
    return SharedState(replace(draft, name=memory.name), memory, owner=True)


def attach(spec: SharedStateSpec) -> SharedState:
    """Opens a shared state that a parent process made."""
    return SharedState(spec, SharedMemory(spec.name), owner=False)


def pack_frames(
    record: np.ndarray,
    at: float | Mapping[str, float],
    images: Mapping[str, np.ndarray],
    spec: SharedStateSpec,
) -> None:
    """Fills a frames record; cameras that are not in `images` are marked as missing.

    Args:
        at: when the pictures were taken [s], all at once or {camera: time}.
    """
    times = at if isinstance(at, Mapping) else dict.fromkeys(images, at)
    record["time"] = min(at.values(), default=0.0) if isinstance(at, Mapping) else at
    for i, (camera, *_) in enumerate(spec.cameras):
        record["times"][i] = times.get(camera, 0.0)
        record["present"][i] = camera in images
        if camera in images:
            record[camera][...] = images[camera]


def unpack_frames(record: np.ndarray, spec: SharedStateSpec) -> dict[str, np.ndarray]:
    """{camera: (H, W, 3) uint8 RGB}, copies, of the cameras that are there."""
    return {
        camera: record[camera].copy() for i, (camera, *_) in enumerate(spec.cameras) if record["present"][i]
    }


def pack_plan(record: np.ndarray, plan: LatentPlan) -> None:
    """Fills a plan record. ValueError if the plan is larger than a record has room for."""
    tokens = np.asarray(plan.tokens, dtype=np.float32)
    if tokens.ndim != 2 or tokens.size > MAX_PLAN_FLOATS:
        raise ValueError(
            f"plan.tokens: got shape {tokens.shape}, expected (K, d) of at most {MAX_PLAN_FLOATS}"
        )
    record["observed_at"], record["progress"] = plan.observed_at, plan.progress
    record["shape"], record["text"] = tokens.shape, _cut(plan.text, TEXT_BYTES)
    record["keypoints"] = np.zeros((), record["keypoints"].dtype)
    for slot, (name, (camera, u, v)) in zip(record["keypoints"], plan.keypoints.items(), strict=False):
        slot["name"], slot["camera"] = _cut(name, NAME_BYTES), _cut(camera, NAME_BYTES)
        slot["u"], slot["v"] = u, v
    record["tokens"][: tokens.size] = tokens.ravel()


def unpack_plan(record: np.ndarray) -> LatentPlan:
    """The plan of a record, with memory of its own."""
    rows, width = (int(n) for n in record["shape"])
    return LatentPlan(
        tokens=record["tokens"][: rows * width].reshape(rows, width).copy(),
        observed_at=float(record["observed_at"]),
        text=text_of(record["text"]),
        keypoints={
            text_of(slot["name"]): (text_of(slot["camera"]), float(slot["u"]), float(slot["v"]))
            for slot in record["keypoints"]
            if slot["name"]
        },
        progress=float(record["progress"]),
    )


def pack_chunk(record: np.ndarray, chunk: ActionChunk, epoch: int) -> None:
    """Fills a chunk record. ValueError if the chunk is longer than a record has room for."""
    rows = len(chunk.actions)
    if chunk.actions.shape[1:] != record["actions"].shape[1:] or rows > MAX_HORIZON:
        expected = f"(up to {MAX_HORIZON}, {record['actions'].shape[1]})"
        raise ValueError(f"chunk.actions: got shape {chunk.actions.shape}, expected {expected}")
    record["starts_at"], record["epoch"] = chunk.starts_at, epoch
    record["rows"], record["hz"] = rows, chunk.hz
    record["observed_at"], record["plan_observed_at"] = chunk.observed_at, chunk.plan_observed_at
    record["confidence"] = chunk.confidence
    record["actions"][:rows] = chunk.actions


def unpack_chunk(record: np.ndarray) -> ActionChunk:
    """The chunk of a record, with memory of its own."""
    return ActionChunk(
        actions=record["actions"][: int(record["rows"])].copy(),
        hz=float(record["hz"]),
        starts_at=int(record["starts_at"]),
        observed_at=float(record["observed_at"]),
        plan_observed_at=float(record["plan_observed_at"]),
        confidence=float(record["confidence"]),
    )


def text_of(field: np.ndarray | bytes) -> str:
    """A fixed-width text field as a string."""
    return bytes(field).rstrip(b"\0").decode("utf-8", errors="ignore")


def _cut(text: str, room: int) -> bytes:
    return text.encode("utf-8")[:room].decode("utf-8", errors="ignore").encode("utf-8")


_WORDS = 2 * len(HEARTBEATS) + len(REQUESTS) + 1


def _words_size() -> int:
    return -(-(8 * _WORDS + WHO_BYTES * len(REQUESTS)) // ALIGNMENT) * ALIGNMENT
