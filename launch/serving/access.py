"""Who may use a policy server: tokens, TLS, and what is allowed without either."""

from __future__ import annotations

import hmac
import ipaddress
import os
import ssl
import stat
from pathlib import Path

from ideomotor.control.errors import UserError

LEAST_TOKEN = 16  # characters


def read_token(path: Path | None) -> str:
    """The token in a file; empty where no file is given.

    Raises:
        UserError: it cannot be read, holds no single line, is too short, or anyone may read it.
    """
    if path is None:
        return ""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UserError(f"token-file: {path}: cannot be read ({error})") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"token-file: {path}: others can read it; chmod 600 {path}")
    if len(text) < LEAST_TOKEN or not text.isprintable() or " " in text:
        raise UserError(
            f"token-file: {path}: got {len(text)} characters, expected one line of at least {LEAST_TOKEN} "
            f"without spaces (openssl rand -hex 32 > {path})"
        )
    return text


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a server that is bound to this."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_exposure(host: str, token: str) -> None:
    """Raises UserError for a server that others could reach without a token."""
    if not token and not is_loopback(host):
        raise UserError(
            f"token-file: missing; whoever reaches {host} could drive the robot. Expected --token-file FILE, "
            "or --host 127.0.0.1"
        )


def may_enter(header: str | None, token: str) -> bool:
    """Whether an `Authorization` header has the token: `Api-Key K` (as openpi's client) or `Bearer K`."""
    if not token:
        return True
    kind, _, given = (header or "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(), token.encode())
    return right and kind.lower() in ("api-key", "bearer")


def server_tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS of a server; None without a certificate.

    Raises:
        UserError: one of the two is missing, or they are none.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UserError(f"{'key' if key is None else 'cert'}: missing, expected both --cert and --key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise UserError(f"cert: {cert} and {key} are no certificate and its key in PEM ({error})") from None
    return context


def client_tls(ca: Path | None) -> ssl.SSLContext:
    """TLS of a client: trusts the system's authorities, or a file's alone. UserError if it holds none."""
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise UserError(f"ca: {ca}: no certificate in PEM ({error})") from None
