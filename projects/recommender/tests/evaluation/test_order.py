import numpy as np
import pytest

from recommender.evaluation import order as module
from recommender.evaluation.order import BOTH, CHAIN, RULES, SERVED, Sum, measure_order


class Fixed:
    def __init__(self, *scores):
        self.fixed = np.array(scores, dtype=np.float32)

    def scores(self, items, weights):
        return self.fixed.copy()


def test_a_sum_has_both_models_on_one_scale_and_recommends_what_the_first_does():
    first, second = Fixed(100, 200, 300, -np.inf), Fixed(0.3, 0.2, 0.1, 0.9)
    even = Sum(first, second, 0.5).scores(np.array([0]), np.ones(1))
    np.testing.assert_allclose(even, [0, 0, 0, -np.inf], atol=1e-6)
    assert Sum(first, second, 0.9).scores(np.array([0]), np.ones(1)).argmax() == 0


@pytest.mark.long
def test_rules_are_chosen_on_validation_and_measured_on_every_part(trained, monkeypatch):
    monkeypatch.setattr(module, "WINDOWS", (2, 5))
    monkeypatch.setattr(module, "LASTS", (1, 3))
    monkeypatch.setattr(module, "SHARES", (0.3, 0.7))
    best, measured = measure_order(trained.data, trained.split, trained.settings, trained.chosen)
    assert (best.window, best.last, best.share) in {(w, n, s) for w in (2, 5) for n in (1, 3) for s in (0.3, 0.7)}
    assert list(measured) == ["validation", "test", "pause"]
    test = measured["test"]
    assert list(test.ndcg) == [SERVED, RULES, CHAIN, BOTH]
    assert test.ndcg[SERVED].estimate == pytest.approx(trained.evaluation.metric("ndcg").estimate, abs=1e-4)
    for name, difference in test.difference.items():
        assert difference.estimate == pytest.approx(test.ndcg[SERVED].estimate - test.ndcg[name].estimate)
