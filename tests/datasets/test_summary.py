"""What `data info` and `data stats` say, against the rows themselves."""

import json
import shutil

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking import summary
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter


def all_rows(root, feature):
    dataset = Dataset(root)
    return np.concatenate([dataset.columns(episode)[feature] for episode in range(len(dataset))])


def test_lengths_and_cameras(recorded):
    found = summary.summary(recorded)
    assert found["seconds"] == pytest.approx((10 + 11 + 12 + 13 + 14) / 30)
    assert found["episode_seconds"] == pytest.approx({"min": 10 / 30, "median": 12 / 30, "max": 14 / 30})
    assert found["cameras"] == [
        {"name": name, "height": 96, "width": 96, "stored": "h264 video"} for name in ("front", "wrist")
    ]
    assert found["episodes_of_task"] == {"put the red cube into the bowl": 3, "push the ball to the left": 2}
    assert found["bytes"] == sum(path.stat().st_size for path in recorded.rglob("*") if path.is_file())
    json.dumps(found, allow_nan=False)


def test_an_empty_dataset_has_a_summary_and_no_statistics(so101, tmp_path):
    with DatasetWriter(tmp_path / "empty", so101):
        found = summary.summary(tmp_path / "empty")  # while the recording waits for its first episode
        assert (found["episodes"], found["seconds"], found["episode_seconds"]) == (0, 0.0, None)
        with pytest.raises(UserError, match="no episodes"):
            summary.statistics(tmp_path / "empty")


@pytest.mark.parametrize("exact", [False, True])
def test_statistics_are_named_by_joint(recorded, so101, exact):
    found = summary.statistics(recorded, exact=exact)
    json.dumps(found, allow_nan=False)
    actions, values = found["action"], all_rows(recorded, "action")
    assert actions["names"] == list(so101.joint_names)
    assert actions["count"] == len(values) == 60
    for name, expected in (("min", values.min(0)), ("max", values.max(0)), ("mean", values.mean(0))):
        assert actions[name] == pytest.approx(expected, abs=1e-5), name
    assert actions["std"] == pytest.approx(values.std(0), abs=1e-5)
    assert found["observation.images.front"]["names"] == ["red", "green", "blue"]
    assert all(len(part[key]) == len(part["names"]) for part in found.values() for key in summary.STATISTICS)


def test_exact_quantiles_are_those_of_all_rows(recorded):
    values = all_rows(recorded, "observation.state")
    for exact in (True, False):
        found = summary.statistics(recorded, "observation.state", exact=exact)["observation.state"]
        right = all(
            found[name] == pytest.approx(np.quantile(values, q, axis=0, method="inverted_cdf"))
            for name, q in (("q01", 0.01), ("q99", 0.99))
        )
        assert right == exact  # the stored ones are means of the episodes' quantiles


def test_a_statistic_that_is_not_stored_is_none(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "copy")
    path = tmp_path / "copy/meta/stats.json"
    stored = json.loads(path.read_text())
    del stored["action"]["q01"]
    path.write_text(json.dumps(stored))
    assert summary.statistics(tmp_path / "copy")["action"]["q01"] is None
    stored["action"]["max"] = stored["action"]["max"][:-1]
    path.write_text(json.dumps(stored))
    with pytest.raises(UserError, match="statistics of action: of .5, 6. values"):
        summary.statistics(tmp_path / "copy")


def test_an_unknown_feature_is_refused_with_the_names(recorded):
    with pytest.raises(UserError, match="did you mean 'action'"):
        summary.statistics(recorded, "actoin")
