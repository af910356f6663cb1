"""Which experts of a decoder recorded windows are routed to, by task and phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.train.quantization import answer, moments
from ideomotor.vla.decoder.experts import observed
from ideomotor.vla.networks import PolicyNetworks

Place = tuple[str, str]  # task, and phase: the first word of the subtask


@dataclass(frozen=True)
class Routing:
    """How many tokens went where, of all passes of all windows."""

    counts: dict[Place, np.ndarray]  # {place: (blocks, experts)}
    windows: dict[Place, int]

    @property
    def total(self) -> np.ndarray:
        """(blocks, experts) of all places together."""
        return np.sum(list(self.counts.values()), axis=0)

    def unused(self) -> list[str]:
        """The experts that nothing went to, called BLOCK.EXPERT as `experts.drop_experts` takes them."""
        return [f"{block}.{number}" for block, number in np.argwhere(self.total == 0)]

    def explained_by_place(self) -> list[float]:
        """How much of where a token goes follows from its place, for each block: mutual information as a
        share of the experts' entropy; 0: nothing, 1: all. Where all goes to one expert it is 0."""
        joint = np.stack(list(self.counts.values())).astype(float)  # (places, blocks, experts)
        found = []
        for block in range(joint.shape[1]):
            share = joint[:, block] / joint[:, block].sum()
            experts = share.sum(0)
            entropy = -_plogp(experts).sum()
            mutual = _plogp(share).sum() - _plogp(share.sum(1)).sum() + entropy
            found.append(float(mutual / entropy) if entropy > 1e-12 else 0.0)
        return found


def routing(networks: PolicyNetworks, data: Sequence[Path], count: int) -> Routing:
    """Of windows of recorded data, answered as the policy does when it drives.

    Args:
        networks: with a decoder that has experts.
        data: dataset folders of its robot.
        count: windows.

    Raises:
        UserError: it has none, or the data is not of its robot.
    """
    mixtures, experts = networks.decoder.mixtures(), networks.decoder_config.experts
    if not mixtures:
        raise UserError("policy: its decoder has no experts, expected one trained with decoder.experts=7")
    embodiment = load_embodiment(networks.processor.embodiment)
    loader = WindowLoader(data, embodiment, networks.decoder_config.horizon, 32, timing=networks.timing)
    tasks = [_tasks(folder) for folder in data]
    counts: dict[Place, np.ndarray] = {}
    windows: dict[Place, int] = {}
    for number, moment in enumerate(moments(loader, count)):
        with observed(mixtures) as logs:
            answer(networks, moment, seed=number)
        which = int(np.searchsorted(np.cumsum(loader.sizes), moment.row, side="right"))
        row = moment.row - sum(loader.sizes[:which])
        of_row = int(np.searchsorted(loader.caches[which].starts, row, side="right")) - 1
        place = tasks[which][of_row], (moment.subtask.split() or ["?"])[0]
        here = counts.setdefault(place, np.zeros((len(mixtures), experts), np.int64))
        windows[place] = windows.get(place, 0) + 1
        for block, log in enumerate(logs):
            for passed in log:
                here[block] += np.bincount(passed.flatten().numpy(), minlength=experts)
    return Routing(counts, windows)


def _tasks(folder: Path) -> list[str]:
    """The task of each episode, or else what the folder is called."""
    episodes = Dataset(folder).episodes
    if "task_name" not in episodes.column_names:
        return [folder.name] * len(episodes)
    return [name or folder.name for name in episodes["task_name"].to_pylist()]


def _plogp(shares: np.ndarray) -> np.ndarray:
    return shares * np.log(np.where(shares > 0, shares, 1.0))
