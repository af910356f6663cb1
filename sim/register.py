"""Importing this module registers the tasks with Gymnasium, as `ideomotor/Reach-v0` and so on.

    import gymnasium, ideomotor.sim.register
    env = gymnasium.make("ideomotor/Place-v0")

or in one go `gymnasium.make("ideomotor.sim.register:ideomotor/Place-v0")`. Registering at import is
Gymnasium's own convention (it dropped entry points in 1.0); nothing else here works at import time.
"""

from __future__ import annotations

import gymnasium

from ideomotor.sim.tasks import TASKS

for _name in TASKS:
    gymnasium.register(
        id=f"ideomotor/{_name.capitalize()}-v0",
        entry_point="ideomotor.sim.environments.gym_env:TaskEnv",
        kwargs={"task": _name},
    )
