"""A policy is pushed to and fetched from a Hub on loopback, through the real client.

The Hub here has as much of the real one's HTTP interface as huggingface_hub 2.4 was seen to ask for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ideomotor.control.errors import UserError
from ideomotor.vla.hub import checkpoint_folder
from ideomotor.vla.policy import EpisodePolicy

Revisions = dict[str, list[dict[str, bytes]]]  # of each repository, oldest first: {path: content}


class Handler(BaseHTTPRequestHandler):
    """What of the Hub's interface a client needs to push a checkpoint and to fetch one."""

    protocol_version = "HTTP/1.1"

    @property
    def revisions(self) -> Revisions:
        assert isinstance(self.server, Server)
        return self.server.revisions

    def log_message(self, format: str, *args) -> None:
        pass

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def reply(self, content: bytes | dict | list, status: int = 200, **headers: str) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(raw))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def do_POST(self) -> None:
        body = self.body()
        if self.path == "/api/repos/create":
            return self.create(json.loads(body))
        if self.path == "/api/validate-yaml":  # of the card
            return self.reply({"errors": [], "warnings": []})
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", self.path)
        assert found is not None, self.path
        name, what = found.groups()
        if what == "preupload":
            how = {"uploadMode": "regular", "shouldIgnore": False}
            files = [{"path": file["path"]} | how for file in json.loads(body)["files"]]
            return self.reply({"files": files})
        self.commit(name, body)

    def create(self, asked: dict[str, str]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        self.revisions.setdefault(name, [])
        self.reply({"url": f"https://huggingface.co/{name}", "name": name})

    def commit(self, name: str, body: bytes) -> None:
        revisions = self.revisions[name]
        new = dict(revisions[-1]) if revisions else {}
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                new[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        revisions.append(new)
        sha = f"{len(revisions) - 1:040x}"
        url = f"https://huggingface.co/{name}/commit/{sha}"
        self.reply({"success": True, "commitOid": sha, "commitUrl": url})

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?", path):
            return self.describe(*found.groups())
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]+)/(.+)", path)
        if found is None:  # what it would like to know besides
            return self.reply({"error": "Not found"}, 404)
        name, sha, file = found.groups()
        content = self.revisions[name][int(sha, 16)][file]
        self.reply(content, ETag=f'"{oid(content)}"', X_Repo_Commit=sha)

    do_HEAD = do_GET

    def describe(self, name: str, kind: str | None, revision: str | None) -> None:
        revisions = self.revisions.get(name)
        if not revisions:
            return self.reply({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        number = len(revisions) - 1 if revision in (None, "main") else int(revision, 16)
        files = revisions[number]
        if kind == "tree":
            return self.reply(
                [{"type": "file", "path": p, "size": len(c), "oid": oid(c)} for p, c in files.items()]
            )
        names = [{"rfilename": file} for file in files]
        self.reply({"id": name, "modelId": name, "sha": f"{number:040x}", "siblings": names})


class Server(ThreadingHTTPServer):
    """The Hub, here.

    Attributes:
        revisions: what has been committed.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.revisions: Revisions = {}


@contextmanager
def hub() -> Generator[tuple[str, Revisions]]:
    """Gives the address and what has been committed."""
    server = Server()
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.revisions
    finally:
        server.shutdown()
        server.server_close()


def oid(content: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


PUSH = "PolicyNetworks.from_pretrained(sys.argv[1]).push_to_hub('lab/arm', '# card')"
FETCH = "PolicyNetworks.from_pretrained('lab/arm').save_pretrained(sys.argv[1])"
OLDER = f"PolicyNetworks.from_pretrained('lab/arm', '{0:040x}').save_pretrained(sys.argv[1])"
CLIENT = """
import json, sys, traceback
from ideomotor.vla.networks import PolicyNetworks
for line in sys.stdin:
    code, sys.argv[1] = json.loads(line)
    try:
        said = ["done", eval(code)]
    except Exception as error:
        said = traceback.format_exception_only(error)
    print(json.dumps(said), flush=True)
"""
Client = Callable[[str, Path], list[str]]


@pytest.fixture
def client(tmp_path: Path) -> Generator[Callable[[str], Client]]:
    """client(address): what the policy's own methods do there; ["done", what they return], or the error.

    In a process of its own, since the Hub's client reads its address when it is imported.
    """
    with ExitStack() as stack:

        def at(address: str) -> Client:
            env = os.environ | {
                "HF_ENDPOINT": address,
                "HF_HOME": str(tmp_path / "home"),
                "HF_TOKEN": "hf_test",
            }
            env.pop("HF_HUB_OFFLINE", None)
            pipe, command = subprocess.PIPE, [sys.executable, "-P", "-c", CLIENT, ""]
            process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)
            stack.callback(process.communicate)

            def asked(code: str, argument: Path) -> list[str]:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(json.dumps([code, str(argument)]) + "\n")
                process.stdin.flush()
                return json.loads(process.stdout.readline())

            return asked

        yield at


def test_what_is_fetched_is_what_was_pushed(policy: EpisodePolicy, client, tmp_path: Path) -> None:
    policy.networks.save_pretrained(tmp_path / "mine")
    with hub() as (address, revisions):
        asked = client(address)
        pushed = asked(PUSH, tmp_path / "mine")
        assert pushed == ["done", f"https://huggingface.co/lab/arm/commit/{0:040x}"]
        assert asked(FETCH, tmp_path / "theirs") == ["done", None]
        assert revisions["lab/arm"][0]["README.md"] == b"# card"
        newer = dict(revisions["lab/arm"][0])
        newer["config.json"] = b"{}"
        revisions["lab/arm"].append(newer)
        assert "format" in asked(FETCH, tmp_path / "none")[-1]
        assert asked(OLDER, tmp_path / "older") == ["done", None]
    for name in ("theirs", "older"):
        for path in ("model.safetensors", "processor.json", "interpreter/tokenizer.json"):
            assert (tmp_path / name / path).read_bytes() == (tmp_path / "mine" / path).read_bytes(), path
        configs = [json.loads((tmp_path / each / "config.json").read_text()) for each in (name, "mine")]
        assert configs[0] == configs[1]


def test_what_is_not_there_is_said_in_one_line(client, tmp_path: Path) -> None:
    with hub() as (address, _):
        (said,) = client(address)(FETCH, tmp_path)
    assert "UserError: policy: no folder 'lab/arm'" in said and "Hugging Face Hub" in said
    # Another process: the first may keep a connection that is still answered.
    (refused,) = client(address)(PUSH, Path(__file__).parents[2] / "vla" / "checkpoints" / "so101")
    assert "UserError: push_to_hub: 'lab/arm'" in refused and refused.count("\n") == 1


@pytest.mark.parametrize("name", ["no/such/folder", "nowhere", "/no/folder", "a/../b", "~/policy"])
def test_names_that_are_no_repository_ask_nobody(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(UserError, match="no folder"):
        checkpoint_folder(name)
