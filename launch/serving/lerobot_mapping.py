"""What a robot's cameras and joints are to a policy of LeRobot's, and when the policy is asked.

Names are mapped as a dataset's are (datasets/mapping/mapping.py). Chunks are executed for as long as the
checkpoint says, less what they need to last while the next one is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import MAX_PREFIX_S, Timing, usual_timing
from ideomotor.launch.serving.lerobot_config import LeRobotConfig
from ideomotor.launch.serving.lerobot_options import LeRobotOptions

if TYPE_CHECKING:
    from ideomotor.datasets.lerobot.views import Vector

ASPECT = 0.02  # that a picture's shape may differ by, as a share
POSTPROCESSOR = "policy_postprocessor*.safetensors"


@dataclass(frozen=True)
class LeRobotMapping:
    """A checkpoint on a robot."""

    config: LeRobotConfig
    embodiment: Embodiment
    hz: float  # of its commands
    steps: int  # executed of each chunk
    cameras: dict[str, str]  # {its feature: our camera}
    state: Vector  # ours from its components
    action: Vector

    @property
    def frame_ticks(self) -> int:
        """Our ticks to one of its frames, a multiple of a camera frame's."""
        own = self.embodiment.frame_ticks
        return max(1, round(self.embodiment.control_hz / self.hz / own)) * own

    @property
    def timing(self) -> Timing:
        """When it is asked. Its plans, which say nothing, are as frequent as its chunks."""
        usual, own = usual_timing(self.embodiment), self.embodiment.frame_ticks
        ticks = self.steps * self.embodiment.control_hz / self.hz
        every = max(1, math.floor(ticks / own + 1e-6)) * own
        return Timing(
            control_hz=self.embodiment.control_hz,
            plan_every_ticks=every,
            act_every_ticks=every,
            max_prefix_ticks=usual.max_prefix_ticks,
            past_command_ticks=usual.past_command_ticks,
            max_plan_age_s=usual.max_plan_age_s,
        )


def lerobot_mapping(config: LeRobotConfig, embodiment: Embodiment, options: LeRobotOptions) -> LeRobotMapping:
    """How a checkpoint drives a robot.

    Raises:
        UserError: a camera or joint without a counterpart, pictures of another shape, commands in other
            units, or a rate that nobody knows.
    """
    hz = _rate(options.hz, config, embodiment)
    cameras, state, action = _mapped(config, embodiment, options.map)
    for feature, (height, width) in config.cameras.items():
        camera = embodiment.camera(cameras[feature])
        if abs(math.log(camera.width / camera.height / (width / height))) > ASPECT:
            raise UserError(
                f"policy: {feature} is {width} x {height} pixels, but {embodiment.name}'s {camera.name} "
                f"gives {camera.width} x {camera.height}: another shape"
            )
    _check_units(config, embodiment, action)
    return LeRobotMapping(config, embodiment, hz, _steps(options.steps, config, hz), cameras, state, action)


def _rate(given: float | None, config: LeRobotConfig, embodiment: Embodiment) -> float:
    rates = {camera.hz for camera in embodiment.cameras}
    only = embodiment.control_hz if embodiment.environment and rates == {embodiment.control_hz} else None
    hz = given or config.hz or only
    if hz is None:
        raise UserError(
            f"lerobot.hz: missing, and {config.folder} does not say how many commands a second it was "
            "trained on (the fps of its data)"
        )
    if not 1 <= hz <= embodiment.control_hz:
        raise UserError(f"lerobot.hz: got {hz:g}, expected 1 to {embodiment.name}'s {embodiment.control_hz}")
    return float(hz)


def _steps(given: int | None, config: LeRobotConfig, hz: float) -> int:
    if given is None:
        return min(config.executed, config.chunk - min(math.ceil(MAX_PREFIX_S * hz), config.chunk // 2))
    if not 1 <= given <= config.chunk:
        raise UserError(f"lerobot.steps: got {given}, expected 1 to the {config.chunk} that a chunk has")
    return given


def _mapped(
    config: LeRobotConfig, embodiment: Embodiment, pairs: tuple[str, ...]
) -> tuple[dict[str, str], Vector, Vector]:
    """({its camera feature: ours}, our state and action from its components); UserError for what lacks."""
    import pyarrow as pa

    from ideomotor.datasets.lerobot import layout
    from ideomotor.datasets.lerobot.metadata import Metadata
    from ideomotor.datasets.mapping.mapping import mapped
    from ideomotor.datasets.mapping.sources import parse_pair

    widths = {layout.STATE: config.state, layout.ACTION: config.action}
    ours = {layout.STATE: embodiment.state_names, layout.ACTION: embodiment.joint_names}
    features: dict[str, Any] = {
        name: layout.video_feature(height, width, 30.0) for name, (height, width) in config.cameras.items()
    }
    parsed, implied = [parse_pair(text) for text in pairs], []
    targeted = {pair.target for pair in parsed}
    by_component = any(
        name.removeprefix("action.") in (*ours[layout.STATE], *ours[layout.ACTION]) for name in targeted
    )
    for name, width in widths.items():
        if width is None:  # it does not look at the state: any will do
            features[name] = layout.vector_feature(list(ours[name]))
            continue
        labels = config.names.get(name) or [str(i) for i in range(width)]
        features[name] = layout.vector_feature(labels)
        if not (name in config.names or name in targeted or by_component) and width == len(ours[name]):
            implied.append(parse_pair(f"{name}={name}"))  # in order, since nothing names them
    # Cameras of ours that it does not look through need no counterpart.
    ours_by_feature = {f"{layout.IMAGE_PREFIX}{camera.name}": camera for camera in embodiment.cameras}
    targets = {pair.target.removeprefix(layout.IMAGE_PREFIX) for pair in parsed}
    shown = dict(features)
    for name, camera in ours_by_feature.items():
        if name not in features and camera.name not in targets:
            shown[name] = layout.video_feature(camera.height, camera.width, 30.0)
    info = {"features": shown, "fps": 30.0, "codebase_version": "v3.0"}
    meta = Metadata(config.folder, info, None, [], pa.table({}))
    view = mapped(meta, embodiment, [*parsed, *implied]).view
    back = {view.cameras.get(name, name): camera.name for name, camera in ours_by_feature.items()}
    if missing := [name for name in config.cameras if name not in back]:
        free = [
            camera.name
            for camera in embodiment.cameras
            if f"{layout.IMAGE_PREFIX}{camera.name}" not in features
        ]
        raise UserError(
            f"policy: it looks through {missing[0]}, which {embodiment.name} lacks; e.g. --lerobot.map "
            f"{missing[0]}={(free or [embodiment.cameras[0].name])[0]}"
        )
    return (
        {name: back[name] for name in config.cameras},
        view.vectors[layout.STATE],
        view.vectors[layout.ACTION],
    )


def _check_units(config: LeRobotConfig, embodiment: Embodiment, action: Vector) -> None:
    """UserError when the commands it learned from are far outside of the joints' ranges: degrees, say."""
    from safetensors.numpy import load_file

    for path in sorted(config.folder.glob(POSTPROCESSOR)):
        stats = load_file(path)
        if not {"action.min", "action.max"} <= set(stats):
            continue
        low, high = stats["action.min"].ravel(), stats["action.max"].ravel()
        for joint, item in zip(embodiment.joints, action, strict=True):
            ends = np.sort([low[item.index] * item.scale, high[item.index] * item.scale]) + item.offset
            travel = joint.upper - joint.lower
            if ends[0] < joint.lower - travel or ends[1] > joint.upper + travel:
                raise UserError(
                    f"policy: its commands of {joint.name} go from {ends[0]:.4g} to {ends[1]:.4g}, limits "
                    f"{joint.lower:.4g} to {joint.upper:.4g} {joint.unit}; if it is in degrees or in "
                    "percent of its travel, say so: --lerobot.map action=action:deg (or :percent), and of "
                    "observation.state"
                )
