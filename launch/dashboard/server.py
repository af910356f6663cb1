"""The page's server: the robot's status, pictures and metrics, and what a person asks for.

    GET /              the page            GET /status       JSON, `StatusReader.status`
    GET /camera/NAME   JPEG                GET /metrics      for Prometheus
    POST /request/NAME one of REQUESTS     POST /instruction the text, to be done from the next plan on
    POST /answer/NAME  again, skip or stop: to the question of a goal (`status`)

Each request has a thread of its own, so that a stop never waits for a picture. Whoever may ask: on loopback
anybody on this computer, but no page of another site, which is known by the host it asked for and by a header
that such a page cannot set; elsewhere whoever has the token.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ideomotor.control.runtime.shared_state import TEXT_BYTES, SharedState
from ideomotor.control.runtime.shared_state_spec import REQUESTS
from ideomotor.launch.dashboard.options import LOOPBACK
from ideomotor.launch.dashboard.status import StatusReader
from ideomotor.launch.runtime.asking import ANSWERS

HEADER = "X-Ideomotor"  # a page of another site cannot set it without being allowed to
COOKIE = "ideomotor_token"
PAGE = Path(__file__).with_name("page.html")


@dataclass
class Room:
    """What the handlers of one server share."""

    shared: SharedState
    reader: StatusReader
    arm_view: str = ""  # address of the arm in 3-D; empty: there is none
    token: str = ""  # empty: none is asked for
    asked: Callable[[str, str, str], None] = lambda what, value, who: None  # for the log
    writing: threading.Lock = field(default_factory=threading.Lock)
    seen_at: float = field(default=0.0)  # [s], when a page asked for the status last; 0: none did


def make_server(host: str, port: int, room: Room) -> ThreadingHTTPServer:
    """A server that is bound and does not serve yet. OSError if it cannot be bound."""

    class Handler(_Handler):
        pass

    Handler.room = room
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    room: Room
    protocol_version = "HTTP/1.1"
    timeout = 30  # [s] for a client that says nothing

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not self._may():
            return
        if path == "/":
            self._page()
        elif path == "/status":
            self.room.seen_at = time.monotonic()
            status = {**self.room.reader.status(), "arm_view": self.room.arm_view}
            self._answer(json.dumps(status).encode(), "application/json")
        elif path.startswith("/camera/") and (name := unquote(path[8:])) in self.room.reader.cameras:
            jpeg = self.room.reader.picture(name)  # an empty answer: there is none yet
            self._answer(jpeg or b"", "image/jpeg", status=HTTPStatus.OK if jpeg else HTTPStatus.NO_CONTENT)
        elif path == "/metrics":
            self._answer(metrics(self.room.reader.status()).encode(), "text/plain; version=0.0.4")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"{path}: not found")

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        size = self.headers.get("Content-Length", "0")
        if not size.isdigit() or int(size) > TEXT_BYTES:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {TEXT_BYTES} bytes are expected")
            return
        text = self.rfile.read(int(size)).decode("utf-8", errors="replace").strip()
        if not self._may() or not self._comes_from_the_page():
            return
        who = f"web {self.client_address[0]}"
        name = path.removeprefix("/request/")
        if path.startswith("/request/") and name in REQUESTS:
            self.room.shared.request(name, who)
            self.room.asked("request", name, who)
        elif path.startswith("/answer/") and (answer := path.removeprefix("/answer/")) in ANSWERS.values():
            self.room.asked("answer", answer, who)
        elif path == "/instruction" and text:
            record = self.room.shared.instruction.new()
            record["text"] = text.encode()
            with self.room.writing:  # a mailbox has one writer
                self.room.shared.instruction.write(record)
            self.room.asked("instruction", text, who)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"{path}: not found, or empty")
            return
        self._answer(b"{}", "application/json")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal shows the robot."""

    def _page(self) -> None:
        asked = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
        cookie = f"{COOKIE}={asked}; HttpOnly; SameSite=Strict; Path=/" if asked else ""
        self._answer(PAGE.read_bytes(), "text/html; charset=utf-8", {"Set-Cookie": cookie} if cookie else {})

    def _may(self) -> bool:
        """Whether this client may see and ask; answers it if not."""
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if not self.room.token:
            if name in LOOPBACK:
                return True
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this computer only, as 127.0.0.1")
            return False
        given = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
        given = given or self.headers.get("Authorization", "").removeprefix("Bearer ")
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        given = given or (cookie.value if cookie else "")
        if hmac.compare_digest(given.encode(), self.room.token.encode()):
            return True
        self._refuse(HTTPStatus.UNAUTHORIZED, "token: expected the one of --web-token-file, as /?token=…")
        return False

    def _comes_from_the_page(self) -> bool:
        if self.headers.get(HEADER) == "1":
            return True
        self._refuse(HTTPStatus.FORBIDDEN, f"expected the header {HEADER}: 1")
        return False

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(json.dumps({"error": why}).encode(), "application/json", status=status)

    def _answer(
        self,
        body: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def metrics(status: dict[str, Any]) -> str:
    """The status in Prometheus's text format."""
    lines = []

    def add(name: str, value: float | None, kind: str = "gauge", **labels: str) -> None:
        if value is None:
            return
        if (head := f"# TYPE ideomotor_{name} {kind}") not in lines:
            lines.append(head)
        inside = ",".join(f"{key}={json.dumps(text)}" for key, text in labels.items())
        lines.append(f"ideomotor_{name}{'{' + inside + '}' if inside else ''} {value:g}")

    add("control_hz", status["hz"])
    add("ticks_total", status["tick"], "counter")
    for quantile, value in status["late_us"].items():
        add("lateness_seconds", None if value is None else value / 1e6, quantile=quantile)
    for what, value in status["ages_ms"].items():
        add("age_seconds", None if value is None else value / 1e3, of=what)
    add("confidence", status["confidence"])
    for camera in status["cameras"]:
        add("camera_hz", camera["hz"], camera=camera["name"])
    for reason, count in status["interventions"].items():
        add("interventions_total", count, "counter", reason=reason)
    for joint in status["joints"]:
        add("temperature_celsius", joint["temperature"], joint=joint["name"])
    for joint in status["joints"]:
        add("supply_volts", joint["voltage"], joint=joint["name"])
    add("alarms", len(status["alarms"]))
    for name, count in status["alarms_raised"].items():
        add("alarms_raised_total", count, "counter", alarm=name)
    add("running", float(status["stage"] == "run"))
    return "\n".join(lines) + "\n"
