from collections.abc import Callable

import numpy as np
import pytest

from housing.config import ModelSettings
from housing.data.load import Sales, Split
from housing.evaluation import learning_curve as module
from housing.evaluation.learning_curve import HELD_OUT, TRAINING, learning_curve
from housing.models.intervals import MemberPrices


def test_the_learning_curve_is_measured_on_houses_held_out(
    monkeypatch: pytest.MonkeyPatch, some_sales: Callable[[int], Sales]
) -> None:
    sales = some_sales(150)
    sizes = []

    class Memory:
        """Remembers which houses it saw; answers with the median."""

        def __init__(self, records, prices, settings, *, threads) -> None:
            self.fitted = {id(record) for record in records}
            self.middle = float(np.median(np.log(prices)))
            sizes.append(len(records))

        def log_prices(self, records) -> MemberPrices:
            knows = {id(record) in self.fitted for record in records}
            assert len(knows) == 1  # all of them, or none
            return MemberPrices(*np.full((2, len(records)), self.middle + (0.0 if knows.pop() else 1.0)))

    monkeypatch.setattr(module, "fit_members", Memory)
    split = Split(sales, np.arange(150) % 5, sales)
    curve = learning_curve(split, ModelSettings(), threads=1, advance=lambda _: None)
    assert sizes == [size for size in (12, 24, 48, 72, 96, 120) for _ in range(5)]
    assert list(curve) == [12, 24, 48, 72, 96, 120]
    assert all(0.2 < error < 0.8 for errors in curve.values() for error in errors[TRAINING])
    assert all(error > 0.8 for errors in curve.values() for error in errors[HELD_OUT])
