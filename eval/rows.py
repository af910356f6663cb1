"""The rows of an evaluation: one finished episode each, kept line by line in a file while the run goes on.

And the results as they lie on the disk afterwards: whole, or with episodes missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ideomotor.control.errors import UserError
from ideomotor.datasets.files import lock_folder, replace_files
from ideomotor.eval.episode_spec import EpisodeSpec, spec_of
from ideomotor.eval.stats.measures import Smoothness, smoothness

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.eval.rollout import EpisodeResult

_KEYS = {"policy_instruction": "told"}  # fields whose name in files is another
RESULTS_FILE = "results.json"
ROWS_FILE = "episodes.jsonl"  # a line of what all have in common, then one for each finished episode
LIST_FILE = "suite.json"  # the list of episodes, written before the first of them runs
KEYS = ("task", "seed", "phrasing", "success")  # of an episode, that nothing can be said without
UNKNOWN = Smoothness(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class EpisodeRow:
    """One finished episode of a suite."""

    spec: EpisodeSpec
    instruction: str  # what success was judged by
    policy_instruction: str  # what the policy was given; differs from `instruction` in a swapped episode
    success: bool
    seconds: float
    progress: float
    failed_at: str  # subtask in which time ran out, empty after a success
    interventions: int  # ticks with a command changed by the safety filter, for each of its reasons
    holds: int  # how many times chunks ran out
    jerk_ratio: float | None  # this and the next three: see `measures.Smoothness`
    boundary_jerk: float | None
    interior_jerk: float | None
    largest_step: float | None
    plan: dict[str, int] = field(default_factory=dict)  # of a `PlanScore`; empty if given something else
    confidences: list[tuple[float, float]] = field(default_factory=list)  # (time [s], confidence) of chunks
    seen: dict[str, Any] = field(default_factory=dict)  # `seen_range.Watch.to_json`, where that was asked for
    film: bytes = field(default=b"", repr=False, compare=False)  # JPEG of a failure, see `film.Filmed`

    def to_json(self) -> dict[str, Any]:
        """The row as DESIGN's `eval` JSON has it: the spec's fields beside the result's."""
        fields = {_KEYS.get(name, name): value for name, value in dataclasses.asdict(self).items()}
        del fields["film"]
        for name in ("confidences", "seen"):
            if not fields[name]:
                del fields[name]
        spec = fields.pop("spec")
        if not spec["axis"]:
            del spec["axis"], spec["strength"]
        return {**spec, **fields}


def row_of(
    spec: EpisodeSpec,
    result: EpisodeResult,
    embodiment: Embodiment,
    instruction: str,
    policy_instruction: str,
    subtask: str,
) -> EpisodeRow:
    """The row of an episode.

    Args:
        instruction: what success was judged by.
        policy_instruction: what the policy was given.
        subtask: the one under way at the end.
    """
    smooth = smoothness(result.commands, result.boundaries, embodiment.control_hz)
    if not embodiment.targets:
        smooth = UNKNOWN  # differences of deltas are not a motion
    return EpisodeRow(
        spec=spec,
        instruction=instruction,
        policy_instruction=policy_instruction,
        success=bool(result.success),
        seconds=result.seconds,
        progress=result.progress,
        failed_at="" if result.success else subtask,
        interventions=sum(result.interventions.values()),
        holds=result.holds,
        jerk_ratio=_finite(smooth.jerk_ratio),
        boundary_jerk=_finite(smooth.boundary_jerk),
        interior_jerk=_finite(smooth.interior_jerk),
        largest_step=_finite(smooth.largest_step),
        confidences=result.confidences,
    )


class Row(Protocol):
    """What was measured in one episode of a list."""

    @property
    def spec(self) -> EpisodeSpec: ...
    def to_json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=Row)


def kept_rows(
    out: Path,
    specs: Sequence[EpisodeSpec],
    fingerprint: str,
    resume: bool,
    cleanup: contextlib.ExitStack,
    read: Callable[[dict[str, Any]], R],
    of: str,
) -> dict[EpisodeSpec, R]:
    """Makes a folder ready for the rows of an evaluation, which is its own until `cleanup`; those it has.

    Args:
        out: made if missing.
        specs: the list of episodes, which is written there.
        fingerprint, resume, read, of: as in `open_rows`.

    Raises:
        UserError: as `open_rows`, or another process is writing there.
    """
    out.mkdir(parents=True, exist_ok=True)
    cleanup.callback(os.close, lock_folder(out))
    done = open_rows(out / ROWS_FILE, fingerprint, resume, read, of)
    listed = json.dumps([dataclasses.asdict(spec) for spec in specs])
    replace_files({out / LIST_FILE: f"{listed}\n".encode()})
    return done


def open_rows(
    path: Path, fingerprint: str, resume: bool, read: Callable[[dict[str, Any]], R], of: str
) -> dict[EpisodeSpec, R]:
    """Rows already in the file, which afterwards ends in a whole line, ready to be appended to.

    Args:
        path: of the file; there need be none.
        fingerprint: of what the rows have in common.
        resume: that there are some is meant.
        read: makes a row of what its `to_json` wrote; KeyError, TypeError or ValueError where it is none.
        of: what else they may be of, for people: "policy or robot".

    Raises:
        UserError: there are some and `resume` is not set, or they are of something else, or are none.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    if lines and not resume:
        raise UserError(f"out: {path} holds the results of an earlier run; --resume continues it")
    if lines and json.loads(lines[0]).get("fingerprint") != fingerprint:
        raise UserError(f"out: {path} holds the results of another {of}; choose another folder")
    rows: dict[EpisodeSpec, R] = {}
    for number, line in enumerate(lines[1:], start=2):
        try:
            row = read(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break  # the line being written when the earlier run died
            raise UserError(f"out: {path}, line {number} is not a result: {error}") from error
        rows[row.spec] = row
    kept = [json.dumps({"fingerprint": fingerprint}), *(json.dumps(row.to_json()) for row in rows.values())]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(line + "\n" for line in kept))
    os.replace(temporary, path)
    return rows


def append_row(path: Path, row: Row) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row.to_json()) + "\n")


def load_results(path: Path, name: str) -> dict[str, Any]:
    """An `eval` JSON object, from a file or from the folder of an evaluation.

    Args:
        path: results.json, or the folder that it is in.
        name: what errors call it.

    Raises:
        UserError: there is none, it is something else, or episodes of its list are missing.
    """
    file = path / RESULTS_FILE if path.is_dir() else path
    results = _read_results(file, name) if file.exists() else None
    if path.is_dir() and (results is None or "stopping" not in results):
        lacking, planned = missing_episodes(path)
        if lacking:
            raise UserError(
                f"{name}: {lacking} of the {planned} episodes in {str(path)!r} are missing, expected a "
                "finished evaluation; `ideomotor eval --resume` continues it"
            )
    if results is None:
        raise UserError(f"{name}: no file {str(file)!r}, expected the JSON or the folder of an evaluation")
    return results


def row_from_json(fields: dict[str, Any]) -> EpisodeRow:
    names = [field.name for field in dataclasses.fields(EpisodeSpec) if field.name in fields]
    spec = EpisodeSpec(**{name: fields.pop(name) for name in names})
    return EpisodeRow(spec=spec, **{name: fields.pop(key) for name, key in _KEYS.items()}, **fields)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def missing_episodes(folder: Path) -> tuple[int, int]:
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


def _read_results(file: Path, name: str) -> dict[str, Any]:
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
