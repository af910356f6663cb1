"""The error that a training reports is called by the unit it is in."""

import pytest

from ideomotor.train.chunk_errors import figure


@pytest.mark.parametrize(
    ("units", "name", "scale"),
    [
        (["rad"] * 6, "error_mrad", 1000),
        (["m", "m"], "error_mm", 1000),
        (["1", "1"], "error", 1),  # deltas, pixels
        (["rad", "m"], "error", 1),
    ],
)
def test_the_figure_has_the_unit_of_the_joints(units, name, scale):
    assert figure(units) == (name, scale)
