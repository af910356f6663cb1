"""Makes the environment with the real lerobot, openpi's client or transformers' server, for tests with them.

    python environment.py FOLDER [--peer lerobot|openpi|server] [--seconds N] [--optional]

Nothing is done where FOLDER holds what the peer's requirements say now. With --optional, not getting it (no
network, not in time) is said in one line and in FOLDER/why_not.txt, and is not a failure: the tests that
need it then skip themselves with that reason.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).parent
SHIM = HERE / "torchvision_beside_any_torch.py"
PEERS = {  # name: its requirements, and what is imported once
    "lerobot": (HERE / "requirements.txt", "lerobot.datasets.lerobot_dataset"),
    "openpi": (HERE / "openpi_requirements.txt", "openpi_client.websocket_client_policy"),
    "server": (HERE / "server_requirements.txt", "transformers.cli.serving.server"),
}
BESIDE_OURS = ("server",)  # those that see what the environment has that runs this


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", choices=PEERS, default="lerobot")
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--optional", action="store_true")
    options = parser.parse_args()
    folder = options.folder.absolute()
    sources = (PEERS[options.peer][0], SHIM, Path(__file__))
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    stamp, why_not = folder / ".ready", folder / "why_not.txt"
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return 0
    print(f"Installing {options.peer} into {options.folder} for the interop tests", flush=True)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        why_not.write_text("its installation was interrupted\n")
        install(options.peer, folder, time.monotonic() + options.seconds)
    except subprocess.TimeoutExpired:
        reason = f"not installed within {options.seconds:.0f} s"
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").splitlines() or [f"{error.cmd[0]} failed with {error.returncode}"]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
    else:
        why_not.unlink()
        stamp.write_text(wanted.hexdigest())
        return 0
    why_not.write_text(reason + "\n")
    print(f"No environment with {options.peer}: {reason}", file=sys.stderr)
    return 0 if options.optional else 1


def install(peer: str, folder: Path, deadline: float) -> None:
    """Installs everything, and imports it once.

    Raises:
        subprocess.TimeoutExpired, CalledProcessError: in the step that did not end well.
    """
    python, (listed, imported) = folder / "bin/python", PEERS[peer]

    def run(*arguments: str) -> None:
        left = max(1.0, deadline - time.monotonic())
        subprocess.run([python, *arguments], check=True, capture_output=True, text=True, timeout=left)

    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
    requirements = str(listed)
    torch = [line for line in listed.read_text().splitlines() if line.startswith("torch==")]
    if torch:
        run(*pip, "--retries", "1", "--constraint", requirements, *torch)
    run(*pip, "--retries", "1", "--no-deps", "--requirement", requirements)
    if torch:
        packages = next(folder.glob("lib/python3*/site-packages"))
        shutil.copy(SHIM, packages)
        (packages / SHIM.with_suffix(".pth").name).write_text(f"import {SHIM.stem}\n")
    if peer in BESIDE_OURS:
        packages = next(folder.glob("lib/python3*/site-packages"))
        ours = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "beside_ours.pth").write_text("".join(f"{path}\n" for path in ours))
    run("-W", "ignore", "-c", f"import {imported}")


if __name__ == "__main__":
    sys.exit(main())
