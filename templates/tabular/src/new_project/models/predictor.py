"""The served model: what it holds, how it predicts, how it is stored. It needs NumPy alone; fitting is `fit.py`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from new_project.data.columns import Record
from new_project.models.features import Encoding
from new_project.models.members import MEMBERS, Ridge, Trees

Floats = NDArray[np.float64]

CELLS = NUMBERS = ("prediction", "low", "high")
"""What a file of rows gets, and what of it is numbers."""
WITH = "an interval"
"""What a prediction comes with."""


@dataclass(frozen=True)
class Interval:
    """The range that holds what comes true with probability `coverage`."""

    low: float
    high: float
    coverage: float


@dataclass(frozen=True)
class Prediction:
    """The prediction for one row; `filled` lists what was left open, `warnings` what lies outside of the data."""

    value: float
    interval: Interval
    filled: list[str]
    warnings: list[str]

    @property
    def is_sound(self) -> bool:
        """Return whether the prediction is within its interval."""
        return self.interval.low <= self.value <= self.interval.high


def bands_of(edges: Floats, predicted: Floats) -> NDArray[np.intp]:
    """Return which band of predictions each one is in, shape (n,)."""
    return np.searchsorted(edges, predicted, side="right")


@dataclass(frozen=True)
class Predictor:
    """A fitted model.

    Attributes
    ----------
    log
        Whether the member predicts the logarithm of the target.
    least
        Below it nothing is predicted: 0 where no row that was learned from is negative.
    edges, reach
        Predictions between the bands, shape (B - 1,), and half widths of their intervals, shape (B,), in the unit of
        what the member predicts.
    """

    encoding: Encoding
    member: Ridge | Trees
    log: bool
    least: float
    edges: Floats
    reach: Floats
    coverage: float

    def predict(self, inputs: Sequence[Record]) -> list[Prediction]:
        """Predict for rows, whose columns may be missing or None."""
        if not inputs:
            return []
        table = zip(*(column.tolist() for column in self.values(inputs)), strict=True)
        return [
            Prediction(
                value, Interval(low, high, self.coverage), self.encoding.filled(row), self.encoding.warnings(row)
            )
            for row, (value, low, high) in zip(inputs, table, strict=True)
        ]

    def values(self, records: Sequence[Record]) -> tuple[Floats, Floats, Floats]:
        """Return (prediction, low, high) alone, shape (n,) each."""
        found = self.member.predict(self.encoding.matrix(records))[:, 0]
        value = np.exp(found) if self.log else found
        reach = self.reach[bands_of(self.edges, value)]
        low, high = (np.exp(found - reach), np.exp(found + reach)) if self.log else (found - reach, found + reach)
        return np.maximum(value, self.least), np.maximum(low, self.least), np.maximum(high, self.least)

    def cells(self, records: Sequence[Record]) -> list[tuple[str, ...]]:
        """Return the `CELLS` of each row."""
        return list(zip(*(map("%.10g".__mod__, column.tolist()) for column in self.values(records)), strict=True))

    def losses(self, records: Sequence[Record], target: Floats) -> Floats:
        """Return the absolute error of each row, shape (n,)."""
        return np.abs(self.values(records)[0] - target)

    def save(self, folder: Path) -> None:
        """Write the parameters: arrays as npz, the rest as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / "member.npz", allow_pickle=False, **asdict(self.member))
        np.savez_compressed(folder / "intervals.npz", allow_pickle=False, edges=self.edges, reach=self.reach)
        kind = next(name for name, kind in MEMBERS.items() if isinstance(self.member, kind))
        rest = {"kind": kind, "log": self.log, "non_negative": self.least == 0, "coverage": self.coverage}
        text = json.dumps(rest | {"encoding": asdict(self.encoding)}, indent=1)
        (folder / "model.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read the parameters that `save` wrote; the caller has verified the bundle's hashes."""
        rest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        stored = rest["encoding"]
        ranges = {name: (low, median, high) for name, (low, median, high) in stored["ranges"].items()}
        encoding = Encoding(ranges, stored["codes"], stored["columns"])
        with np.load(folder / "member.npz", allow_pickle=False) as arrays:
            member = MEMBERS[rest["kind"]](**arrays)
        with np.load(folder / "intervals.npz", allow_pickle=False) as arrays:
            edges, reach = arrays["edges"], arrays["reach"]
        least = 0.0 if rest["non_negative"] else -np.inf
        return cls(encoding, member, rest["log"], least, edges, reach, rest["coverage"])
