"""The code of docs/datasets.md, run as it stands there."""

import csv
import re
from pathlib import Path

import numpy as np

from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot import video
from ideomotor.datasets.lerobot.reader import Dataset

DOCUMENT = Path(__file__).parents[2] / "docs/datasets.md"


def test_a_folder_of_videos_and_csv_becomes_a_dataset(tmp_path, monkeypatch, so101, make_episode):
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    folder = tmp_path / "my_folder"
    folder.mkdir()
    episodes = [make_episode(seed, 8 + seed) for seed in range(2)]
    for number, episode in enumerate(episodes):
        names = [f"{what}.{joint}" for what in ("state", "action") for joint in so101.joint_names]
        with open(folder / f"take_{number}.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(names)
            table.writerows(np.concatenate([episode.state, episode.action], axis=1).tolist())
        (folder / f"take_{number}.mp4").write_bytes(video.encode(episode.images["front"], 30))
        (folder / f"take_{number}.txt").write_text(episode.task + "\n")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second time there is nothing left to do
        exec(compile(code, str(DOCUMENT), "exec"), {"__name__": "document"})
    dataset = Dataset(tmp_path / "my_dataset")
    assert (len(dataset), dataset.cameras, dataset.info["robot_type"]) == (2, ["front"], "so101")
    for number, episode in enumerate(episodes):
        assert np.array_equal(dataset.columns(number)["action"], episode.action)
        found = dataset.frames(number, "front", range(episode.length)).astype(int)
        assert np.abs(found - episode.images["front"]).mean() < 6
        assert dataset.tasks[dataset.columns(number)["task_index"][0]] == episode.task
    assert [problem for problem in validate(tmp_path / "my_dataset") if "limits" not in problem["what"]] == []
