"""`--policy lerobot:…`: a checkpoint of LeRobot's for a robot, as something that can be sent to a process."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.timing import Timing
from ideomotor.eval.policy_spec import BOTH, DrivingPolicy
from ideomotor.launch.serving.lerobot_config import read_lerobot_config
from ideomotor.launch.serving.lerobot_mapping import LeRobotMapping, lerobot_mapping
from ideomotor.launch.serving.lerobot_options import LeRobotOptions


@dataclass(frozen=True)
class LeRobotSource:
    """A `PolicySource`."""

    python: str  # of an environment that has lerobot
    folder: Path
    robot: str  # fingerprint
    options: LeRobotOptions
    mapping: LeRobotMapping = field(compare=False)

    @property
    def timing(self) -> Timing:
        return self.mapping.timing

    @property
    def trained_on(self) -> str:
        return self.mapping.config.trained_on

    def load(self, parts: tuple[str, ...] = BOTH) -> DrivingPolicy:
        """The policy; one that only plans needs no process, since its plans say nothing."""
        from ideomotor.launch.serving.lerobot_policy import LeRobotPolicy
        from ideomotor.launch.serving.lerobot_process import LeRobotProcess

        process = None if parts == ("interpreter",) else LeRobotProcess(self.python, self.folder)
        return LeRobotPolicy(self.mapping, process)

    def fingerprint(self) -> bytes:
        """Of the checkpoint's bytes, and of how it is mapped and timed."""
        asked = (self.mapping.hz, self.mapping.steps, self.options.map)
        digest = hashlib.sha256(repr(asked).encode())
        for path in sorted(self.folder.iterdir()):
            if path.suffix in (".json", ".safetensors"):
                digest.update(path.name.encode())
                with path.open("rb") as file:
                    for block in iter(functools.partial(file.read, 1 << 24), b""):
                        digest.update(block)
        return digest.digest()


def lerobot_source(chosen: str, embodiment: Embodiment, options: LeRobotOptions) -> LeRobotSource:
    """What `lerobot:CHOSEN` means for a robot; nothing is loaded yet.

    Args:
        chosen: DIR or ORG/NAME.

    Raises:
        UserError: no such checkpoint, no Python with lerobot, or one that does not fit the robot.
    """
    from ideomotor.launch.serving.lerobot_process import lerobot_python
    from ideomotor.vla.hub import checkpoint_folder

    config = read_lerobot_config(checkpoint_folder(chosen))
    mapping = lerobot_mapping(config, embodiment, options)
    python = lerobot_python(options.python)
    return LeRobotSource(python, config.folder, embodiment.fingerprint, options, mapping)
