"""Run by the Python of an environment with the real `lerobot`: converts LeRobot v2.1 to v3.0 by its tool.

    python convert_with_lerobot.py FOLDER NAME...

Each FOLDER/NAME becomes v3.0 in its place, and FOLDER/NAME.npz is what lerobot then reads of it: an
independent reading of the v2.1 dataset that was there. Small limits make several files of each.
"""

# pyright: reportMissingImports=false
import sys
from pathlib import Path

from lerobot.datasets.v30.convert_dataset_v21_to_v30 import convert_dataset
from read_with_lerobot import read

folder, *names = sys.argv[1:]
for name in names:
    convert_dataset(
        name, root=folder, push_to_hub=False, data_file_size_in_mb=0.01, video_file_size_in_mb=0.004
    )
    read(Path(folder) / name, Path(folder) / f"{name}.npz", with_stats=False)
