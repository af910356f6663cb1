"""Emergency stop and watchdog, each by itself."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.safe_stop import Cause
from ideomotor.control.runtime.watchdog import Ages, Peers, StalenessLimits, stale

ROBOT = load_embodiment("so101")

# ---- emergency stop


def test_signals_trip_and_the_process_lives_on():
    stop, before = EStop(), signal.getsignal(signal.SIGINT)
    with stop.on_signals():
        assert stop.check() == ""
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.check() == "emergency stop: SIGTERM" and not stop.repeated
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.check() == "emergency stop: SIGTERM" and stop.repeated
    assert signal.getsignal(signal.SIGINT) is before
    assert stop.rearm() == "" and stop.check() == "" and not stop.repeated


def test_a_descriptor_trips_and_keeps_the_latch_while_it_asks():
    stop = EStop()
    reader, writer = os.pipe()
    stop.watch(reader, "red button")
    assert stop.check() == ""
    os.write(writer, b"!")
    assert stop.check() == "emergency stop: red button"
    assert stop.check() != ""  # latched
    assert stop.rearm() == "" and stop.check() == ""
    os.close(writer)  # a cable pulled out
    assert stop.check() == "emergency stop: red button"
    assert "red button still asks" in stop.rearm()
    assert stop.check() != ""
    os.close(reader)


def test_a_callback_trips():
    stop = EStop()
    stop.trip("emergency stop: web page")
    stop.trip("another")
    assert stop.check() == "emergency stop: web page"


# ---- watchdog

FRESH = Ages(0.0, 0.1, 0.3)


@pytest.mark.parametrize(
    ("ages", "word"),
    [
        (FRESH, ""),
        (Ages(0.2, 0.1, 0.3), "stale state"),
        (Ages(0.0, 1.1, 1.2), "stale chunk"),
        (Ages(0.0, None, None), "stale chunk"),
        (Ages(0.0, 0.1, 2.0), "stale plan"),
        (Ages(0.2, None, 2.0), "stale state"),
    ],
)
def test_the_watchdog_names_what_is_too_old(ages, word):
    assert stale(ages, StalenessLimits(), started=True).startswith(word)
    assert bool(stale(ages, StalenessLimits(), started=True)) == bool(word)


def test_before_the_first_chunk_its_absence_is_no_fault():
    assert stale(Ages(0.0, None, None), StalenessLimits(), started=False) == ""


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_a_killed_peer_is_noticed_by_its_pidfd_a_silent_one_by_its_silence(sleeper):
    shared = shared_state.create(ROBOT)
    try:
        peers = Peers(shared, ["decoder", "interpreter"], StalenessLimits(silence_s=0.5))
        row = shared.heartbeats[shared_state.HEARTBEATS.index("decoder")]
        assert peers.check(10**12) is None  # who never lived cannot have died
        row[:] = sleeper.pid, 10**12
        assert peers.check(10**12 + 4 * 10**8) is None
        assert peers.check(10**12 + 6 * 10**8) == (Cause.STALE, "decoder: no sign of life for 0.60 s")
        row[1] = 2 * 10**12
        assert peers.check(2 * 10**12) is None
        sleeper.kill()
        while (wrong := peers.check(2 * 10**12)) is None:
            time.sleep(0.001)
        assert wrong == (Cause.FAULT, f"decoder died: process {sleeper.pid} is gone")
        assert peers.check(9 * 10**12) == wrong  # it stays dead
        row[:] = os.getpid(), 9 * 10**12  # until another takes its place
        assert peers.check(9 * 10**12) is None
        peers.close()
        del row
    finally:
        shared.close()
