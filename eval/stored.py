"""Results of an evaluation as they lie on the disk: whole, or with episodes missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.eval.suites import EpisodeSpec, spec_of

RESULTS_FILE = "results.json"
ROWS_FILE = "episodes.jsonl"  # a line of what all have in common, then one for each finished episode
LIST_FILE = "suite.json"  # the list of episodes, written before the first of them runs
KEYS = ("task", "seed", "phrasing", "success")  # of an episode, that nothing can be said without


def load_results(path: Path, name: str) -> dict[str, Any]:
    """An `eval` JSON object, from a file or from the folder of an evaluation.

    Args:
        path: results.json, or the folder that it is in.
        name: what errors call it.

    Raises:
        UserError: there is none, it is something else, or episodes of its list are missing.
    """
    file = path / RESULTS_FILE if path.is_dir() else path
    results = _read(file, name) if file.exists() else None
    if path.is_dir() and (results is None or "stopping" not in results):
        lacking, planned = missing(path)
        if lacking:
            raise UserError(
                f"{name}: {lacking} of the {planned} episodes in {str(path)!r} are missing, expected a "
                "finished evaluation; `ideomotor eval --resume` continues it"
            )
    if results is None:
        raise UserError(f"{name}: no file {str(file)!r}, expected the JSON or the folder of an evaluation")
    return results


def missing(folder: Path) -> tuple[int, int]:
    """(episodes of the list that have no result yet, episodes of the list); (0, 0) without a list."""
    if not (folder / LIST_FILE).exists():
        return 0, 0
    planned = [spec_of(fields) for fields in json.loads((folder / LIST_FILE).read_text())]
    finished: set[EpisodeSpec] = set()
    for line in (folder / ROWS_FILE).read_text().splitlines()[1:]:
        try:
            finished.add(spec_of(json.loads(line)))
        except ValueError:
            continue  # the line being written when the run died
    return sum(spec not in finished for spec in planned), len(planned)


def _read(file: Path, name: str) -> dict[str, Any]:
    expected = "expected the JSON of `ideomotor eval` of a policy on a suite"
    try:
        results = json.loads(file.read_text())
        lacking = [key for key in ("suite", "policy", "episodes") if key not in results]
        lacking += [key for episode in results["episodes"] for key in KEYS if key not in episode]
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{name}: {str(file)!r} is something else, {expected}") from None
    if lacking:
        raise UserError(f"{name}: {str(file)!r} lacks {lacking[0]!r}, {expected}")
    return results
