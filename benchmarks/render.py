"""Our camera images against gymnasium's MuJoCo renderer; the last line is JSON.

python benchmarks/render.py
"""

from pathlib import Path

from ideomotor.launch.bench.rendering import bench_render

if __name__ == "__main__":
    bench_render(Path("-"))
