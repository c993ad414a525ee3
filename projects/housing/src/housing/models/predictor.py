"""The served model: what it holds, how it predicts, how it is stored.

`Predictor` is the only code that turns records into prices: evaluation, the command line, the API, the batch job and
MLflow's adapter all call it. It needs NumPy alone; fitting is `models/fit.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import Record, columns
from housing.data.repair import Repaired
from housing.data.values import Values, given_in, table_of
from housing.models.arrays import load_arrays, save_arrays
from housing.models.comparables import Comparables, Sale
from housing.models.encoding import Encoding
from housing.models.features import Design, category_names, design_houses, design_one, design_table, fields_of, groups
from housing.models.fillings import Fills
from housing.models.held_out import HeldOut
from housing.models.imputation import Typical, fill_many, fill_one
from housing.models.intervals import Intervals, MemberPrices
from housing.models.linear import LinearModel
from housing.models.trees import SymmetricTrees

Floats = NDArray[np.float64]

ARRAYS = {"linear": LinearModel, "encoding": Encoding, "trees": SymmetricTrees, "comparables": Comparables}
"""Parts of a predictor that are stored as arrays: name of the field and of its file -> type."""
HELD_OUT = "held_out.npz"


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
class Prediction:
    """The price of one house in dollars of its year of sale, and what was assumed to get there.

    `filled` lists the fields that were left open, `warnings` where the house lies outside of what the model has seen,
    `repaired` what was not taken as it was given: records are put right where they are read.
    """

    price: float
    interval: PriceRange
    filled: Fills
    warnings: list[str]
    explanation: Explanation | None
    repaired: list[Repaired] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """What the training houses span: the range of each quantity, and the codes of each category that occur."""

    ranges: dict[str, tuple[float, float]]
    codes: dict[str, list[str]]

    def warnings(self, record: Record) -> list[str]:
        """Say where a record's given values lie outside of what the model has seen."""
        warnings = []
        for name, value in record.items():
            if isinstance(value, str):
                if value not in self.codes[name]:
                    warnings.append(f"no house that the model learned from has {name} {value}")
            elif value is not None:
                low, high = self.ranges[name]
                if value < low or value > high:
                    span = f"{low:g} to {high:g}"
                    warnings.append(f"{name} {value:g} is outside of the {span} that the model learned from")
        return warnings


SPARSE_FROM = 5
"""From this many filled fields on, a record counts as sparse: its interval is calibrated on sparse records.

That is wide for records between the two, and meant to be: the calibration for full records is too narrow for them.
"""
OPEN_FROM = 60
"""From this many filled fields on, a house is one of few fields: the test split was measured with all 69 left open."""


@dataclass(frozen=True)
class Predictor:
    """A fitted model; `sparse_intervals` are for records with little more than the required fields.

    `held_out` is what it said of the test houses, if it was refitted on all rows after its evaluation. `moved` has the
    neighborhoods whose sales it learned at today's prices: the log of today's level over that of the sales.
    """

    typical: Typical
    linear: LinearModel
    encoding: Encoding
    trees: SymmetricTrees
    linear_weight: float
    intervals: Intervals
    sparse_intervals: Intervals
    comparables: Comparables
    seen: Seen
    held_out: HeldOut | None = None
    moved: Mapping[str, float] = field(default_factory=dict)

    def predict(self, inputs: Sequence[Record], *, explain: bool = False) -> list[Prediction]:
        """Price validated records, whose columns may be missing or None; explained by contributions and other sales."""
        if not inputs:
            return []
        houses = [given_in(record) for record in inputs]
        filled = [fill_one(house, self.typical) for house in houses]
        designed = design_one(houses[0]) if len(houses) == 1 and not explain else design_houses(houses)
        priced = self._price(designed, np.array([len(fields) for fields in filled]))
        shares = self._contributions(priced) if explain else None
        prices = zip(*(dollars.ravel().tolist() for dollars in (np.exp(priced.log_price), *priced[3:])), strict=True)
        coverage = self.intervals.coverage
        return [
            Prediction(
                price=round(price, 2),
                interval=PriceRange(round(low, 2), round(high, 2), coverage),
                filled=filled[i],
                warnings=self.seen.warnings(inputs[i]),
                explanation=None if shares is None else self._explain(priced, i, shares[i]),
            )
            for i, (price, low, high) in enumerate(prices)
        ]

    def predict_table(self, table: Values, *, explain: bool = False) -> "TablePrices":
        """Price a table of possible houses, which is filled in place: what `predict` says of each, as columns."""
        n_filled = fill_many(table, self.typical)
        priced = self._price(design_table(table), n_filled)
        average, dollars = float(np.exp(self._expected)), None
        if explain:
            logs = zip(self._contributions(priced), priced.log_price.tolist(), strict=True)
            dollars = [to_dollars(shares, total=log - self._expected, average=average) for shares, log in logs]
        return TablePrices(np.exp(priced.log_price), priced.low, priced.high, n_filled, round(average, 2), dollars)

    def price_and_interval(self, records: Sequence[Record]) -> tuple[Floats, Floats, Floats]:
        """Return (price, low, high) alone, in dollars, each of shape (n,)."""
        return self.predict_table(table_of(records))[:3]

    def _price(self, houses: Design, n_filled: NDArray[np.intp]) -> "_Priced":
        inputs = self.encoding.transform(houses)
        trees = self.trees.predict(inputs) + self.linear.exception(houses)
        members = MemberPrices(self.linear.predict(houses), trees)
        log_price = members.blend(self.linear_weight)
        scale_inputs, sparse = members.scale_inputs(inputs, self.linear_weight), n_filled >= SPARSE_FROM
        if (n_sparse := np.count_nonzero(sparse)) in (0, len(sparse)):
            intervals = self.sparse_intervals if n_sparse else self.intervals
            return _Priced(houses, inputs, log_price, *map(np.exp, intervals.bounds(scale_inputs, log_price)))
        bounds = np.empty((2, len(log_price)))
        for rows, intervals in ((~sparse, self.intervals), (sparse, self.sparse_intervals)):
            bounds[:, rows] = intervals.bounds(scale_inputs[rows], log_price[rows])
        return _Priced(houses, inputs, log_price, *np.exp(bounds))

    def _contributions(self, priced: "_Priced") -> Floats:
        """Return each group's part of the log price, shape (n, n_groups): with `_expected` they sum to it."""
        trees = self.trees.contributions(priced.inputs, len(groups()))
        trees[:, groups().index("Sale")] += self.linear.exception(priced.houses)
        return self.linear_weight * self.linear.contributions(priced.houses) + (1 - self.linear_weight) * trees

    @property
    def _expected(self) -> float:
        return self.linear_weight * self.linear.expected + (1 - self.linear_weight) * self.trees.expected

    def _explain(self, priced: "_Priced", i: int, shares: Floats) -> Explanation:
        average = float(np.exp(self._expected))
        dollars = to_dollars(shares, total=float(priced.log_price[i]) - self._expected, average=average)
        order = np.argsort(-np.abs(dollars))
        return Explanation(
            average_price=round(average, 2),
            contributions=[Contribution(groups()[i], float(dollars[i]), fields_of(groups()[i])) for i in order],
            comparables=self.comparables.nearest(int(priced.houses.codes[i, _neighborhood()]), shares),
        )

    def save(self, folder: Path) -> None:
        """Write the parameters: arrays as npz, the rest as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            save_arrays(folder / f"{name}.npz", getattr(self, name))
        self.intervals.save(folder)
        self.sparse_intervals.save(folder, prefix="sparse_")
        if self.held_out is not None:
            save_arrays(folder / HELD_OUT, self.held_out)
        rest = {
            "linear_weight": self.linear_weight,
            "coverage": self.intervals.coverage,
            "typical": asdict(self.typical),
            "seen": asdict(self.seen),
            "moved": dict(self.moved),
        }
        (folder / "model.json").write_text(json.dumps(rest, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read the parameters that `save` wrote; the caller has verified the bundle's hashes."""
        rest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return cls(
            typical=Typical(**rest["typical"]),
            linear_weight=rest["linear_weight"],
            intervals=Intervals.load(folder, coverage=rest["coverage"]),
            sparse_intervals=Intervals.load(folder, coverage=rest["coverage"], prefix="sparse_"),
            held_out=load_arrays(folder / HELD_OUT, HeldOut) if (folder / HELD_OUT).is_file() else None,
            moved=rest.get("moved", {}),
            seen=Seen({name: tuple(ends) for name, ends in rest["seen"]["ranges"].items()}, rest["seen"]["codes"]),
            **{name: load_arrays(folder / f"{name}.npz", kind) for name, kind in ARRAYS.items()},
        )


class _Priced(NamedTuple):
    """n houses on their way from records to predictions."""

    houses: Design
    inputs: Floats  # of the trees, shape (n, F)
    log_price: Floats  # shape (n,)
    low: Floats  # dollars, shape (n,)
    high: Floats


class TablePrices(NamedTuple):
    """Prices of n houses in dollars, as columns; not rounded, but for the average and the contributions to it.

    `contributions` has, for each house that was to be explained, what each of `groups()` adds to the average price.
    """

    price: Floats
    low: Floats
    high: Floats
    n_filled: NDArray[np.intp]
    average_price: float
    contributions: list[Floats] | None


@cache
def _neighborhood() -> int:
    return category_names().index("neighborhood")


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
