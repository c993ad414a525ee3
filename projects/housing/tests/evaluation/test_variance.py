"""Bias and variance come apart as they do by hand, and no house is priced by a model that saw it."""

import numpy as np
import pytest

from housing.evaluation import variance as module
from housing.evaluation.variance import bias_and_variance, parts
from housing.models.intervals import MemberPrices


def test_the_parts_are_those_worked_out_by_hand() -> None:
    """Two refits say 1 and 3 of a truth of 2; two say 5 of a truth of 2; one house was left out only once."""
    nan = np.nan
    said = np.array([[1.0, 5.0, nan], [3.0, 5.0, 7.0]])
    bias, variance = parts(said, np.array([2.0, 2.0, 2.0]))
    assert variance.estimate == pytest.approx((2 + 0) / 2)
    assert bias.estimate == pytest.approx(((0 - 2 / 2) + 9) / 2)  # the mean of two is off by half the variance


def test_noise_without_bias_has_no_bias_on_average() -> None:
    rng = np.random.default_rng(0)
    bias, variance = parts(rng.normal(0, 0.1, (20, 4000)), np.zeros(4000))
    assert variance.estimate == pytest.approx(0.01, rel=0.05)
    assert abs(bias.estimate) < 0.0003


def test_only_houses_that_a_refit_did_not_see_are_priced(monkeypatch, some_sales) -> None:
    sales = some_sales(60)

    class Memory:
        def __init__(self, records, prices, settings, *, seed, threads) -> None:
            self.fitted = {id(record) for record in records}
            assert len(records) == len(prices) == 60  # as many as there are, some twice

        def log_prices(self, records) -> MemberPrices:
            assert not self.fitted & {id(record) for record in records}
            return MemberPrices(*np.full((2, len(records)), 12.0))

    monkeypatch.setattr(module, "fit_members", Memory)
    monkeypatch.setattr(module, "others", lambda **_: {"constant": lambda *given: np.full(len(given[2]), 11.0)})
    monkeypatch.setattr(module, "REFITS", 6)
    from housing.config import ModelSettings
    from housing.data.load import Split

    steps: list[str] = []
    rows = bias_and_variance(Split(sales, np.arange(60) % 5, sales), ModelSettings(), threads=1, advance=steps.append)
    assert [row.name for row in rows][-1] == "constant"
    assert [row.variance.estimate for row in rows] == [0.0] * 4
    assert len(steps) == 6
