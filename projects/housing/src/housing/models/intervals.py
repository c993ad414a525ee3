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
        return np.column_stack([inputs, self.blend(linear_weight), apart, np.abs(apart)])


@dataclass(frozen=True)
class Calibration:
    """Normalised errors of the training houses when they were held out, in bands of predicted price."""

    band_edges: Floats  # log prices between the bands
    scores: Floats  # |error| / scale, shape (n_train,)
    bands: NDArray[np.intp]  # shape (n_train,)


@dataclass(frozen=True)
class Intervals:
    """Normalised conformal intervals: half width on the log scale = a quantile x the scale the trees give a house.

    Lei et al. (2018), "Distribution-Free Predictive Inference for Regression", JASA 113, section 5.2. The quantile is
    taken in each of a few bands of predicted price (Mondrian conformal prediction; Vovk, Gammerman and Shafer 2005,
    section 4.5), so that cheap and expensive houses are covered more alike. The scores come from models fitted to four
    fifths of the houses, so the theorem of split conformal prediction holds in spirit only; the coverage is measured.
    """

    scale: SymmetricTrees  # log scale of a house's error, from `MemberPrices.scale_inputs`
    calibration: Calibration
    coverage: float

    @cached_property
    def quantiles(self) -> Floats:
        """Conformal quantile of each band's scores."""
        return self.quantiles_at(self.coverage)

    def quantiles_at(self, coverage: float) -> Floats:
        """Return the quantiles of the bands for another coverage, shape (n_bands,)."""
        scores, bands = self.calibration.scores, self.calibration.bands
        n_bands = len(self.calibration.band_edges) + 1
        return np.array([conformal_quantile(scores[bands == band], coverage=coverage) for band in range(n_bands)])

    def half_width(self, scale_inputs: Floats, log_price: Floats) -> Floats:
        """Return half the width of each house's interval on the log scale, shape (n,)."""
        return np.asarray(self.quantiles[self.band_of(log_price)] * np.exp(self.scale.predict(scale_inputs)))

    def band_of(self, log_price: Floats) -> NDArray[np.intp]:
        """Return the band of each predicted log price, shape (n,)."""
        return np.searchsorted(self.calibration.band_edges, log_price)

    def save(self, folder: Path, *, prefix: str = "") -> None:
        """Write the trees and the calibration; `coverage` is the caller's to keep."""
        save_arrays(folder / f"{prefix}scale.npz", self.scale)
        save_arrays(folder / f"{prefix}calibration.npz", self.calibration)

    @classmethod
    def load(cls, folder: Path, *, coverage: float, prefix: str = "") -> "Intervals":
        """Read what `save` wrote."""
        scale = load_arrays(folder / f"{prefix}scale.npz", SymmetricTrees)
        return cls(scale, load_arrays(folder / f"{prefix}calibration.npz", Calibration), coverage)
