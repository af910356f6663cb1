"""The page of `launch --web`: what its server answers and refuses, and what a browser does with it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.shared_state import REQUESTS
from ideomotor.control.timing import usual_timing
from ideomotor.launch.dashboard.beside import Event, dashboard_beside
from ideomotor.launch.dashboard.options import WebArguments, WebOptions, web_options
from ideomotor.launch.dashboard.server import Room, make_server
from ideomotor.launch.dashboard.status import StatusReader
from ideomotor.launch.runtime.policy_processes import ObservationReader, PolicyProcessConfig

ROBOT = load_embodiment("so101")
TOKEN = "0123456789abcdef0123"


class Site:
    """A served page of a robot that is a shared state only."""

    def __init__(self, token: str = "") -> None:
        self.shared = shared_state.create(ROBOT)
        self.reader = StatusReader(self.shared, ROBOT, "lift it", ["policy", "person"])
        self.asked: list[tuple[str, str, str]] = []
        room = Room(self.shared, self.reader, token=token, asked=lambda *what: self.asked.append(what))
        self.server = make_server("127.0.0.1", 0, room)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=60)
        own = {"X-Ideomotor": "1"} if method == "POST" else {}
        connection.request(method, path, body.encode() or None, own | headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def requests(self) -> dict[str, int]:
        made = dict(zip(REQUESTS, self.shared.requests.tolist(), strict=True))
        return {name: count for name, count in made.items() if count}

    def live(self) -> None:
        """A tick of a robot that runs, with a black and a white picture and a plan."""
        state, tick = self.shared.state.new(), self.shared.ticks.new()
        for record in (state, tick):
            record["tick"], record["time"] = 7, 100.0
            record["position"], record["command"] = ROBOT.home_position, ROBOT.home_position + 0.01
            record["stage"], record["driver"] = b"run", b"policy"
        state["temperature"], state["voltage"] = 41.0, np.nan
        tick["interventions"], tick["chunk_age"] = b"jerk,velocity", np.nan
        self.shared.ticks.write(tick)
        self.shared.state.write(state)
        frames, images = self.shared.frames.new(), {}
        for (name, height, width), colour in zip(self.shared.spec.cameras, (0, 255), strict=True):
            images[name] = np.full((height, width, 3), colour, np.uint8)
        shared_state.pack_frames(frames, 100.0, images, self.shared.spec)
        self.shared.frames.write(frames)
        plan = self.shared.plan.new()
        points = {"target": ("wrist", 0.25, 0.75)}
        made = shared_state.LatentPlan(np.zeros((1, 2), np.float32), 0.0, "grasp it", points, 0.4)
        shared_state.pack_plan(plan, made)
        self.shared.plan.write(plan)
        self.reader.poll()


@pytest.fixture
def make_site() -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(*arguments: str) -> Site:
        made.append(Site(*arguments))
        return made[-1]

    yield make
    for site in made:
        site.server.shutdown()
        site.server.server_close()
        site.reader = site.server = None  # type: ignore[assignment]
        site.shared.close()


def test_it_tells_all_there_is_before_and_after_the_robot_runs(make_site) -> None:
    site = make_site()
    code, body = site.ask("GET", "/status")
    before = json.loads(body)
    assert code == 200 and before["stage"] == "starting" and before["joints"] == []
    assert site.ask("GET", "/camera/wrist") == (204, b"")
    site.live()
    now = json.loads(site.ask("GET", "/status")[1])
    assert (now["stage"], now["driver"], now["instruction"], now["tick"]) == ("run", "policy", "lift it", 7)
    assert now["joints"][2]["name"] == "elbow_flex" and now["joints"][2]["temperature"] == 41.0
    assert now["joints"][0]["voltage"] is None and now["ages_ms"]["chunk"] is None
    assert now["interventions"] == {"jerk": 1, "velocity": 1} and now["changed_share"] == 1.0
    assert now["plan"] == {"text": "grasp it", "progress": 0.4}
    metrics = site.ask("GET", "/metrics")[1].decode()
    assert 'ideomotor_temperature_celsius{joint="gripper"} 41\n' in metrics
    assert "ideomotor_running 1\n" in metrics and "# TYPE ideomotor_ticks_total counter" in metrics
    code, jpeg = site.ask("GET", "/camera/wrist")
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert code == 200 and image.shape[0] >= 96 and (image[0, 0] > 240).all()
    height, width = image.shape[:2]
    assert abs(int(image[3 * height // 4, width // 4, 1]) - 40) < 60  # the point, of another colour
    assert site.ask("GET", "/camera/top")[0] == 404 and site.ask("GET", "/camera/../x")[0] == 404


def test_requests_are_made_as_by_keys_and_are_told(make_site) -> None:
    site = make_site()
    for name in ("estop", "rearm", "mark_bad", "take_over"):
        assert site.ask("POST", f"/request/{name}")[0] == 200
    assert site.requests() == {"estop": 1, "rearm": 1, "mark_bad": 1, "take_over": 1}
    assert site.shared.requested_by("estop") == "web 127.0.0.1"
    assert site.asked[0] == ("request", "estop", "web 127.0.0.1")
    assert site.ask("POST", "/request/estopp")[0] == 404 and site.ask("GET", "/request/estop")[0] == 404


def test_a_new_instruction_is_what_the_policy_gets_from_then_on(make_site) -> None:
    site = make_site()
    config = PolicyProcessConfig(lambda part: None, "lift it", usual_timing(ROBOT))
    reader = ObservationReader(site.shared, config)
    site.live()

    def instruction() -> str | None:
        observation = reader.poll() and reader.observation()
        return observation.instruction if observation else None

    assert reader.poll() and instruction() == "lift it"
    assert site.ask("POST", "/instruction", "  put it down, süß ")[0] == 200
    assert instruction() == "put it down, süß"
    assert json.loads(site.ask("GET", "/status")[1])["instruction"] == "put it down, süß"
    assert site.ask("POST", "/instruction", "   ")[0] == 404
    assert site.ask("POST", "/instruction", "x" * 600)[0] == 413
    assert site.asked == [("instruction", "put it down, süß", "web 127.0.0.1")]


def test_a_question_is_shown_and_answered(make_site) -> None:
    site = make_site()
    site.live()
    assert json.loads(site.ask("GET", "/status")[1])["question"] == ""
    record = site.shared.instruction.new()
    record["text"], record["question"] = b"lift it", b"lift(red cube) failed: again, skip or stop?"
    site.shared.instruction.write(record)
    assert "again, skip" in json.loads(site.ask("GET", "/status")[1])["question"]
    assert site.ask("POST", "/answer/skip")[0] == 200 and site.ask("POST", "/answer/dance")[0] == 404
    assert site.asked == [("answer", "skip", "web 127.0.0.1")]


def test_no_page_of_another_site_can_ask(make_site) -> None:
    site = make_site()
    assert site.ask("POST", "/request/estop", **{"X-Ideomotor": "0"})[0] == 403
    assert site.ask("GET", "/status", Host="evil.example:8010")[0] == 403
    assert site.ask("POST", "/request/finish", Host="evil.example")[0] == 403
    assert site.requests() == {} and site.ask("GET", "/status", Host="localhost:8010")[0] == 200


def test_with_a_token_nobody_is_let_in_without_it(make_site) -> None:
    site = make_site(TOKEN)
    assert site.ask("GET", "/status")[0] == 401 and site.ask("POST", "/request/estop")[0] == 401
    assert site.ask("GET", "/?token=" + TOKEN[:-1])[0] == 401 and site.ask("GET", "/?token=")[0] == 401
    assert site.ask("GET", f"/?token={TOKEN}")[0] == 200
    assert site.ask("GET", "/metrics", Authorization=f"Bearer {TOKEN}", Host="robot.lab:8010")[0] == 200
    assert site.ask("POST", "/request/estop", Cookie=f"ideomotor_token={TOKEN}")[0] == 200
    assert site.requests() == {"estop": 1}


def test_where_the_page_is_and_who_may_see_it(tmp_path: Path) -> None:
    assert web_options(WebArguments()) is None
    assert web_options(WebArguments(":9000")) == WebOptions(port=9000)
    assert web_options(WebArguments("localhost")) == WebOptions("localhost")
    file, short = tmp_path / "token", tmp_path / "short"
    file.write_text(TOKEN + "\n")
    short.write_text("secret")
    assert web_options(WebArguments("0.0.0.0:80", file)) == WebOptions("0.0.0.0", 80, TOKEN)
    for arguments, words in (
        (WebArguments("0.0.0.0:80"), "expected --web-token-file"),
        (WebArguments(":http"), "expected HOST:PORT"),
        (WebArguments(":70000"), "a port of 0 to 65535"),
        (WebArguments(":1", tmp_path / "none"), "cannot read"),
        (WebArguments(":1", short), "expected 16 or more letters and digits"),
        (WebArguments(":1", web_heartbeat=0.1), "expected 0.5 to 60"),
        (WebArguments(on_alarm="beep"), "on-alarm: expected --web with it"),
    ):
        with pytest.raises(UserError, match=words):
            web_options(arguments)


@pytest.mark.realtime
@pytest.mark.session
def test_a_browser_shows_a_robot_that_runs_and_stops_it_and_its_end_is_no_fault(start, open_browser) -> None:
    running = start()
    flat = replace(ROBOT, geometry=None)  # without the arm in 3-D, whose software rendering would take a core
    options = WebOptions(port=0)
    with dashboard_beside(running.shared, flat, "swing", ["policy", "person"], options) as dashboard:
        browser = open_browser(390, 844)
        browser.open(dashboard.address)
        browser.wait("document.querySelector('#state').className == 'run'")
        browser.wait("document.querySelectorAll('#cameras img').length == 2")
        browser.wait("[...document.querySelectorAll('#cameras img')].every(image => image.naturalWidth > 0)")
        left = "document.querySelector('#joints i').style.left"
        before = browser.run(left)
        browser.wait(f"{left} != '{before}'")  # it is live
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        assert browser.run("document.querySelector('#figures').innerText.includes('of 120 Hz')")
        browser.wait("document.querySelector('#alarms').innerText.includes('it is dark')")  # black pictures
        box = browser.run("JSON.stringify(document.getElementById('stop').getBoundingClientRect())")
        assert json.loads(box)["height"] >= 60 and json.loads(box)["width"] > 350
        browser.run("window.scrollTo(0, document.body.scrollHeight)")
        assert browser.run("document.getElementById('stop').getBoundingClientRect().top >= 0")  # always there
        running.wait_until_fast()
        clicked = time.monotonic()
        browser.run("document.getElementById('stop').dispatchEvent(new PointerEvent('pointerdown'))")
        running.wait(lambda: running.state()["stage"] == "hold", "a stop")
        print(f"from the click to the hold: {1000 * (time.monotonic() - clicked):.0f} ms")
        assert running.state()["reason"] == "emergency stop: web 127.0.0.1"
        browser.wait("document.querySelector('#state').innerText.includes('emergency stop')")
        browser.run("document.querySelector('[data-request=rearm]').click()")
        running.wait(lambda: running.state()["stage"] == "run", "going on")
        events = dashboard.poll()
        assert Event("request", "estop", "web 127.0.0.1") in events
        assert any(event.kind == "alarm" and "it is dark" in event.text for event in events)
        assert browser.complaints == []

        dashboard.processes[0].kill()
        browser.wait("document.querySelector('#state').innerText.includes('use the switch on the table')")
        running.wait(lambda: bool(died := dashboard.poll()) and "has died" in died[-1].text, "its end")
        assert running.state()["stage"] == "run"
    running.shared.request("finish")
    assert running.outcome()["faults"] == []


@pytest.mark.realtime
@pytest.mark.session
def test_with_a_heartbeat_an_arm_stops_when_the_page_is_gone(start) -> None:
    running = start()
    options = WebOptions(port=0, heartbeat_s=0.5)
    flat = replace(ROBOT, geometry=None)
    with dashboard_beside(running.shared, flat, "swing", ["policy"], options) as dashboard:
        running.wait_until_fast()  # nobody has opened it yet
        host, port = dashboard.address.removeprefix("http://").rstrip("/").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.request("GET", "/status")
        assert json.loads(connection.getresponse().read())["stage"] == "run"
        connection.close()
        running.wait(lambda: running.state()["stage"] == "hold", "a stop")
        assert running.state()["reason"] == "emergency stop: web: no page is there any more"


def test_an_address_that_is_taken_is_refused_before_anything_runs(make_site) -> None:
    site = make_site()
    options = WebOptions(port=site.server.server_address[1])
    flat = replace(ROBOT, geometry=None)
    with pytest.raises(UserError, match="web: 127.0.0.1:.*[Aa]ddress already in use"):
        with dashboard_beside(site.shared, flat, "", [], options):
            pass


@pytest.mark.slow
def test_the_arm_is_where_its_joints_are() -> None:
    pytest.importorskip("viser")
    from ideomotor.control.safety.kinematics import Kinematics
    from ideomotor.launch.dashboard.arm_view import ArmView

    assert ROBOT.geometry is not None
    view = ArmView(ROBOT, ROBOT.geometry)
    view.show(ROBOT.home_position, ROBOT.home_position + 0.1)
    names, kinematics = view.frames["measured"], Kinematics(ROBOT, ROBOT.geometry)
    poses = kinematics.frames(ROBOT.home_position[None])[:, 0]
    for i, handle in enumerate(names):
        np.testing.assert_allclose(handle.position, poses[:, i, 3], atol=1e-6)
    assert any(
        np.abs(np.subtract(a.position, b.position)).max() > 0.01
        for a, b in zip(names, view.frames["commanded"], strict=True)
    )
    view.stop()


def test_reports_and_views_of_datasets_lead_to_it() -> None:
    import ideomotor.datasets.viewing.page as view
    from ideomotor.eval.reporting.report_parts import page

    address = f'href="http://{WebOptions().host}:{WebOptions().port}/"'
    assert address in page("", []) and address in view.TEMPLATE.read_text()
