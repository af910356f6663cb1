"""What other processes do in the tests of shared memory."""

import itertools
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.seqlock import Mailbox

LARGE = np.dtype([("values", np.int64, (6000,))])  # 48 kB, an image's worth


def write_for_ever(name: str, checked: bool) -> None:
    """Publishes records whose every element is the record's number."""
    memory = SharedMemory(name)
    box = Mailbox(memory.buf, LARGE, checked)
    record = box.new()
    for number in itertools.count(1):
        record["values"] = number
        box.write(record)


def answer_in_shared_state(spec: shared_state.SharedStateSpec) -> None:
    """Publishes a state, says that control is alive, requests an emergency stop."""
    shared = shared_state.attach(spec)
    state = shared.state.new()
    state["position"], state["reason"] = np.arange(6), b"a reason"
    shared.state.write(state)
    shared.heartbeat("control")
    shared.request("estop")
    shared.close()
