"""Checkpoints on the Hugging Face Hub: `ORG/NAME` stands for a folder wherever a policy is asked for.

What is fetched is weights and JSON, never code: whoever wrote a checkpoint cannot make us run anything.
"""

from __future__ import annotations

import re
from pathlib import Path

from ideomotor.control.errors import UserError

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def checkpoint_folder(source: Path | str, revision: str | None = None) -> Path:
    """A folder that is there, or else ORG/NAME on the Hub (newest, or that revision), in its cache.

    Raises:
        UserError: neither of both.
    """
    name = str(source)
    if Path(source).is_dir():
        return Path(source)
    missing = f"policy: no folder {name!r}, expected one written by `ideomotor train`"
    if not REPOSITORY.fullmatch(name):
        raise UserError(missing)

    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision))
    except Exception as error:  # among them whatever its HTTP library raises
        raise UserError(f"{missing}, or a repository of the Hugging Face Hub: {_brief(error)}") from None


def push_folder(folder: Path, repository: str, private: bool | None = None) -> str:
    """Uploads a checkpoint folder as the newest revision of ORG/NAME and returns its address.

    Args:
        private: whether the repository is, if it is a new one; None as the account has it.

    Raises:
        UserError: nobody is logged in (`hf auth login`), it is not theirs, or the Hub cannot be reached.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().create_repo(repository, private=private, exist_ok=True)
        return str(HfApi().upload_folder(repo_id=repository, folder_path=folder).commit_url)
    except Exception as error:  # among them whatever its HTTP library raises
        raise UserError(f"push_to_hub: {repository!r}: {_brief(error)}") from None


def _brief(error: Exception) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), repr(error))
