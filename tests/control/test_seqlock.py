"""Shared memory: what is read was written as it is, whatever writer and reader are in the middle of."""

import multiprocessing
import os
import signal
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.seqlock import SLOTS, Follower, Mailbox, size
from ideomotor.control.types import ActionChunk, LatentPlan

ROBOT = load_embodiment("so101")
SPAWN = multiprocessing.get_context("spawn")
SMALL = np.dtype([("values", np.int64, (7,))])


@pytest.fixture
def writers(monkeypatch):
    """What runs in other processes, importable there."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import seqlock_writers

    return seqlock_writers


def mailbox(checked: bool = False) -> Mailbox:
    return Mailbox(memoryview(bytearray(size(SMALL))), SMALL, checked)


def write(box: Mailbox, value: int) -> int:
    record = box.new()
    record["values"] = value
    return box.write(record)


@pytest.mark.parametrize("checked", [False, True])
def test_the_newest_value_is_read_and_older_ones_are_gone(checked):
    box = mailbox(checked)
    into = box.new()
    assert box.read(into) == 0 and box.newest() == 0
    for number in range(1, 3 * SLOTS):
        assert write(box, 10 * number) == number == box.newest()
        for _ in range(2):  # reading takes nothing away
            assert box.read(into) == number
            assert (into["values"] == 10 * number).all()


def test_a_value_is_copied_both_ways():
    box = mailbox()
    record, into = box.new(), box.new()
    record["values"] = 1
    box.write(record)
    record["values"] = 2
    box.read(into)
    assert (into["values"] == 1).all()
    into["values"] = 3
    again = box.new()
    box.read(again)
    assert (again["values"] == 1).all()


def test_a_writer_that_died_while_writing_leaves_the_value_before():
    memory = bytearray(size(SMALL))
    box = Mailbox(memoryview(memory), SMALL)
    write(box, 1)
    slot = box.newest() + 1
    box._numbers[slot % SLOTS][0] = 0  # as far as a write gets ...
    box._payloads[slot % SLOTS][:40] = 255
    into = box.new()
    assert box.read(into) == 1 and (into["values"] == 1).all()
    successor = Mailbox(memoryview(memory), SMALL)
    assert write(successor, 2) == 2
    assert box.read(into) == 2 and (into["values"] == 2).all()


def test_a_reader_gives_up_where_no_whole_value_is_to_be_had():
    box = mailbox()
    write(box, 1)
    box._numbers[1][0] = 0
    assert box.read(box.new()) == 0


def test_a_checksum_catches_what_came_out_of_order():
    box = mailbox(checked=True)
    write(box, 1)
    box._payloads[1][8] ^= 1
    assert box.read(box.new()) == 0


@pytest.mark.realtime
@pytest.mark.parametrize("checked", [False, True])
def test_no_read_is_ever_torn_between_two_processes(checked, writers):
    """The writer fills a record with one number as fast as it can; every copy must be of one number."""
    memory = SharedMemory(create=True, size=size(writers.LARGE))
    box = Mailbox(memory.buf, writers.LARGE, checked)
    process = SPAWN.Process(target=writers.write_for_ever, args=(memory.name, checked))
    try:
        into, seen, fails, last = box.new(), set(), 0, 0
        process.start()
        until = time.monotonic() + 60
        while len(seen) < 2000 and time.monotonic() < until and process.is_alive():
            number = box.read(into)
            fails += number == 0 and last > 0
            if number:
                assert number >= last
                assert (into["values"] == into["values"][0]).all() and into["values"][0] == number
                seen.add(number)
                last = number
        assert len(seen) >= 2000, f"only {len(seen)} values met, {fails} reads gave up"
        os.kill(process.pid, signal.SIGKILL)  # at any moment of a write
        process.join()
        assert box.read(into) >= last
        assert (into["values"] == into["values"][0]).all()
    finally:
        process.kill()
        process.join()
        del box
        memory.close()
        memory.unlink()


def test_shared_state_is_seen_by_another_process(writers):
    shared = shared_state.create(ROBOT)
    process = SPAWN.Process(target=writers.answer_in_shared_state, args=(shared.spec,))
    process.start()
    process.join()
    try:
        assert process.exitcode == 0
        state = shared.state.new()
        assert shared.state.read(state) == 1
        assert state["position"].tolist() == [0, 1, 2, 3, 4, 5]
        assert shared_state.text_of(state["reason"]) == "a reason"
        assert shared.heartbeats[shared_state.HEARTBEATS.index("control"), 0] == process.pid
        assert shared.requests.tolist() == [name == "estop" for name in shared_state.REQUESTS]
    finally:
        shared.close()


def test_a_closed_shared_state_is_gone():
    shared = shared_state.create(ROBOT)
    spec = shared.spec
    shared.close()
    with pytest.raises(FileNotFoundError):
        shared_state.attach(spec)


SPEC = shared_state.SharedStateSpec("", 6, (("front", 4, 5), ("wrist", 2, 3)))
floats = st.floats(-10, 10, width=32)


@given(
    st.text(max_size=600),
    st.integers(0, 12),
    st.integers(1, 9),
    floats,
    st.text("abc", min_size=1, max_size=9),
)
def test_a_plan_survives(text, rows, width, value, name):
    plan = LatentPlan(
        np.full((rows, width), value, np.float32), 12.5, text, {name: ("front", 0.25, 0.75)}, progress=0.5
    )
    record = np.zeros((), SPEC.dtypes["plan"])
    shared_state.pack_plan(
        record, LatentPlan(np.ones((3, 3), np.float32), 0.0, "x" * 99, {"old": ("wrist", 0, 0)})
    )
    shared_state.pack_plan(record, plan)
    back = shared_state.unpack_plan(record)
    np.testing.assert_array_equal(back.tokens, plan.tokens)
    assert (back.observed_at, back.progress, back.keypoints) == (12.5, 0.5, plan.keypoints)
    kept = back.text.encode()
    assert text.encode().startswith(kept) or "\0" in text
    assert len(kept) > shared_state.TEXT_BYTES - 5 or kept == text.encode().rstrip(b"\0")


def test_a_chunk_survives_and_one_that_does_not_fit_is_refused():
    actions = np.random.default_rng(0).normal(size=(96, 6)).astype(np.float32)
    record = np.zeros((), SPEC.dtypes["chunk"])
    shared_state.pack_chunk(record, ActionChunk(actions, 120.0, 7, 1.25, 1.0), epoch=3)
    back = shared_state.unpack_chunk(record)
    np.testing.assert_array_equal(back.actions, actions)
    assert (back.starts_at, back.observed_at, back.plan_observed_at, back.hz) == (7, 1.25, 1.0, 120.0)
    assert record["epoch"] == 3
    for shape in ((shared_state.MAX_HORIZON + 1, 6), (10, 5)):
        with pytest.raises(ValueError, match="chunk.actions"):
            shared_state.pack_chunk(record, ActionChunk(np.zeros(shape, np.float32), 120.0, 0, 0.0, 0.0), 0)
    with pytest.raises(ValueError, match="plan.tokens"):
        shared_state.pack_plan(
            np.zeros((), SPEC.dtypes["plan"]), LatentPlan(np.zeros((300, 300), np.float32), 0.0)
        )


def test_a_missing_camera_stays_missing():
    record = np.zeros((), SPEC.dtypes["frames"])
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    shared_state.pack_frames(record, 3.5, {"front": image}, SPEC)
    frames = shared_state.unpack_frames(record, SPEC)
    assert set(frames) == {"front"} and record["time"] == 3.5
    np.testing.assert_array_equal(frames["front"], image)


def test_a_follower_gets_every_record_in_order_and_counts_those_that_came_too_fast():
    dtype = np.dtype([("n", np.int64)])
    mailbox = Mailbox(memoryview(bytearray(size(dtype, 8))), dtype, slots=8)
    follower = Follower(mailbox)

    def publish(numbers):
        for n in numbers:
            record = mailbox.new()
            record["n"] = n
            mailbox.write(record)

    assert follower.new() == []
    publish(range(5))
    assert [int(record["n"]) for record in follower.new()] == [0, 1, 2, 3, 4]
    publish(range(5, 25))
    assert [int(record["n"]) for record in follower.new()] == list(range(17, 25))
    assert follower.lost == 12
    assert follower.new() == [] and follower.lost == 12
