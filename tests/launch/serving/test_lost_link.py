"""`launch` with its policy behind a network: the arm holds while that is gone, and goes on by itself."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ideomotor.launch.runtime.recording.session_recorder import TICKS

pytestmark = [pytest.mark.realtime, pytest.mark.session, pytest.mark.slow]

pytest.importorskip("scservo_sdk")
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
GONE_S = 6.0  # longer than an arm whose policy is here would wait before it goes home
BEGUN = 80  # messages after which the arm moves


def test_a_lost_link_is_a_hold_and_it_goes_on_when_it_is_back(server, command, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    from faulty_proxy import FaultyProxy  # pyright: ignore[reportMissingImports] (found by the path above)

    proxy, log, result = (
        FaultyProxy(f"ws://127.0.0.1:{server[1]}"),
        tmp_path / "log",
        tmp_path / "result.json",
    )
    with proxy.running() as address:
        arguments = ["so101", "--twin", "--task", "sort", "--seed", "1", "--policy", address]
        timing = ["--max-seconds", "20", "--countdown", "0", "--log", log, "--json", result]
        pipe = subprocess.PIPE
        with subprocess.Popen([command, "launch", *arguments, *timing], stdout=pipe, stderr=pipe) as process:
            while proxy.forwarded < BEGUN and process.poll() is None:
                time.sleep(0.05)
            proxy.cut()
            time.sleep(GONE_S)
            proxy.mend()
            _, said = process.communicate()
    assert process.returncode == 0, said.decode()[-2000:]
    outcome = json.loads(result.read_text())
    assert outcome["stop_reason"] == "finished" and outcome["faults"] == []
    ticks = pq.read_table(log / TICKS).select(["stage", "reason"]).to_pylist()
    stale = [number for number, tick in enumerate(ticks) if "stale" in (tick["reason"] or "")]
    assert len(stale) > 120 * (GONE_S - 3.0)
    assert {ticks[number]["stage"] for number in stale} == {"hold"}
    assert sum(tick["stage"] == "run" for tick in ticks[stale[-1] :]) > 120
