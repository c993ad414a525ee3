"""The served model: what it holds and how it predicts.

`Predictor` is the only code that turns records into prices: evaluation, the command line, the API, the batch job and
MLflow's adapter all call it. It needs NumPy alone. Fitting is `fit.py`, storing `storage.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import Record, columns
from housing.models.comparables import Comparables, Sale
from housing.models.encoding import Encoding
from housing.models.features import Design, design, fields_of, groups
from housing.models.imputation import Complete, Filled, Typical, complete
from housing.models.linear import LinearModel
from housing.models.trees import SymmetricTrees
from portfolio_shared.evaluation.conformal import conformal_quantile

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MemberPrices:
    """Log prices of the two members, shape (n,) each."""

    linear: Floats
    trees: Floats

    def blend(self, linear_weight: float) -> Floats:
        """Return the log prices of the blend, shape (n,)."""
        return linear_weight * self.linear + (1 - linear_weight) * self.trees

    def scale_inputs(self, inputs: Floats, linear_weight: float) -> Floats:
        """Return what the scale of the error is told by: the trees' inputs, the price, the members' disagreement."""
        apart = self.linear - self.trees
        return np.column_stack([inputs, self.blend(linear_weight), apart, np.abs(apart)])


@dataclass(frozen=True)
class Intervals:
    """Normalised conformal intervals: half width on the log scale = a quantile x the scale the trees give a house.

    Lei et al. (2018), "Distribution-Free Predictive Inference for Regression", JASA 113, section 5.2. The quantile is
    taken in each of a few bands of predicted price (Mondrian conformal prediction; Vovk, Gammerman and Shafer 2005,
    section 4.5), so that cheap and dear houses are covered more alike. The scores come from models fitted to four
    fifths of the houses, so the theorem of split conformal prediction holds in spirit only; the coverage is measured.
    """

    scale: SymmetricTrees  # log scale of a house's error, from `MemberPrices.scale_inputs`
    band_edges: Floats  # log prices between the bands
    scores: Floats  # |error| / scale of the training houses when they were held out, shape (n_train,)
    bands: NDArray[np.intp]  # of the training houses, shape (n_train,)
    coverage: float

    @cached_property
    def quantiles(self) -> Floats:
        """Conformal quantile of each band's scores."""
        return self.quantiles_at(self.coverage)

    def quantiles_at(self, coverage: float) -> Floats:
        """Return the quantiles of the bands for another coverage, shape (n_bands,)."""
        bands = range(len(self.band_edges) + 1)
        return np.array([conformal_quantile(self.scores[self.bands == band], coverage=coverage) for band in bands])

    def half_width(self, scale_inputs: Floats, log_price: Floats) -> Floats:
        """Return half the width of each house's interval on the log scale, shape (n,)."""
        quantile = self.quantiles[self.band_of(log_price)]
        half: Floats = quantile * np.exp(self.scale.predict(scale_inputs))
        return half

    def band_of(self, log_price: Floats) -> NDArray[np.intp]:
        """Return the band of each predicted log price, shape (n,)."""
        return np.searchsorted(self.band_edges, log_price)


@dataclass(frozen=True)
class PriceRange:
    """The range, in dollars, that holds the price paid with probability `coverage`."""

    low: float
    high: float
    coverage: float


@dataclass(frozen=True)
class Contribution:
    """What one group of fields adds to the average price, in dollars."""

    group: str
    dollars: float
    fields: list[str]


@dataclass(frozen=True)
class Explanation:
    """Why this price: the contributions add up, to the cent, to the price minus `average_price`.

    `average_price` is the geometric mean of what the model says of the houses it learned from, in dollars; the largest
    contribution comes first.
    """

    average_price: float
    contributions: list[Contribution]
    comparables: list[Sale]


@dataclass(frozen=True)
class PredictedHouse:
    """The price of one house in dollars of its year of sale, and what was assumed to get there.

    `filled` lists the fields that were left open, `warnings` where the house lies outside of what the model has seen.
    """

    price: float
    interval: PriceRange
    filled: list[Filled]
    warnings: list[str]
    explanation: Explanation | None


@dataclass(frozen=True)
class Seen:
    """What the training houses span: the range of each quantity, and the codes of each category that occur."""

    ranges: dict[str, tuple[float, float]]
    codes: dict[str, list[str]]

    def warnings(self, record: Record) -> list[str]:
        """Say where a record's given values lie outside of what the model has seen."""
        found = []
        for name, value in record.items():
            if isinstance(value, str):
                if value not in self.codes[name]:
                    found.append(f"no house that the model learned from has {name} {value}")
            elif value is not None:
                low, high = self.ranges[name]
                if value < low or value > high:
                    found.append(f"{name} {value:g} is outside of the {low:g} to {high:g} that the model learned from")
        return found


SPARSE_FROM = 5
"""From this many filled fields on, a record counts as sparse: its interval is calibrated on sparse records.

That is wide for records between the two, and meant to be: the calibration for full records is too narrow for them.
"""


@dataclass(frozen=True)
class Predictor:
    """A fitted model; `sparse_intervals` are for records of which little more than the required fields is known."""

    typical: Typical
    linear: LinearModel
    encoding: Encoding
    trees: SymmetricTrees
    linear_weight: float
    intervals: Intervals
    sparse_intervals: Intervals
    comparables: Comparables
    seen: Seen

    def predict(self, records: Sequence[Record], *, explain: bool = False) -> list[PredictedHouse]:
        """Price houses.

        Parameters
        ----------
        records
            Validated records (bounds, codes, rules); columns may be missing or None.
        explain
            Also return contributions and comparable sales.
        """
        if not records:
            return []
        completed = [complete(record, self.typical) for record in records]
        houses = design([full for full, _ in completed])
        inputs = self.encoding.transform(houses)
        members = self._members(houses, inputs)
        log_price = members.blend(self.linear_weight)
        low, high = self._interval(inputs, members, [filled for _, filled in completed])
        shares = self._contributions(houses, inputs) if explain else None
        return [
            PredictedHouse(
                price=round(float(np.exp(log_price[i])), 2),
                interval=PriceRange(round(float(low[i]), 2), round(float(high[i]), 2), self.intervals.coverage),
                filled=filled,
                warnings=self.seen.warnings(record),
                explanation=None if shares is None else self._explain(full, float(log_price[i]), shares[i]),
            )
            for i, (record, (full, filled)) in enumerate(zip(records, completed, strict=True))
        ]

    def price_and_interval(self, records: Sequence[Record]) -> tuple[Floats, Floats, Floats]:
        """Return (price, low, high) alone, in dollars, each of shape (n,)."""
        if not records:
            return np.empty(0), np.empty(0), np.empty(0)
        completed = [complete(record, self.typical) for record in records]
        houses = design([full for full, _ in completed])
        inputs = self.encoding.transform(houses)
        members = self._members(houses, inputs)
        low, high = self._interval(inputs, members, [filled for _, filled in completed])
        return np.exp(members.blend(self.linear_weight)), low, high

    def _members(self, houses: Design, inputs: Floats) -> MemberPrices:
        return MemberPrices(self.linear.predict(houses), self.trees.predict(inputs) + self._exception(houses))

    def _exception(self, houses: Design) -> Floats:
        """Return what the linear member says of large, partly built houses, for the trees as well; shape (n,)."""
        effect: Floats = self.linear.exception_effect * houses.numbers[:, -1]
        return effect

    def _interval(
        self, inputs: Floats, members: MemberPrices, filled: Sequence[Sequence[Filled]]
    ) -> tuple[Floats, Floats]:
        log_price = members.blend(self.linear_weight)
        scale_inputs = members.scale_inputs(inputs, self.linear_weight)
        sparse = np.array([len(fields) >= SPARSE_FROM for fields in filled])
        half = np.empty(len(log_price))
        for rows, intervals in ((~sparse, self.intervals), (sparse, self.sparse_intervals)):
            if rows.any():
                half[rows] = intervals.half_width(scale_inputs[rows], log_price[rows])
        return np.exp(log_price - half), np.exp(log_price + half)

    def _contributions(self, houses: Design, inputs: Floats) -> Floats:
        """Return each group's part of the log price, shape (n, n_groups): with `_expected` they sum to it."""
        trees = self.trees.contributions(inputs, len(groups()))
        trees[:, groups().index("Sale")] += self._exception(houses)
        return self.linear_weight * self.linear.contributions(houses) + (1 - self.linear_weight) * trees

    @property
    def _expected(self) -> float:
        return self.linear_weight * self.linear.expected + (1 - self.linear_weight) * self.trees.expected

    def _explain(self, house: Complete, log_price: float, shares: Floats) -> Explanation:
        average = float(np.exp(self._expected))
        dollars = to_dollars(shares, total=log_price - self._expected, average=average)
        order = np.argsort(-np.abs(dollars))
        return Explanation(
            average_price=round(average, 2),
            contributions=[Contribution(groups()[i], float(dollars[i]), fields_of(groups()[i])) for i in order],
            comparables=self.comparables.nearest(house, shares),
        )


def to_dollars(shares: Floats, *, total: float, average: float) -> Floats:
    """Turn parts of a log price into dollars that sum, to the cent, to the price minus the average.

    Every part is multiplied by the logarithmic mean of price and average, (b - a) / (log b - log a): the one factor
    for which parts of a logarithm become parts of a difference (Ang 2004, "Decomposition analysis for policymaking
    in energy", Energy Policy 32: the LMDI method).

    Examples
    --------
    >>> to_dollars(np.log([1.2, 1.25]), total=float(np.log(1.5)), average=100_000.0)
    array([22483.01, 27516.99])
    """
    difference = round(average * float(np.exp(total)), 2) - round(average, 2)
    factor = average * np.expm1(total) / total if abs(total) > 1e-9 else average
    dollars = [round(float(part), 2) for part in shares * factor]
    largest = max(range(len(dollars)), key=lambda i: abs(dollars[i]))
    dollars[largest] = round(dollars[largest] + difference - sum(dollars), 2)
    return np.array(dollars)


def seen_in(records: Sequence[Record]) -> Seen:
    """Return what these records span."""
    ranges, codes = {}, {}
    for name, column in columns().items():
        values = {value for record in records if (value := record[name]) is not None}
        if column.is_numeric:
            numbers = [float(value) for value in values]
            ranges[name] = (min(numbers), max(numbers))
        else:
            codes[name] = sorted(str(value) for value in values)
    return Seen(ranges, codes)
