"""What `ideomotor bench render` measures: our camera images against gymnasium's MuJoCo renderer.

Both draw the same model and data in the same run, taking turns, so that whatever else the machine does
hits both. Gymnasium's renderer is used as it comes (the model's shadows, four samples a pixel,
reflections), on the same OpenGL driver, with one viewer for all cameras, which is its cheapest way.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import tyro
from rich.table import Table

from ideomotor.launch.console import Output
from ideomotor.sim.open_world import task_world
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.rendering.raycast import RaycastRenderer
from ideomotor.sim.rendering.render import backend, backend_report, make_renderer

SIZE: Final = 96  # [pixels]
ROUNDS: Final = 40
PEER: Final = "gymnasium"


@dataclass(frozen=True)
class RenderOptions:
    """Measures camera rendering beside gymnasium's MuJoCo renderer, on the same scene in one run."""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the figures as JSON; - is standard output"""


def render(options: RenderOptions) -> int:
    """The command."""
    bench_render(options.json)
    return 0


def bench_render(json_target: Path | None = None) -> dict[str, Any]:
    """Measures, shows a table and returns `{"backend", "rows"}`, the rows as in DESIGN section 7.

    A row's `ratio` says how many times better ours is. A "CPU s" is a second of this process's own time,
    so that other programs disturb it little; a plain "s" is by the clock.

    Args:
        json_target: also write the result there; "-" is standard output.
    """
    output = Output(json_target)
    world = task_world("place", seed=0)
    model, data = world.model, world.data
    cameras = [camera.name for camera in world.embodiment.cameras]
    output.text.print(f"rendering: {backend_report()}", markup=False)
    output.text.print(f"scene: place, seed 0, {model.ngeom} geoms, {SIZE}x{SIZE} pixels")

    renderers = {
        "fast": make_renderer(model, SIZE, SIZE, "fast"),
        "high": make_renderer(model, SIZE, SIZE, "high"),
        "ray caster": RaycastRenderer(model, SIZE, SIZE),
    }
    draw: dict[str, Callable[[str], Any]] = {
        name: partial(renderer.render, data) for name, renderer in renderers.items()
    }
    try:
        draw[PEER] = _gymnasium(model, data)
    except (ImportError, RuntimeError) as error:
        output.text.print(f"without {PEER}: {error}", markup=False)
    frame_s = _take_turns(draw, cameras)
    new_renderer_s = _cpu_s(lambda: make_renderer(model, SIZE, SIZE).close())
    for renderer in renderers.values():
        renderer.close()
    world.close()

    def row(quality: str, name: str, clock: str, used: list[str]) -> dict[str, Any]:
        rates = {
            who: len(used) / sum(frame_s[who, camera][clock] for camera in used)
            for who in (quality, PEER)
            if who in draw
        }
        unit = "frames/CPU s" if clock == "cpu" else "frames/s"
        peer_value = rates.get(PEER)
        return {
            "name": f"{name}, {quality}",
            "value": rates[quality],
            "unit": unit,
            "peer": PEER if peer_value else None,
            "peer_value": peer_value,
            "ratio": rates[quality] / peer_value if peer_value else None,
        }

    both = f"{len(cameras)} cameras"
    rows = [
        row("fast", both, "cpu", cameras),
        row("fast", both, "wall", cameras),
        row("fast", f"{cameras[0]} camera", "cpu", cameras[:1]),
        row("high", both, "cpu", cameras),
        row("ray caster", both, "cpu", cameras),
        {
            "name": "make a renderer for a new model",
            "value": 1000 * new_renderer_s,
            "unit": "CPU ms",
            "peer": None,
            "peer_value": None,
            "ratio": None,
        },
    ]
    result = {"backend": backend(), "rows": rows}
    output.result(result)
    output.text.print(_table(rows))
    return result


def _gymnasium(model: mujoco.MjModel, data: mujoco.MjData) -> Callable[[str], Any]:
    """Draws a named camera with gymnasium's viewer.

    Raises:
        ImportError: gymnasium's renderer needs a package that is not here (`pip install imageio`).
        RuntimeError: there is no OpenGL for it.
    """
    if backend() == "raycast":
        raise RuntimeError("it needs OpenGL")
    from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer  # what MujocoRenderer draws with

    viewer = OffScreenViewer(model, data, SIZE, SIZE)

    def draw(camera: str) -> Any:
        viewer.make_context_current()
        return viewer.render("rgb_array", camera_id=model.camera(camera).id)

    return draw


def _take_turns(
    draw: dict[str, Callable[[str], Any]], cameras: list[str]
) -> dict[tuple[str, str], dict[str, float]]:
    """{(who, camera): {"cpu": s, "wall": s}}, medians over rounds in which everyone draws once."""
    samples: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for round_number in range(ROUNDS + 2):
        for who, function in draw.items():
            for camera in cameras:
                wall, cpu = time.perf_counter(), time.process_time()
                function(camera)
                spent = time.process_time() - cpu, time.perf_counter() - wall
                if round_number >= 2:  # the first frames compile shaders
                    samples.setdefault((who, camera), []).append(spent)
    return {
        key: dict(zip(("cpu", "wall"), map(statistics.median, zip(*spent, strict=True)), strict=True))
        for key, spent in samples.items()
    }


def _cpu_s(function: Callable[[], Any]) -> float:
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        function()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("what", "ours", "unit", f"{PEER}'s renderer", "times better")
    for row in rows:
        peer_value, ratio = row["peer_value"], row["ratio"]
        table.add_row(
            row["name"],
            f"{row['value']:.1f}",
            row["unit"],
            f"{peer_value:.1f}" if peer_value else "",
            f"{ratio:.1f}" if ratio else "",
        )
    return table
