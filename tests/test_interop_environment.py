"""What `make` does where lerobot cannot be installed: it says so, and stops only if that was the point."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "interop" / "environment.py"


@pytest.mark.parametrize(
    ("options", "code"), [(["--optional"], 0), ([], 1)], ids=["make test", "make interop"]
)
def test_what_cannot_be_installed_in_time_is_said(tmp_path, options, code):
    folder = tmp_path / "environment"
    command = [sys.executable, str(SCRIPT), str(folder), "--seconds", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stderr == "No environment with lerobot: not installed within 0 s\n"
    assert (folder / "why_not.txt").read_text() == "not installed within 0 s\n"  # which test_interop.py shows
    assert not (folder / ".ready").exists()
