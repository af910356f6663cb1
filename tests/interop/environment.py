"""Makes the environment with the real lerobot, for the tests that compare with it.

    python environment.py FOLDER [--seconds N] [--optional]

Nothing is done where FOLDER holds what requirements.txt says now. With --optional, not getting it (no
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
REQUIREMENTS = HERE / "requirements.txt"
SHIM = HERE / "torchvision_beside_any_torch.py"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--optional", action="store_true")
    options = parser.parse_args()
    folder = options.folder.absolute()
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in (REQUIREMENTS, SHIM, Path(__file__))))
    stamp, why_not = folder / ".ready", folder / "why_not.txt"
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return 0
    print(f"Installing lerobot into {options.folder} for the interop tests", flush=True)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        why_not.write_text("its installation was interrupted\n")
        install(folder, time.monotonic() + options.seconds)
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
    print(f"No environment with lerobot: {reason}", file=sys.stderr)
    return 0 if options.optional else 1


def install(folder: Path, deadline: float) -> None:
    """Installs everything, and imports it once.

    Raises:
        subprocess.TimeoutExpired, CalledProcessError: in the step that did not end well.
    """
    python = folder / "bin/python"

    def run(*arguments: str) -> None:
        left = max(1.0, deadline - time.monotonic())
        subprocess.run([python, *arguments], check=True, capture_output=True, text=True, timeout=left)

    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
    requirements = str(REQUIREMENTS)
    torch = next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("torch=="))
    run(*pip, "--retries", "1", "--constraint", requirements, torch)
    run(*pip, "--retries", "1", "--no-deps", "--requirement", requirements)
    packages = next(folder.glob("lib/python3*/site-packages"))
    shutil.copy(SHIM, packages)
    (packages / SHIM.with_suffix(".pth").name).write_text(f"import {SHIM.stem}\n")
    run("-W", "ignore", "-c", "import lerobot.datasets.lerobot_dataset")


if __name__ == "__main__":
    sys.exit(main())
