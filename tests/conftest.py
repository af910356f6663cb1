"""Settings shared by every test: the same on a laptop and in CI, one thread, no network, no randomness."""

import os

import hypothesis

# Before numpy or torch load: one thread for each process, so that timings and float sums do not move with
# the machine. (MUJOCO_GL is left alone: rendering must work with whatever the machine has.)
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# Shared cores stall for longer than hypothesis's deadline; in CI the same examples are drawn every time.
hypothesis.settings.register_profile("here", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("here")
