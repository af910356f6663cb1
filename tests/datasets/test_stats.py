import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import stats

vectors = st.integers(1, 40).flatmap(
    lambda rows: arrays(np.float32, (rows, 3), elements=st.floats(-100, 100, width=32))
)


@given(parts=st.lists(vectors, min_size=1, max_size=5))
def test_parts_together_have_the_statistics_of_the_whole(parts):
    whole = stats.vector_stats(np.concatenate(parts))
    total = stats.aggregate([{"x": stats.vector_stats(part)} for part in parts])["x"]
    assert set(total) == set(whole) == set(stats.KEYS)
    for key in ("min", "max", "mean", "std"):
        assert np.allclose(total[key], whole[key], atol=1e-4), key
    assert total["count"] == whole["count"] == sum(map(len, parts))
    assert (total["q01"] <= total["q50"]).all() and (total["q50"] <= total["q99"]).all()


def test_image_statistics_are_per_channel_in_unit_range():
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 10, 3), dtype=np.uint8)
    images[..., 2] //= 2
    found = stats.image_stats(images)
    scaled = images / 255
    for key, function in {"min": np.min, "max": np.max, "mean": np.mean, "std": np.std}.items():
        assert found[key].shape == (3, 1, 1)
        assert np.allclose(found[key].ravel(), function(scaled, axis=(0, 1, 2)))
    assert np.allclose(found["q50"].ravel(), np.median(scaled, axis=(0, 1, 2)), atol=1 / 255)
    assert found["count"].tolist() == [20]


def test_long_episodes_are_sampled_as_lerobot_does():
    assert len(stats.sampled_frames(1)) == 1
    assert len(stats.sampled_frames(100)) == 100
    assert len(stats.sampled_frames(1000)) == 177
    assert stats.sampled_frames(1000)[[0, -1]].tolist() == [0, 999]


def test_statistics_survive_their_text_form_exactly():
    found = {"x": stats.vector_stats(np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32))}
    again = stats.from_lists(stats.to_lists(found))
    assert all(np.array_equal(again["x"][key], found["x"][key]) for key in stats.KEYS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_statistics_that_are_not_finite_are_refused(value):
    found = {"x": stats.vector_stats(np.zeros((3, 2))) | {"std": np.array([0.0, value])}}
    with pytest.raises(UserError, match="stats.json: x: std is missing or not finite"):
        stats.check_finite(found, "stats.json")
