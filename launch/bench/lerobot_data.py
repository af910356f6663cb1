"""The peer of `ideomotor bench data`: LeRobotDataset, in an environment of its own.

    python lerobot_data.py DATASET CHUNK

Run by the Python of an environment with the real `lerobot`, not by ours. It reads one JSON request a line,
{"rows": [...], "chunk": bool, "batch": n}, and answers with {"cpu_s", "wall_s"} for all of it: n = 0 asks
for rows one by one, n > 0 for batches of n through a torch DataLoader in this process. The first line it
writes is {"version", "backend"}. Images come as float tensors and texts as strings, as lerobot gives them.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings

from torch.utils.data import DataLoader, Subset


def main() -> None:
    root, chunk = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")  # what lerobot prints goes elsewhere
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import lerobot
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    plain = LeRobotDataset("local/bench", root=root)
    ahead = {"action": [tick / plain.fps for tick in range(chunk)]}
    chunked = LeRobotDataset("local/bench", root=root, delta_timestamps=ahead)
    print(
        json.dumps({"version": lerobot.__version__, "backend": plain.video_backend}), file=answers, flush=True
    )
    for line in sys.stdin:
        request = json.loads(line)
        dataset = chunked if request["chunk"] else plain
        cpu, wall = time.process_time(), time.perf_counter()
        if request["batch"]:
            for _ in DataLoader(Subset(dataset, request["rows"]), batch_size=request["batch"]):
                pass
        else:
            for row in request["rows"]:
                dataset[row]
        spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        print(json.dumps(spent), file=answers, flush=True)


if __name__ == "__main__":
    main()
