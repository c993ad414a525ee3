import numpy as np
import pytest
import scipy.sparse as sp

from recommender.evaluation import bias_variance as module
from recommender.evaluation.bias_variance import POPULAR, RARE, measure_spread


@pytest.fixture
def spread(sample, monkeypatch):
    monkeypatch.setattr(module, "PENALTIES", (100.0, 1e6))
    monkeypatch.setattr(module, "RESAMPLES", 4)
    return measure_spread(sample.ratings, min_raters=20)


def test_a_large_penalty_has_bias_and_no_variance(spread):
    small, large = spread
    for films in (POPULAR, RARE):
        assert small.variance[films] > 100 * large.variance[films]
        assert small.bias[films] < large.bias[films] == pytest.approx(1, abs=0.05)  # it guesses zero everywhere
    assert small.overlap < large.overlap
    assert small.popular < large.popular


def test_guesses_that_are_right_on_average_have_no_bias_however_few_they_are(monkeypatch):
    monkeypatch.setattr(module, "RESAMPLES", 3)
    tally = module._Tally(sp.csr_array(np.ones((100, 200))))
    guesses = 1 + 0.5 * np.random.default_rng(0).normal(size=(3, 100, 200))
    tally.total, tally.squares = guesses.sum(axis=0), (guesses**2).sum(axis=0)
    tally.lists = [np.zeros((100, 10), dtype=np.intp)] * 3
    found = tally.spread(1.0, np.arange(200) < 100)
    for films in (POPULAR, RARE):
        assert found.variance[films] == pytest.approx(0.25, rel=0.05)
        assert found.bias[films] == pytest.approx(0, abs=0.01)


def test_bias_and_variance_are_the_squared_error(sample, monkeypatch):
    """The mean squared error of the refits, counted directly, is the sum of both."""
    monkeypatch.setattr(module, "PENALTIES", (30.0,))
    monkeypatch.setattr(module, "RESAMPLES", 3)
    errors = []

    class Watched(module._Tally):
        def add(self, model):
            before = self.total.copy()
            super().add(model)
            errors.append(float(((self.cells - (self.total - before)) ** 2).sum()))
            self.zero = float((self.cells**2).sum())

        def spread(self, penalty, popular):
            self.popular = popular
            found = super().spread(penalty, popular)
            share = float((self.cells[:, popular] ** 2).sum()) / self.zero
            total = [found.bias[name] + found.variance[name] for name in (POPULAR, RARE)]
            assert np.mean(errors) == pytest.approx(self.zero * (share * total[0] + (1 - share) * total[1]))
            return found

    monkeypatch.setattr(module, "_Tally", Watched)
    measure_spread(sample.ratings, min_raters=20)
    assert len(errors) == 3
