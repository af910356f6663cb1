"""A policy behind a server of openpi's: asked for chunks of joint targets, which are executed at our rate.

It knows nothing of committed commands, nor of plans, and its protocol has neither request numbers nor a
reset. A chunk that comes late is entered in its middle, as `naive` in control/chunk_handover.py, through the
same hand-over, safety filter and log as one of ours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ideomotor.control.answer_time import AnswerTime
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.control.timing import Timing, usual_timing
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.launch.serving.access import read_token
from ideomotor.launch.serving.commands_at_ticks import at_ticks
from ideomotor.launch.serving.kept_socket import KeptSocket, Place, open_socket, socket_errors
from ideomotor.launch.serving.openpi_mapping import ACTIONS, OpenpiMapping, openpi_mapping
from ideomotor.launch.serving.packing import pack, unpack
from ideomotor.launch.serving.remote_options import RemoteOptions

ALWAYS_S = 120.0  # for an answer in an evaluation
LEAST_S, LONGEST_S = 0.1, 0.6  # for an answer while an arm is driven
LEAST_HZ, MOST_HZ = 1.0, 1000.0


class OpenpiLink(KeptSocket):
    """One connection to a server of openpi's, whose answers come in the order of the questions."""

    def __init__(self, place: Place, keeps: bool) -> None:
        super().__init__(place, keeps)
        self._owed, self._owed_by = 0, None  # answers to requests that were given up; by which websocket

    def ask(self, observation: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to an observation.

        Raises:
            NoAnswer: none came in time, or there is no connection.
            UserError: the server could not answer, and says why; or the answer is no map.
        """
        socket, until = self.present(), time.monotonic() + seconds
        if self._owed_by is not socket:
            self._owed, self._owed_by = 0, socket
        try:
            socket.send(pack(observation))
            self._owed += 1
            while True:
                data = socket.recv(timeout=max(until - time.monotonic(), 0.0))
                self._owed -= 1
                if self._owed == 0:
                    return self._read(data)
        except TimeoutError:
            raise NoAnswer(f"policy: {self.place.url}: no answer within {seconds:.2f} s") from None
        except socket_errors() as error:
            raise self.lose(socket, error) from None

    def _read(self, data: bytes | str) -> dict[str, Any]:
        if isinstance(data, str):
            lines = [line.strip() for line in data.splitlines() if line.strip()]
            raise UserError(f"policy: {self.place.url}: {lines[-1][:300] if lines else 'an error'}")
        try:
            answer = unpack(data)
        except UserError as error:
            raise NoAnswer(f"policy: {self.place.url}: {error}") from None
        if not isinstance(answer, dict) or not isinstance(answer.get(ACTIONS), np.ndarray):
            raise UserError(f"policy: {self.place.url}: the answer has no array {ACTIONS!r}")
        return answer


class OpenpiPolicy:
    """Implements `control.types.Policy`.

    Args:
        link: to the server; None where only plans are asked for, which say nothing.
        mapping: what the robot's things are to it.
        hz: of its actions.
        embodiment: the robot.
        live: an arm is driven.
    """

    def __init__(
        self, link: OpenpiLink | None, mapping: OpenpiMapping, hz: float, embodiment: Embodiment, live: bool
    ) -> None:
        self._link, self._mapping, self._hz = link, mapping, hz
        self._embodiment, self._live = embodiment, live
        self._time = AnswerTime(LEAST_S, LONGEST_S)

    @property
    def timing(self) -> Timing:
        return usual_timing(self._embodiment)

    def run_without(self, senses: Iterable[str]) -> None:
        if senses := list(senses):
            raise UserError(f"without: {', '.join(senses)}: policies of openpi's have no missing senses")

    def reset(self, seed: int) -> None:
        """The protocol has none."""

    def plan(self, observation: Observation) -> LatentPlan:
        """Nothing: it has no plan that could be read."""
        return LatentPlan(np.zeros((1, 1), np.float32), observation.time)

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        """NoAnswer if none came in time; UserError for actions that are not as mapped."""
        assert self._link is not None  # the interpreter's process only plans
        seconds, began = self._time.seconds() if self._live else ALWAYS_S, time.monotonic()
        try:
            answer = self._link.ask(self._mapping.sent(observation), seconds)
        except NoAnswer:
            if time.monotonic() - began >= seconds:
                self._time.missed()
            raise
        self._time.add(time.monotonic() - began)
        targets = self._mapping.targets(answer[ACTIONS], observation.state)
        actions = at_ticks(targets, self._hz, self._embodiment)
        if len(actions) <= len(committed_prefix):
            raise UserError(
                f"policy: a chunk of {len(targets)} actions at {self._hz:g} Hz lasts {len(actions)} ticks, "
                f"expected more than the {len(committed_prefix)} that its answer takes"
            )
        actions[: len(committed_prefix)] = committed_prefix
        hz = float(self._embodiment.control_hz)
        return ActionChunk(actions, hz, observation.tick, observation.time, plan.observed_at)


@dataclass(frozen=True)
class OpenpiSource:
    """Implements `eval.policy_spec.PolicySource`."""

    place: Place
    mapping: OpenpiMapping
    hz: float
    robot: str  # its fingerprint
    timing: Timing
    trained_on: str
    about: str  # the server's metadata
    embodiment: Embodiment = field(repr=False, compare=False)

    def fingerprint(self) -> bytes:
        return repr((self.robot, self.mapping, self.hz, self.about)).encode()

    def load(self, parts: tuple[str, ...] = ("interpreter", "decoder")) -> OpenpiPolicy:
        """The policy; one half alone is a launch's. UserError if there is no connection."""
        live = len(parts) == 1
        link = None if parts == ("interpreter",) else OpenpiLink(self.place, keeps=live)
        return OpenpiPolicy(link, self.mapping, self.hz, self.embodiment, live)


def openpi_source(url: str, embodiment: Embodiment, options: RemoteOptions) -> OpenpiSource:
    """The policy of a server of openpi's, for a robot.

    Args:
        url: openpi://HOST:PORT, or openpis://HOST:PORT with TLS.

    Raises:
        UserError: a mapping that does not fit the robot, no rate, or no server there.
    """
    if options.decoder is not None or options.jpeg is not None:
        raise UserError("decoder: --decoder and --jpeg belong to --policy ws://HOST:PORT")
    if not embodiment.targets:
        raise UserError(f"policy: {url}: makes joint targets, which {embodiment.name} is not driven by")
    mapping = openpi_mapping(options.map, embodiment)
    scheme, _, rest = url.partition("://")
    websocket = f"{'wss' if scheme == 'openpis' else 'ws'}://{rest}"
    place = Place(websocket, read_token(options.token_file), options.ca)
    socket, metadata = open_socket(place)
    socket.close()
    hz = options.action_hz or metadata.get("action_hz")
    if isinstance(hz, bool) or not isinstance(hz, int | float) or not LEAST_HZ <= hz <= MOST_HZ:
        raise UserError(
            f"action-hz: got {hz}, expected {LEAST_HZ:g} to {MOST_HZ:g}, the actions a second of {url}"
        )
    about = json.dumps(metadata, sort_keys=True, default=str)
    trained_on = f"unknown; its server says {about[:200]}"
    return OpenpiSource(
        place,
        mapping,
        float(hz),
        embodiment.fingerprint,
        usual_timing(embodiment),
        trained_on,
        about,
        embodiment,
    )
