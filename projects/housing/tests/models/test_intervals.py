import numpy as np
import pytest

from housing.models.intervals import Calibration, Intervals
from housing.models.trees import SymmetricTrees


@pytest.fixture
def intervals() -> Intervals:
    """Two bands, up to a log price of 1 and above it: errors of 0.5 and of 0.1 could be, in units of the scale 1."""
    scale = SymmetricTrees(
        feature=np.zeros((1, 1), np.int32),
        border=np.full((1, 1), np.inf, np.float32),
        leaf=np.zeros((1, 2)),
        bias=0.0,
        shapley=np.zeros((1, 2, 1), np.float32),
        player=np.zeros((1, 1), np.int32),
        expected=0.0,
    )
    scores, bands = np.repeat([0.5, 0.1], 20), np.repeat([0, 1], 20)
    return Intervals(scale, Calibration(np.array([1.0]), scores, bands, excess=0.0), coverage=0.9)


@pytest.mark.parametrize(
    ("predicted", "low", "high"),
    [
        (0.2, -0.3, 0.7),  # far from the edge both sides are those of the band
        (0.8, 0.3, 1.0),  # 1.3 is in the dear band, whose errors are smaller: nothing above the edge
        (0.95, 0.45, 1.05),
        (1.2, 0.7, 1.3),  # prices of the cheap band from 0.7 on could be: what lies between is held too
        (1.6, 1.5, 1.7),
        (1.0, 0.5, 1.1),  # on the edge
    ],
)
def test_an_interval_holds_every_price_that_could_be_paid(intervals, predicted, low, high):
    ends = intervals.bounds(np.zeros((1, 1)), np.array([predicted]))
    np.testing.assert_allclose(np.concatenate(ends), [low, high])
