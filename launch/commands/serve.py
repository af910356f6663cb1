"""`ideomotor serve`: a policy on a machine that has the power for it, asked over a network."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.launch import exits
from ideomotor.launch.console import Output
from ideomotor.launch.needed_options import NeededArguments
from ideomotor.launch.serving.access import check_exposure, is_loopback, read_token, server_tls

if TYPE_CHECKING:
    from ideomotor.launch.serving.server import PolicyServer


@dataclass(frozen=True)
class ServeOptions:
    """Serves a policy to robots: openpi's websocket protocol, and our own beside it on the same port."""

    policy: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """checkpoint folder, or ORG/NAME on the Hugging Face Hub; the bundled policy by default"""

    needed: Annotated[NeededArguments, tyro.conf.arg(name="")] = NeededArguments()
    """what of a checkpoint is loaded"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = ""
    """robot, or embodiment file; by default the one that the checkpoint names"""

    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    """address to listen on; 0.0.0.0 is every one of this machine, and needs --token-file"""

    port: Annotated[int, tyro.conf.arg(metavar="N")] = 8000
    """port to listen on; 0 takes one that is free"""

    device: Annotated[str, tyro.conf.arg(metavar="cpu|cuda")] = ""
    """where the networks run; by default a GPU if there is one"""

    token_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """file with the token that clients must have (openssl rand -hex 32 > FILE; chmod 600 FILE)"""

    cert: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """certificate in PEM, for TLS (wss://)"""

    key: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """its private key in PEM"""

    map: Annotated[tuple[str, ...], tyro.conf.arg(metavar="THEIRS=OURS")] = ()
    """what openpi's clients call a camera, the state or the instruction, e.g.
    observation/exterior_image_1_left=front; A+B=state joins two vectors"""

    interpreter_only: bool = False
    """only plans: for robots that decode themselves (--decoder)"""

    max_batch: Annotated[int, tyro.conf.arg(metavar="N")] = 16
    """requests of several clients that are answered at once; 1: each by itself, the same to the bit"""

    batch_ms: Annotated[float, tyro.conf.arg(metavar="MS")] = 3.0
    """how long a request waits for others to be answered with; one client alone never waits"""

    max_message_mb: Annotated[float, tyro.conf.arg(metavar="MB")] = 16.0
    """largest message that is read"""

    threads: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """of torch, for each of the two networks on a CPU; 1: the same to the bit as without a server"""


def serve(options: ServeOptions) -> int:
    """Serves until it is stopped: 0 by SIGTERM, 130 by Ctrl-C."""
    output = Output(None)
    _check(options)
    token, tls = read_token(options.token_file), server_tls(options.cert, options.key)
    check_exposure(options.host, token)
    with loading():
        from ideomotor.launch.checkpoints import policy_folder, policy_name
        from ideomotor.launch.serving.openpi import parse_key_map
        from ideomotor.launch.serving.served_policy import load_served
        from ideomotor.launch.serving.server import PolicyServer, ServerConfig
        from ideomotor.vla.checkpoint_info import is_exported

        folder = policy_folder(options.policy, options.robot or "so101")
        device = options.device or _usual_device(is_exported(folder))
        name = policy_name(options.policy)
        needed = options.needed.of(folder)
        how = options.robot, device, options.interpreter_only, options.threads, needed
        served = load_served(folder, name, *how)
        cameras = [camera.name for camera in served.embodiment.cameras]
        config = ServerConfig(
            host=options.host,
            port=options.port,
            token=token,
            tls=tls,
            max_message=round(options.max_message_mb * 1e6),
            max_batch=options.max_batch,
            wait_s=options.batch_ms / 1000,
            threads=options.threads,
            keys=parse_key_map(options.map, cameras),
        )
        server = PolicyServer(served, config)
    halves = "plans" if options.interpreter_only else "plans and chunks"
    about = f"policy {name} for {served.embodiment.name}: {halves}, on {device}"
    output.text.print(about, markup=False)
    if token and tls is None and not is_loopback(options.host):
        output.text.print("warning: without --cert and --key the token and the pictures are not encrypted")
    by_signal = asyncio.run(_serve(server, output))
    return exits.interrupted() if by_signal == signal.SIGINT else 0


async def _serve(server: PolicyServer, output: Output) -> int:
    """Until a signal, which it returns."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(number: int) -> None:
        if not stopped.done():
            stopped.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    async with server.running() as port:
        scheme = "ws" if server.config.tls is None else "wss"
        host = server.config.host
        address = f"[{host}]" if ":" in host else host
        output.text.print(f"listening on {scheme}://{address}:{port}", markup=False)
        return await stopped


def _usual_device(exported: bool) -> str:
    if exported:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _check(options: ServeOptions) -> None:
    if options.device and options.device.partition(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"device: got {options.device!r}, expected cpu or cuda")
    for name, value, least, most in (
        ("port", options.port, 0, 65535),
        ("max-batch", options.max_batch, 1, 1024),
        ("batch-ms", options.batch_ms, 0, 1000),
        ("max-message-mb", options.max_message_mb, 0.1, 1024),
        ("threads", options.threads, 1, 1024),
    ):
        if not least <= value <= most:
            raise UserError(f"{name}: got {value:g}, expected {least:g} to {most:g}")
