"""What the two members say of a house, and how wide the interval around their blend is."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from housing.models.arrays import load_arrays, save_arrays
from housing.models.trees import SymmetricTrees
from portfolio_shared.evaluation.conformal import conformal_quantile

Floats = NDArray[np.float64]


class MemberPrices(NamedTuple):
    """Log prices of the two members, shape (n,) each."""

    linear: Floats
    trees: Floats

    def blend(self, linear_weight: float) -> Floats:
        """Return the log prices of the blend, shape (n,)."""
        return linear_weight * self.linear + (1 - linear_weight) * self.trees

    def scale_inputs(self, inputs: Floats, linear_weight: float) -> Floats:
        """Return what the error's scale is predicted from: the trees' inputs, the price, the members' disagreement."""
        apart = self.linear - self.trees
        return np.concatenate([inputs, np.array([self.blend(linear_weight), apart, np.abs(apart)]).T], axis=-1)


@dataclass(frozen=True)
class Calibration:
    """Normalized errors of the training houses when they were held out, in bands of the price paid."""

    paid_edges: Floats  # log prices between the bands
    scores: Floats  # |error| / scale, shape (n_train,)
    paid_bands: NDArray[np.intp]  # shape (n_train,)
    excess: float  # what an interval holds beyond the share of its bands' scores; a setting, not fitted (`Intervals`)


@dataclass(frozen=True)
class Intervals:
    """Normalized conformal intervals that hold as much of cheap and of expensive houses as of the others.

    A price y could be paid for a house if |log y - predicted| <= q(y) x the scale the trees give the house (Lei et al.
    2018, "Distribution-Free Predictive Inference for Regression", JASA 113, section 5.2), where q(y) is the conformal
    quantile of the houses in y's band of the price *paid* (label-conditional Mondrian prediction; Vovk, Gammerman and
    Shafer 2005, "Algorithmic Learning in a Random World", section 4.5). Predictions regress to the mean: a cheap house
    is often predicted above its band, so bands of the predicted price leave it uncovered. The interval is the hull of
    the prices that could be paid, and thus holds more than they do: `excess` is taken off the level for that. It is no
    fitted number but a setting, 0.01, chosen once by cross-validation inside the training part of the Ames sales, for
    full records at 90 %. It is taken off for sparse records, other levels and refitted models as well, and other data
    may need another: 0 holds at least what the bands do. The scores come from models fitted to four fifths of the
    houses, so the theorem holds in spirit only; the coverage is measured.
    """

    scale: SymmetricTrees  # log scale of a house's error, from `MemberPrices.scale_inputs`
    calibration: Calibration
    coverage: float

    @cached_property
    def quantiles(self) -> Floats:
        """Conformal quantile of each band's scores at the coverage less the excess, shape (n_bands,)."""
        scores, bands = self.calibration.scores, self.calibration.paid_bands
        level = round(self.coverage - self.calibration.excess, 9)
        n_bands = len(self.calibration.paid_edges) + 1
        return np.array([conformal_quantile(scores[bands == band], coverage=level) for band in range(n_bands)])

    def bounds(self, scale_inputs: Floats, log_price: Floats) -> tuple[Floats, Floats]:
        """Return the ends of each house's interval as log prices, shape (n,) each; the price lies between them."""
        bottom, top = self._bands
        reach, predicted = np.exp(self.scale.predict(scale_inputs)) * self.quantiles[:, None], log_price
        low, high = np.maximum(predicted - reach, bottom), np.minimum(predicted + reach, top)  # (n_bands, n)
        possible = low <= high  # elsewhere nothing in the band could be paid
        lowest = np.minimum.reduce(low, where=possible, initial=np.inf)
        return lowest, np.maximum.reduce(high, where=possible, initial=-np.inf)

    @cached_property
    def _bands(self) -> tuple[Floats, Floats]:
        """Return the lowest and the highest log price paid in each band, shape (n_bands, 1)."""
        edges = self.calibration.paid_edges[:, None]
        return np.concatenate([[[-np.inf]], edges]), np.concatenate([edges, [[np.inf]]])

    def save(self, folder: Path, *, prefix: str = "") -> None:
        """Write the trees and the calibration; `coverage` is the caller's to keep."""
        save_arrays(folder / f"{prefix}scale.npz", self.scale)
        save_arrays(folder / f"{prefix}calibration.npz", self.calibration)

    @classmethod
    def load(cls, folder: Path, *, coverage: float, prefix: str = "") -> "Intervals":
        """Read what `save` wrote."""
        scale = load_arrays(folder / f"{prefix}scale.npz", SymmetricTrees)
        return cls(scale, load_arrays(folder / f"{prefix}calibration.npz", Calibration), coverage)
