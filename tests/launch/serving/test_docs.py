"""docs/serving.md, followed to the letter on loopback, with TLS and a token."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.launch.serving.access import client_tls
from ideomotor.launch.serving.kept_socket import Place, open_socket

ROOT = Path(__file__).parents[3]
BLOCKS = re.findall(
    r"^```bash\n(.*?)^```", (ROOT / "docs" / "serving.md").read_text(), re.DOTALL | re.MULTILINE
)


@pytest.fixture(scope="module")
def page(command, tmp_path_factory) -> Iterator[tuple[Path, dict[str, str], str]]:
    """(folder in which the first block runs, its environment, the port)."""
    for needed in ("openssl", "curl"):
        if subprocess.run(["sh", "-c", f"command -v {needed}"], capture_output=True).returncode:
            pytest.skip(f"{needed} is not installed")
    folder = tmp_path_factory.mktemp("serving")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "COLUMNS": "200"}
    block = BLOCKS[0].replace("8000", port).replace("ideomotor serve", "exec ideomotor serve")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["bash", "-ec", block], cwd=folder, env=environment, stdout=pipe, text=True
    ) as process:
        try:
            assert process.stdout
            said = next((line for line in process.stdout if line.startswith("listening")), "")
            assert said == f"listening on wss://127.0.0.1:{port}\n"
            yield folder, environment, port
        finally:
            process.terminate()
    assert process.returncode == 0


def test_the_robots_computer_solves_a_task_through_it(page) -> None:
    folder, environment, port = page
    block = BLOCKS[1].replace("8000", port)
    done = subprocess.run(["bash", "-ec", block], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OK\n") and "result       solved in" in done.stdout
    assert f"driver       wss://127.0.0.1:{port}" in done.stdout


def test_without_token_or_certificate_nobody_enters(page) -> None:
    folder, _, port = page
    url, token = f"wss://127.0.0.1:{port}", (folder / "token").read_text().strip()
    with pytest.raises(UserError, match="--ca FILE"):
        open_socket(Place(url, token))
    with pytest.raises(UserError, match="the token is missing"):
        open_socket(Place(url, "another token of some length", folder / "cert.pem"))
    with pytest.raises(UserError, match="no policy server there"):
        open_socket(Place(url.replace("wss", "ws"), token))
    with pytest.raises(UserError, match="ca: .*no certificate"):
        client_tls(folder / "token")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "cert.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    bare = socket.create_connection(("127.0.0.1", int(port)))
    with context.wrap_socket(bare, server_hostname="127.0.0.1") as secure:
        assert secure.version() == "TLSv1.2"


def test_the_page_has_both_machines_commands() -> None:
    assert len(BLOCKS) == 3
    assert "ideomotor serve" in BLOCKS[0] and "ideomotor run" in BLOCKS[1] and "ideomotor launch" in BLOCKS[2]
