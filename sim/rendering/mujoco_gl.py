"""MuJoCo, imported when the back end of OpenGL has been chosen.

mujoco reads MUJOCO_GL once, while it is imported, and without it takes glfw, which needs a display. So this
is the only place that imports it: an environment of others that draws with `mujoco.Renderer` then works on a
machine without one. Who imports mujoco before any of our modules has chosen for himself.
"""

from __future__ import annotations

import sys

from ideomotor.sim.rendering.opengl import choose

if "mujoco" not in sys.modules:
    choose()

import mujoco as mujoco  # noqa: E402 (nothing above it may import it)


def gave_up(data: mujoco.MjData) -> bool:
    """Whether a simulation became unstable: MuJoCo has begun anew by itself, and the episode is over."""
    kind = mujoco.mjtWarning
    bad = kind.mjWARN_BADQPOS, kind.mjWARN_BADQVEL, kind.mjWARN_BADQACC
    return any(data.warning[int(each)].number for each in bad)
