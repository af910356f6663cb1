"""The scene detector: a small network that finds every thing in the front camera's picture, what it is, and
how it lies to the others.

One cell of a 24 x 24 grid answers for what has its centre there, separately for three groups, so that a thing
and the bowl it lies in can share a cell (CenterNet, arXiv 1904.07850, with attributes): things that can be
grasped (kind, colour, size, relation), containers (kind, colour) and fixtures (kind, colour, opening). Beside
the picture it is given where the fingertips are, from the joint positions. Trained by
`python -m ideomotor.train.scenes.detector` on scenes of `train/scenes/arranged.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.perception.camera import FrontCamera
from ideomotor.vla.planner.things import COLOURS

BUNDLED = Path(__file__).parent / "weights" / "so101"
SIDE, CELLS = 96, 24  # of the picture [pixels], of the grid
GROUPS: dict[str, tuple[str, ...]] = {
    "graspable": ("cube", "cylinder", "ball"),
    "container": ("bowl", "plate", "zone"),
    "fixture": ("button", "drawer"),
}
RELATIONS = ("free", "inside", "on_plate", "on_zone", "on_thing", "in_drawer", "held")
OPENING = 0.075  # of a drawer, where its output is 1 [m]
EXTRAS = (
    4  # planes beside the picture: fingertips, their height, the gripper's angle, as seen at the fingertips
)
# Outputs of a group: presence, offset (2), kinds, colours, then size and relation, or the opening.
HEADS = {"graspable": 3 + 3 + 6 + 1 + 7, "container": 3 + 3 + 6, "fixture": 3 + 2 + 6 + 1}


@dataclass(frozen=True)
class Detection:
    """One thing that was found."""

    kind: str
    colour: str
    size: str  # small or large; of what can be grasped
    pixel: tuple[float, float]  # u, v in [0, 1]
    presence: float  # in [0, 1]
    relations: tuple[float, ...]  # probability of each of RELATIONS; of what can be grasped
    opening: float  # of a drawer [m]
    certainty: float  # of kind, colour and size together, in [0, 1]
    kinds: Mapping[str, float] = field(default_factory=dict)  # probability of each kind that it may be


class DetectorNetwork(nn.Module):
    """(B, 3 + EXTRAS, 96, 96) -> {group: (B, HEADS[group], 24, 24)}."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.stem = nn.Sequential(_conv(3, width // 2, 5, 2), _conv(width // 2, width, 3, 2))
        self.extras = nn.Conv2d(EXTRAS, width, 1)
        self.fine = _Residual(width)
        self.down = _conv(width, 2 * width, 3, 2)
        self.coarse = nn.Sequential(*[_Residual(2 * width) for _ in range(2)])
        self.up = nn.Conv2d(2 * width, width, 1)
        self.last = _Residual(width)
        self.heads = nn.ModuleDict({name: nn.Conv2d(width, count, 1) for name, count in HEADS.items()})
        for head in self.heads.values():
            assert isinstance(head, nn.Conv2d) and head.bias is not None
            nn.init.constant_(head.bias[0], -4.0)

    def forward(self, pictures: torch.Tensor, extras: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pictures (B, 3, 96, 96) in [0, 1]; extras (B, EXTRAS, 24, 24)."""
        seen = self.stem(pictures - 0.5) + self.extras(extras)
        seen = self.fine(seen)
        wide = self.up(self.coarse(self.down(seen)))
        seen = self.last(seen + F.interpolate(wide, scale_factor=2.0, mode="nearest"))
        return {name: head(seen) for name, head in self.heads.items()}


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.one, self.two = _conv(width, width, 3, 1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return F.relu(seen + self.two(self.one(seen)))


def _conv(inputs: int, outputs: int, side: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False),
        nn.GroupNorm(8, outputs),
        nn.ReLU(inplace=True),
    )


class SceneDetector:
    """The network with the camera it was trained for.

    Args:
        network: trained.
        camera: of the same robot.
    """

    def __init__(self, network: DetectorNetwork, camera: FrontCamera):
        self.network = network.eval()
        self.camera = camera

    @classmethod
    def from_pretrained(cls, folder: Path, camera: FrontCamera) -> SceneDetector:
        """From a folder that `save` wrote.

        Raises:
            UserError: it holds no detector, or one of another form.
        """
        try:
            config = json.loads((folder / "config.json").read_text())
            network = DetectorNetwork(int(config["width"]))
            network.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:160]
            raise UserError(
                f"detector: {folder} holds no scene detector of this version ({reason})"
            ) from None
        return cls(network, camera)

    def save(self, folder: Path, figures: dict[str, float]) -> None:
        """Writes config.json and model.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        width = self.network.extras.out_channels
        weights = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        config = {"format": 1, "width": width, "figures": figures}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    @torch.inference_mode()
    def detect(self, image: np.ndarray, state: np.ndarray, least: float = 0.35) -> list[Detection]:
        """Everything that is found in a picture, the most certain first.

        Args:
            image: (96, 96, 3) uint8 RGB of the front camera.
            state: (A,) [rad].
            least: presence of what is returned.
        """
        pictures = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
        extras = torch.from_numpy(hand_planes(self.camera, state))[None]
        outputs = self.network(pictures, extras)
        found = [
            detection
            for name in GROUPS
            for detection in decoded(name, outputs[name][0].float().numpy(), least)
        ]
        return sorted(found, key=lambda one: -one.presence)


def hand_planes(camera: FrontCamera, state: np.ndarray) -> np.ndarray:
    """(EXTRAS, 24, 24) float32: a bump where the fingertips are seen; the same by their height and grip."""
    tip = camera.fingertips(state)
    u, v = camera.project(tip)
    cells = (np.arange(CELLS) + 0.5) / CELLS
    away = ((cells[None, :] - u) ** 2 + (cells[:, None] - v) ** 2) * CELLS**2
    bump, wide = np.exp(-away / 2), np.exp(-away / 18)
    grip = float(np.clip(state[-1], -0.2, 1.2))
    return np.stack([bump, bump * 10 * tip[2], bump * grip, wide * grip]).astype(np.float32)


def decoded(group: str, output: np.ndarray, least: float) -> list[Detection]:
    """The local maxima of a group's presence, output (HEADS[group], 24, 24)."""
    presence = 1 / (1 + np.exp(-output[0]))
    padded = np.pad(presence, 1)
    rows, columns = np.arange(CELLS)[:, None], np.arange(CELLS)[None, :]
    around = np.stack([padded[rows + i, columns + j] for i in range(3) for j in range(3)])
    peaks = np.argwhere((presence >= around.max(0)) & (presence >= least))
    return [_detection(group, output[:, row, column], int(row), int(column)) for row, column in peaks]


def _detection(group: str, values: np.ndarray, row: int, column: int) -> Detection:
    kinds = GROUPS[group]
    at = 3 + len(kinds)
    kind, colour = _softmax(values[3:at]), _softmax(values[at : at + len(COLOURS)])
    rest = values[at + len(COLOURS) :]
    sure, size, relations, opening = float(kind.max() * colour.max()), "large", (), 0.0
    if group == "graspable":
        small = 1 / (1 + np.exp(-rest[0]))
        size, relations = ("small" if small > 0.5 else "large"), tuple(map(float, _softmax(rest[1:])))
        sure *= float(max(small, 1 - small))
    if group == "fixture":
        opening = float(np.clip(rest[0], 0.0, 1.0)) * OPENING
    return Detection(
        kinds[int(kind.argmax())],
        COLOURS[int(colour.argmax())],
        size,
        (float(column + 0.5 + values[1]) / CELLS, float(row + 0.5 + values[2]) / CELLS),
        float(1 / (1 + np.exp(-values[0]))),
        relations,
        opening,
        sure,
        dict(zip(kinds, map(float, kind), strict=True)),
    )


def _softmax(values: np.ndarray) -> np.ndarray:
    raised = np.exp(values - values.max())
    return raised / raised.sum()
