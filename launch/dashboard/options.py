"""What the command line says about the page."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ideomotor.control.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost")
USUAL_PORT = 8010


@dataclass(frozen=True)
class WebOptions:
    """Where the page is, and who may see it."""

    host: str = "127.0.0.1"
    port: int = USUAL_PORT  # 0: any that is free
    token: str = ""  # empty: none is asked for, on loopback only
    heartbeat_s: float | None = None  # without a page for so long, once there was one, the arm stops
    on_alarm: str = ""  # a command; what is wrong is its last argument


@dataclass(frozen=True)
class WebArguments:
    """A page to watch and stop it (docs/dashboard.md)."""

    web: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """a page to watch and stop it, e.g. --web :8010 (this computer only) (docs/dashboard.md)"""

    web_token_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """what whoever opens the page from another computer must know"""

    web_heartbeat: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """emergency stop when the page, once it was open, has not been there for so long"""

    on_alarm: Annotated[str, tyro.conf.arg(metavar="COMMAND")] = ""
    """what is run when the page raises an alarm, with the alarm's text as its last argument"""


def web_options(arguments: WebArguments) -> WebOptions | None:
    """What is meant; None: no page.

    Raises:
        UserError: no such address, a host that others reach without a token, or a token that is too short.
    """
    if arguments.web is None:
        for name in ("web_token_file", "web_heartbeat", "on_alarm"):
            if getattr(arguments, name) not in (None, ""):
                raise UserError(f"{name.replace('_', '-')}: expected --web with it")
        return None
    host, _, port = arguments.web.rpartition(":") if ":" in arguments.web else (arguments.web, "", "")
    host, port = host or LOOPBACK[0], port or str(USUAL_PORT)
    if not port.isdigit() or int(port) > 65535:
        raise UserError(f"web: got {arguments.web!r}, expected HOST:PORT with a port of 0 to 65535")
    token = _token(arguments.web_token_file)
    if host not in LOOPBACK and not token:
        raise UserError(f"web: {host} is reached from other computers, expected --web-token-file with it")
    seconds = arguments.web_heartbeat
    if seconds is not None and not 0.5 <= seconds <= 60:
        raise UserError(f"web-heartbeat: got {seconds}, expected 0.5 to 60 [s]")
    return WebOptions(host, int(port), token, seconds, arguments.on_alarm)


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"web-token-file: cannot read {str(file)!r} ({error})") from error
    if len(token) < 16 or not token.isascii() or not token.isalnum():
        example = secrets.token_hex(16)
        raise UserError(f"web-token-file: expected 16 or more letters and digits, such as {example}")
    return token
