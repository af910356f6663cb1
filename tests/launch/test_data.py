"""`ideomotor data info|stats|view` on a small recording."""

import json

import pytest


@pytest.fixture(scope="module")
def recorded(ideomotor, tmp_path_factory):
    """Folder of three episodes."""
    out = tmp_path_factory.mktemp("recorded") / "data"
    assert ideomotor("record", "reach", "--episodes", 3, "--out", out).returncode == 0
    return out


def test_info_says_how_long_and_what_cameras(recorded, in_process):
    shown = in_process("data", "info", recorded).stdout
    assert "camera front  96 x 96, h264 video" in shown
    assert "frames/s" not in shown and " at 30 Hz" in shown
    assert "observation.state         float32  6" in shown
    found = in_process("data", "info", recorded, "--json", "-").json
    assert {"format", "episodes", "frames", "fps", "features", "tasks"} <= set(found)  # what others rely on
    assert found["seconds"] == pytest.approx(found["frames"] / found["fps"])


def test_stats_are_a_table_that_is_not_cut_short_and_json(recorded, in_process):
    shown = in_process("data", "stats", recorded).stdout
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert lines["feature"] == ["feature", "component", "min", "q01", "mean", "std", "q99", "max"]
    found = in_process("data", "stats", recorded, "--json", "-").json["features"]
    row = lines["observation.state"]
    assert row[1] == "shoulder_pan" == found["observation.state"]["names"][0]
    assert [float(cell) for cell in row[2:]] == pytest.approx(
        [found["observation.state"][name][0] for name in lines["feature"][2:]], abs=1e-4
    )
    assert "observation.images.front" in lines and "frame_index" not in lines and "frame_index" in found
    only = in_process("data", "stats", recorded, "--feature", "action.high_rate", "--exact").stdout
    assert "t3.gripper" in only and "observation.state" not in only
    in_process("data", "stats", recorded, "--feature", "actoin").assert_refused("feature", "action")


def test_view_writes_a_page_and_says_its_size(recorded, in_process, tmp_path):
    page = tmp_path / "page.html"
    done = in_process(
        "data", "view", recorded, "--out", page, "--episodes", 2, "--first", 1, "--json", "-"
    ).json
    assert done == {"files": {str(page): page.stat().st_size}, "episodes": [1, 2], "of": 3}
    text = page.read_text()
    content = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert [episode["index"] for episode in content["episodes"]] == [1, 2]
    assert content["charts"][0]["lower"] < content["charts"][0]["upper"]  # it knows the robot by itself


def test_view_refuses_what_it_cannot_do_before_it_begins(recorded, in_process, tmp_path):
    in_process("data", "view", recorded).assert_refused("out: missing")
    in_process("data", "view", recorded, "--out", tmp_path / "page.pdf").assert_refused("page.pdf", ".html")
    in_process("data", "view", recorded, "--out", tmp_path / "no/page.html").assert_refused("does not exist")
    in_process("data", "view", recorded, "--out", tmp_path / "p.html", "--first", 3).assert_refused(
        "first", "3"
    )
    in_process("data", "view", tmp_path, "--out", tmp_path / "p.html").assert_refused("info.json")
    in_process("data", "view", recorded, "--out", tmp_path / "p.html", "--robot", "so100").assert_refused(
        "so101"
    )
    assert list(tmp_path.iterdir()) == []
