"""An arm under a person's hand, as the shared state shows it, by the test's clock."""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime.shared_state import SharedState, pack_frames

ROBOT = load_embodiment("so101")
HZ, K = ROBOT.control_hz, 4
SIZES = (("front", 96, 128), ("wrist", 64, 64))
RATES = {"front": 30.0, "wrist": 30.0}
A_TICK = 1e-4  # [rad] that the second joint moves on with each tick: it says which one a row began with


class DrivenArm:
    """An arm that a person drives and two cameras, as far as the shared state shows them."""

    def __init__(self, shared: SharedState) -> None:
        self.shared, self.tick, self.shot = shared, 0, 0
        self._tick, self._film = shared.ticks.new(), shared.films.new()
        self._times, self._images = {}, {}

    @property
    def now(self) -> float:
        return 50 + self.tick / HZ

    def command(self, tick: int) -> np.ndarray:
        swing, ramp = np.eye(len(ROBOT.joints))[:2]
        return ROBOT.home_position + 0.1 * np.sin(tick / 40) * swing + A_TICK * tick * ramp

    def ticks(self, count: int, at: str = "run", driver: str = "person", cameras=("front", "wrist")) -> None:
        """Ticks, with a picture of each of these cameras at every fourth; brighter with each picture."""
        for _ in range(count):
            if self.tick % K == 0 and cameras:
                self.picture(*cameras)
            record = self._tick
            record["tick"], record["time"] = self.tick, self.now
            record["stage"], record["driver"] = at.encode(), driver.encode()
            record["command"] = self.command(self.tick)
            record["position"] = self.command(self.tick) + 0.01
            self.shared.ticks.write(record)
            self.tick += 1

    def picture(self, *cameras: str) -> None:
        self.shot += 1
        for name, height, width in SIZES:
            if name in cameras:
                self._images[name] = np.full((height, width, 3), self.shot % 250, np.uint8)
                self._times[name] = self.now - 0.001
        pack_frames(self._film, self._times, self._images, self.shared.spec.filmed)
        self.shared.films.write(self._film)
