"""What the trees read: the numbers, what a place and a type of house usually cost, and one column a category.

The classic trap is here. The mean price of a neighborhood is a good feature and an easy leak: computed over all
training houses, it holds each house's own price, a model learns to trust it, and fails on houses it has not seen.
So a training house gets the mean over the *other* folds' houses (cross-fitting), and a new house the mean over all.
`tests/models/test_encoding.py` shows the leak of the naive version and its absence here.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from housing.config import EncodingSettings
from housing.data.columns import columns
from housing.models.features import Design, category_names, group_of, number_names

Floats = NDArray[np.float64]

STATISTICS = (
    *(("neighborhood",), ("ms_subclass",), ("exterior_1st",), ("exterior_2nd",), ("ms_zoning",), ("sale_condition",)),
    *(("sale_type",), ("foundation",), ("garage_type",), ("house_style",), ("bldg_type",), ("mas_vnr_type",)),
    *(("condition_1",), ("roof_style",), ("neighborhood", "bldg_type"), ("neighborhood", "ms_subclass")),
)
"""By what the log price and the log price per square foot are averaged."""

INDICATORS = (
    *("ms_subclass", "ms_zoning", "land_contour", "lot_config", "condition_1", "bldg_type", "house_style"),
    *("roof_style", "exterior_1st", "mas_vnr_type", "foundation", "garage_type", "sale_type", "sale_condition"),
    "heating",
)


@dataclass(frozen=True)
class Encoding:
    """Learned tables: arrays only, so that they can be stored as npz.

    Shapes: S cells of all statistics together, C indicator columns.
    """

    log_price: Floats  # (S,) smoothed mean log price of a cell
    log_price_per_sf: Floats  # (S,) smoothed mean log price per square foot of living area and basement
    indicator_column: NDArray[np.intp]  # (C,) columns of the codes
    indicator_code: NDArray[np.intp]  # (C,)

    def transform(self, houses: Design) -> Floats:
        """Return the trees' inputs for houses that were not trained on, shape (n, F)."""
        cells = _cells(houses.codes)
        return self.assemble(houses, self.log_price.take(cells), self.log_price_per_sf.take(cells))

    def assemble(self, houses: Design, log_price: Floats, log_price_per_sf: Floats) -> Floats:
        """Return the inputs with these statistics, shape (n, n_statistics) each."""
        indicators = houses.codes.take(self.indicator_column, axis=-1) == self.indicator_code
        return np.concatenate([houses.numbers, log_price, log_price_per_sf, indicators], axis=-1, dtype=np.float64)

    def groups(self) -> NDArray[np.int32]:
        """Return which group of an explanation each input counts for, shape (F,)."""
        statistics = [group_of(names[0]) for names in STATISTICS]
        numbers = [group_of(name) for name in number_names()]
        indicators = [group_of(category_names()[column]) for column in self.indicator_column]
        return np.array([*numbers, *statistics, *statistics, *indicators], dtype=np.int32)


def fit_encoding(
    houses: Design, log_price: Floats, settings: EncodingSettings, *, seed: int
) -> tuple[Encoding, Floats]:
    """Learn the tables, and encode the training houses without letting one see its own price.

    The encoding is for new houses: statistics over all training houses. The array holds the trees' inputs for the
    training houses, shape (n, F): statistics over the other folds' houses.
    """
    size = houses.numbers[:, number_names().index("total_sf")]
    targets = (log_price, log_price - np.log(size))
    cells = _cells(houses.codes)
    fold = np.random.default_rng(seed).permutation(len(size)) % settings.folds
    crossed = [np.empty(cells.shape) for _ in targets]
    for k in range(settings.folds):
        rest, own = fold != k, fold == k
        for target, out in zip(targets, crossed, strict=True):
            out[own] = _smoothed_means(cells[rest], target[rest], settings)[cells[own]]
    column, code = houses.common_codes(settings.rare)
    used = np.isin(column, [category_names().index(name) for name in INDICATORS])
    encoding = Encoding(
        log_price=_smoothed_means(cells, targets[0], settings),
        log_price_per_sf=_smoothed_means(cells, targets[1], settings),
        indicator_column=column[used],
        indicator_code=code[used],
    )
    return encoding, encoding.assemble(houses, *crossed)


@cache
def _offsets() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], int]:
    """Return (first column, its stride, second column, offset) of each statistic, and the number of all cells."""
    names = category_names()
    sizes = {name: len(columns()[name].choices) for name in names}
    first = np.array([names.index(statistic[0]) for statistic in STATISTICS])
    second = np.array([names.index(statistic[-1]) for statistic in STATISTICS])
    stride = np.array([sizes[statistic[1]] if len(statistic) > 1 else 0 for statistic in STATISTICS])
    cells = [int(np.prod([sizes[name] for name in statistic])) for statistic in STATISTICS]
    offset = np.cumsum([0, *cells[:-1]])
    return first, stride, second, offset, sum(cells)


def _cells(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the cell of each statistic that a house falls into, shape (n, n_statistics)."""
    first, stride, second, offset, _ = _offsets()
    return np.asarray(codes.take(first, axis=-1) * stride + codes.take(second, axis=-1) + offset)


def _smoothed_means(cells: NDArray[np.intp], target: Floats, settings: EncodingSettings) -> Floats:
    """Return each cell's mean, drawn toward the overall mean as if `smoothing` more houses had it; shape (S,)."""
    n_cells = _offsets()[-1]
    count = np.bincount(cells.ravel(), minlength=n_cells)
    total = np.bincount(cells.ravel(), np.repeat(target, cells.shape[1]), minlength=n_cells)
    return np.asarray((total + settings.smoothing * target.mean()) / (count + settings.smoothing))
