"""Embodiment files of two small environments, for the tests of `sim/environments/external.py`."""

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

from ideomotor.control.embodiment import Embodiment, load_embodiment

HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("dot_env", HERE / "dot_env.py")
assert spec is not None and spec.loader is not None
sys.modules["dot_env"] = dot_env = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dot_env)


@pytest.fixture
def dot(tmp_path):
    """Loads one of the files, with changes to the environment's fields."""

    def load(top: dict | None = None, file: str = "dot.yaml", **changes: object) -> Embodiment:
        values = yaml.safe_load((HERE / file).read_text()) | (top or {})
        values["environment"] |= changes
        path = tmp_path / "dot.yaml"
        path.write_text(yaml.safe_dump(values))
        return load_embodiment(path)

    return load
