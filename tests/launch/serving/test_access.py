"""Tokens, TLS and what is exposed: refused in one line before anything listens."""

import os

import pytest

from ideomotor.control.errors import UserError
from ideomotor.launch.serving.access import check_exposure, is_loopback, may_enter, read_token, server_tls

TOKEN = "0123456789abcdef0123"


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


def test_a_token_is_one_line_that_only_its_owner_reads(token_file) -> None:
    assert read_token(token_file) == TOKEN
    assert read_token(None) == ""
    if os.name == "posix":
        token_file.chmod(0o640)
        with pytest.raises(UserError, match="chmod 600"):
            read_token(token_file)


@pytest.mark.parametrize("text", ["short", "two words of some length", "two\nlines of some length", "ö" * 20])
def test_what_is_no_token_is_refused(token_file, text) -> None:
    token_file.write_text(text)
    with pytest.raises(UserError, match="token-file"):
        read_token(token_file)


def test_only_loopback_is_open_without_a_token() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.8.0.9"):
        assert is_loopback(host)
        check_exposure(host, "")
    for host in ("0.0.0.0", "::", "192.168.1.4", "robot.local", ""):
        assert not is_loopback(host)
        check_exposure(host, TOKEN)
        with pytest.raises(UserError, match="token-file: missing"):
            check_exposure(host, "")


@pytest.mark.parametrize(
    ("header", "enters"),
    [
        (f"Api-Key {TOKEN}", True),
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN} ", True),
        (f"Basic {TOKEN}", False),
        (f"Bearer {TOKEN}x", False),
        (TOKEN, False),
        ("Bearer ", False),
        ("Bearer ö", False),
        (None, False),
    ],
)
def test_who_has_the_token_enters(header, enters) -> None:
    assert may_enter(header, TOKEN) is enters
    assert may_enter(header, "")


def test_a_certificate_needs_its_key(tmp_path) -> None:
    assert server_tls(None, None) is None
    with pytest.raises(UserError, match="key: missing"):
        server_tls(tmp_path / "cert.pem", None)
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(UserError, match="cert: "):
        server_tls(tmp_path / "cert.pem", tmp_path / "cert.pem")
