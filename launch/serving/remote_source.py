"""`--policy ws://host:port`: a checkpoint that a server of ours has, as something that a process can be sent.

The server is met once before anything moves: it says which policy it has, which is checked for the robot.
Each process then has a connection of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime.safe_stop import StopConfig
from ideomotor.control.timing import Timing
from ideomotor.launch.serving.access import read_token
from ideomotor.launch.serving.fields import Fields
from ideomotor.launch.serving.kept_socket import Place, open_socket
from ideomotor.launch.serving.link import Link
from ideomotor.launch.serving.messages import VERSION
from ideomotor.launch.serving.openpi_policy import OpenpiSource
from ideomotor.launch.serving.remote_options import RemoteOptions

if TYPE_CHECKING:
    from ideomotor.eval.policy_spec import DrivingPolicy
    from ideomotor.vla.policy import EpisodePolicy

BOTH = ("interpreter", "decoder")
HOLD_S = (
    60.0  # an arm holds its pose while the connection is lost, before it goes home and waits for a person
)


@dataclass(frozen=True)
class RemoteSource:
    """Implements `eval.policy_spec.RemoteCheckpoint`."""

    place: Place
    timing: Timing
    trained_on: str
    checkpoint_fingerprint: str  # of the server's checkpoint and robot
    horizon: int  # of chunks [ticks]
    calibrated: bool  # whether its confidence is a chance of success
    decoder: Path | None  # checkpoint whose decoder runs here
    jpeg: int | None
    sampling: tuple[tuple[str, Any], ...] = ()  # fields of a `reset`

    def sampled(self, steps: int, sampler: str, noise: float | None, confidence: str) -> RemoteSource:
        """The same policy, sampled otherwise."""
        how: dict[str, Any] = {"steps": steps, "sampler": sampler, "confidence": confidence}
        wanted = [(name, value) for name, value in how.items() if value]
        return replace(self, sampling=(*wanted, *([] if noise is None else [("noise", noise)])))

    def fingerprint(self) -> bytes:
        return self.checkpoint_fingerprint.encode()

    def load(self, parts: tuple[str, ...] = BOTH) -> DrivingPolicy:
        """The policy: one half alone is a launch's, which drives an arm and must never wait.

        Raises:
            UserError: no connection.
        """
        from ideomotor.launch.serving.remote_policy import RemotePolicy, SplitPolicy

        live = len(parts) == 1
        if self.decoder is not None and parts == ("decoder",):
            return self._local(self.decoder)
        link = Link(self.place, keeps=live)
        how = dict(self.sampling)
        remote = RemotePolicy(link, self.timing, self.horizon, how, self.jpeg, live, self.calibrated)
        if self.decoder is None or parts == ("interpreter",):
            return remote
        return SplitPolicy(remote, self._local(self.decoder))

    def _local(self, folder: Path) -> EpisodePolicy:
        from ideomotor.eval.policy_spec import load_networks, sampled_so
        from ideomotor.vla.policy import EpisodePolicy

        networks = load_networks(folder, ("decoder",))
        return EpisodePolicy(sampled_so(networks, **dict(self.sampling)))


def remote_source(url: str, embodiment: Embodiment, options: RemoteOptions) -> RemoteSource:
    """The policy of a server, for a robot.

    Raises:
        UserError: no server there, no right to enter, a policy of another robot, or a decoder of another
            checkpoint.
    """
    if options.jpeg is not None and not 1 <= options.jpeg <= 100:
        raise UserError(f"jpeg: got {options.jpeg}, expected 1 to 100")
    if options.map or options.action_hz is not None:
        raise UserError("map: --map and --action-hz belong to --policy openpi://HOST:PORT")
    place = Place(url, read_token(options.token_file), options.ca)
    socket, metadata = open_socket(place)
    socket.close()
    if "ideomotor" not in metadata:
        raise UserError(f"policy: {url}: a server of openpi's; expected --policy openpi://… with --map")
    about = Fields(metadata["ideomotor"], "ideomotor")
    if (version := about.whole("version")) != VERSION:
        raise UserError(f"policy: {url}: speaks version {version}, expected {VERSION}")
    _check_robot(url, about, embodiment)
    timing = timing_of(about.fields("timing"))
    timing.check(embodiment)
    source = RemoteSource(
        place=place,
        timing=timing,
        trained_on=about.text("dataset"),
        checkpoint_fingerprint=about.text("fingerprint"),
        horizon=about.whole("horizon", least=1),
        calibrated=about.flag("calibrated"),
        decoder=options.decoder,
        jpeg=options.jpeg,
    )
    if options.decoder is None and not about.flag("has_decoder"):
        raise UserError(
            f"policy: {url}: has the interpreter alone; expected --decoder DIR, the same checkpoint"
        )
    if options.decoder is not None:
        return replace(source, decoder=_same_checkpoint(options.decoder, source, embodiment))
    return source


def stop_config(policy: object, *specialists: object) -> StopConfig:
    """How an arm is brought to rest: one whose policy is elsewhere waits longer for it to be back.

    So does one whose skills have policies of their own: the next one may have to be loaded first.
    """
    elsewhere = isinstance(policy, RemoteSource | OpenpiSource)
    return StopConfig(stale_after_s=HOLD_S) if elsewhere or specialists else StopConfig()


def timing_of(fields: Fields) -> Timing:
    """The timing that a server tells."""
    names = ("control_hz", "plan_every_ticks", "act_every_ticks", "max_prefix_ticks", "past_command_ticks")
    return Timing(
        **{name: fields.whole(name) for name in names}, max_plan_age_s=fields.number("max_plan_age_s")
    )


def _check_robot(url: str, about: Fields, embodiment: Embodiment) -> None:
    robot, fingerprint = about.text("robot"), about.text("robot_fingerprint")
    if fingerprint != embodiment.fingerprint:
        raise UserError(
            f"policy: {url}: trained for robot {robot!r} ({fingerprint}), cannot drive "
            f"{embodiment.name!r} ({embodiment.fingerprint})"
        )
    has = [camera.name for camera in embodiment.cameras]
    if missing := [name for name in about.texts("cameras") if name not in has]:
        raise UserError(f"policy: {url}: looks through camera {missing[0]}, which {embodiment.name} lacks")


def _same_checkpoint(folder: Path, source: RemoteSource, embodiment: Embodiment) -> Path:
    from ideomotor.eval.policy_spec import checkpoint_fingerprint
    from ideomotor.vla.hub import checkpoint_folder

    here = checkpoint_folder(folder)
    if checkpoint_fingerprint(here, embodiment) != source.checkpoint_fingerprint:
        raise UserError(
            f"decoder: {folder} is another checkpoint than the server's, whose plans mean nothing to it"
        )
    return here
