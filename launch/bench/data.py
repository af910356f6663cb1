"""What `ideomotor bench data` measures: training samples from our loader against LeRobotDataset.

Both read the same generated episodes in the same run, taking turns; LeRobot does so in an environment of its
own, see lerobot_peer.py.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import tyro
from rich.table import Table

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.episode import Episode
from ideomotor.datasets.lerobot.writer import DatasetWriter
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.launch.bench.lerobot_peer import lerobot
from ideomotor.launch.console import Output

PEER: Final = "LeRobotDataset"
FPS: Final = 30
CHUNK: Final = 100  # commands
BATCH: Final = 32
ROUNDS: Final = 5
Measure = Callable[[list[int], bool, int], dict[str, float]]  # (rows, chunk, batch) -> {"cpu_s", "wall_s"}


@dataclass(frozen=True)
class DataOptions:
    """Measures random training samples beside LeRobotDataset, on the same episodes in one run."""

    episodes: int = 10
    """how many are generated"""

    frames: int = 200
    """of each"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the figures as JSON; - is standard output"""


def data(options: DataOptions) -> int:
    """The command."""
    bench_data(options.json, options.episodes, options.frames)
    return 0


def bench_data(json_target: Path | None = None, episodes: int = 10, frames: int = 200) -> dict[str, Any]:
    """Measures, shows a table and returns `{"dataset", "peer", "rows"}`, the rows as in DESIGN section 7.

    A row's `ratio` says how many times better ours is. "CPU ms" and "CPU s" are of the process's own time,
    so that other programs disturb them little. "decoding" is without a cache: each image comes from the
    video. A sample of ours has the same images (uint8, theirs are float), state and actions as LeRobot's,
    and also the plan's texts.

    Args:
        json_target: also write the result there; "-" is standard output.
        episodes, frames: size of the generated dataset.
    """
    for name, value in (("episodes", episodes), ("frames", frames)):
        if value < 1:
            raise UserError(f"{name}: got {value}, expected at least 1")
    output = Output(json_target)
    embodiment = load_embodiment("so101")
    with tempfile.TemporaryDirectory(prefix="ideomotor-bench-") as folder:
        root = Path(folder) / "episodes"
        with DatasetWriter(root, embodiment, fps=FPS) as writer:
            for index in range(episodes):
                writer.add_episode(generated(embodiment, index, frames))
        shape = f"{len(embodiment.cameras)} cameras of {embodiment.cameras[0].height} px"
        facts = f"{episodes} episodes of {frames} frames, {shape}, {FPS} frames/s"
        output.text.print(f"dataset: {facts}; chunks of {CHUNK}, batches of {BATCH}")
        ours = {
            "decoding": _ours(root, embodiment, Path(folder) / "none", 2**20 + 2000 * episodes * frames),
            "cached": _ours(root, embodiment, Path(folder) / "cache", None),
        }
        with _peer(root, output) as (peer, version):
            rows = _rows(ours, peer, episodes * frames)
    result = {"dataset": facts, "peer": version, "rows": rows}
    output.result(result)
    output.text.print(_table(rows))
    return result


def generated(embodiment: Embodiment, seed: int, frames: int) -> Episode:
    """Returns an episode of moving waves in front of the cameras, and smooth motions of the joints."""
    rng = np.random.default_rng(seed)
    joints, ticks = len(embodiment.joints), embodiment.control_hz // FPS
    middle, half = (embodiment.upper + embodiment.lower) / 2, (embodiment.upper - embodiment.lower) / 2
    seconds = np.arange(frames * ticks)[:, None] / embodiment.control_hz
    commands = (middle + 0.8 * half * np.sin(seconds + rng.uniform(0, 6, joints))).astype(np.float32)
    images = {}
    for camera in embodiment.cameras:
        down, right = np.mgrid[: camera.height, : camera.width] / 16
        phase = rng.uniform(0, 6) + np.arange(frames)[:, None, None, None] / 5
        waves = np.sin(right[..., None] + down[..., None] + phase) * np.array([1.0, 0.9, 0.8])
        images[camera.name] = (127 + 100 * waves).astype(np.uint8)
    return Episode(
        images=images,
        state=commands[::ticks],
        action=commands[::ticks],
        action_high_rate=commands.reshape(frames, ticks * joints),
        subtask=["reach"] * frames,
        referred=np.zeros((frames, 6), np.float32),
        keypoints=np.zeros((frames, 6), np.float32),
        progress=np.linspace(0, 1, frames, dtype=np.float32)[:, None],
        task="put the red cube into the bowl",
        success=True,
        seed=seed,
        index=seed,
    )


def _ours(root: Path, embodiment: Embodiment, cache: Path, budget: int | None) -> Measure:
    """Measures our loader, with images in the cache or, on a small budget, without."""
    loaders = {
        chunk: WindowLoader(
            [root],
            embodiment,
            CHUNK if chunk else 1,
            BATCH,
            plan_images=False,
            cache_root=cache,
            cache_budget=budget,
        )
        for chunk in (False, True)
    }
    assert all(bool(loader.notes) == (budget is not None) for loader in loaders.values())

    def measure(rows: list[int], chunk: bool, batch: int) -> dict[str, float]:
        loader, size = loaders[chunk], batch or 1
        cpu, wall = time.process_time(), time.perf_counter()
        for first in range(0, len(rows), size):
            chosen = np.array(rows[first : first + size])
            loader.windows(chosen, 0 * chosen, 0 * chosen)
        return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}

    return measure


@contextmanager
def _peer(root: Path, output: Output) -> Iterator[tuple[Measure | None, str | None]]:
    """Starts lerobot beside us; (its measure, its version), or (None, None) where there is none."""
    with lerobot("lerobot_data.py", [str(root), str(CHUNK)], output) as (ask, facts):
        if ask is None:
            yield None, None
            return
        version = f"lerobot {facts['version']} with {facts['backend']}"
        output.text.print(f"beside: {PEER} of {version}", markup=False)
        yield lambda rows, chunk, batch: ask({"rows": rows, "chunk": chunk, "batch": batch}), version


def _rows(ours: dict[str, Measure], peer: Measure | None, total: int) -> list[dict[str, Any]]:
    """All figures: the medians of rounds in which ours and the peer take turns."""
    rng = np.random.default_rng(0)
    found = []
    for batch in (0, BATCH):
        for chunk in (False, True):
            measures = ours | ({PEER: peer} if peer else {})
            spent: dict[str, list[dict[str, float]]] = {}
            for turn in range(ROUNDS + 1):
                for who, measure in measures.items():
                    count = 8 * BATCH if who == "cached" else 2 * BATCH if who == "decoding" else BATCH
                    took = measure(rng.integers(0, total, count).tolist(), chunk, batch)
                    if turn:  # the first opens files
                        spent.setdefault(who, []).append({k: v / count for k, v in took.items()})
            each = {
                (who, clock): statistics.median(took[clock] for took in spent[who])
                for who in measures
                for clock in ("cpu_s", "wall_s")
            }  # [s a sample]
            for who in ours:
                what = " + chunk" if chunk else ""
                if not batch:
                    pair = [1000 * each[name, "cpu_s"] for name in (who, PEER) if (name, "cpu_s") in each]
                    found.append(_row(f"random sample{what}, {who}", "CPU ms", pair, smaller=True))
                    continue
                for clock, unit in (("cpu_s", "batches/CPU s"), ("wall_s", "batches/s")):
                    pair = [1 / (batch * each[name, clock]) for name in (who, PEER) if (name, clock) in each]
                    found.append(_row(f"batches{what}, {who}", unit, pair, smaller=False))
    return found


def _row(name: str, unit: str, pair: list[float], smaller: bool) -> dict[str, Any]:
    """A row of [our value] or [our value, the peer's]."""
    peer_value = pair[1] if len(pair) > 1 else None
    ratio = None if peer_value is None else (peer_value / pair[0] if smaller else pair[0] / peer_value)
    peer = None if peer_value is None else PEER
    return {
        "name": name,
        "value": pair[0],
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("what", "ours", "unit", PEER, "times better", box=None, pad_edge=False)
    for row in rows:
        peer_value, ratio = row["peer_value"], row["ratio"]
        table.add_row(
            row["name"],
            f"{row['value']:.3g}",
            row["unit"],
            f"{peer_value:.3g}" if peer_value else "",
            f"{ratio:.1f}" if ratio else "",
        )
    return table
