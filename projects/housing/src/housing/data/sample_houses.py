"""Houses drawn topic by topic: the columns of the generated sample, without prices and without dirt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from housing.data.columns import columns

Floats = NDArray[np.float64]
Codes = NDArray[np.object_]
Mask = NDArray[np.bool_]
Columns = dict[str, NDArray[Any]]


def draw_houses(n: int, rng: Generator) -> Columns:
    """Return n values of every column: numbers, and codes with "NA" for "has none"."""
    draw = _Draw(rng, n)
    house = _draw_core(draw)
    for topic in (_site_and_building, _inside, _garage_and_sale):
        house |= topic(house, draw)
    return house


@dataclass(frozen=True)
class _Draw:
    """Draws of n values."""

    rng: Generator
    n: int

    def pick(self, name: str, weights: Sequence[float]) -> Codes:
        """Draw codes of a column; codes beyond the weights have none."""
        codes = list(columns()[name].choices)
        chances = np.pad(np.asarray(weights, dtype=float), (0, len(codes) - len(weights)))
        return np.asarray(self.rng.choice(np.array(codes, dtype=object), size=self.n, p=chances / chances.sum()))

    def graded(self, name: str, score: Floats | float, *, spread: float = 0.6) -> Codes:
        """Turn a standard-normal score into the levels of an ordinal, None (if it has that level) excluded."""
        codes = np.array([code for code in columns()[name].choices if code != "None"], dtype=object)
        noisy = score + self.rng.normal(0, spread, self.n)
        middle = (len(codes) - 1) / 2
        return np.asarray(codes[np.clip(np.rint(middle + 0.4 + noisy), 0, len(codes) - 1).astype(int)])

    def happens(self, chance: float | Floats) -> Mask:
        """Draw true with a chance."""
        return np.asarray(self.rng.random(self.n) < chance)

    def area(self, chance: float, shape: float, scale: float) -> Floats:
        """Draw gamma-distributed areas of what a house has with a chance; 0 without."""
        return np.where(self.happens(chance), np.rint(self.rng.gamma(shape, scale, self.n)), 0)


def _draw_core(draw: _Draw) -> Columns:
    """Draw what the other columns follow from, so that good neighbourhoods hold newer, larger, better houses."""
    rng, n = draw.rng, draw.n
    neighbourhoods = np.array(list(columns()["neighborhood"].choices), dtype=object)
    area = rng.choice(len(neighbourhoods), size=n, p=rng.dirichlet(np.full(len(neighbourhoods), 2.0)))
    wealth = np.linspace(-1.5, 1.5, len(neighbourhoods))[rng.permutation(len(neighbourhoods))][area]

    sold = rng.integers(2006, 2011, n)
    built = np.clip(np.rint(1965 + 18 * wealth + rng.normal(0, 18, n)), 1880, sold).astype(int)
    remodelled = np.where(draw.happens(0.35), rng.integers(np.maximum(built, 1950), sold + 1), built)
    quality = np.clip(np.rint(6 + wealth + (built - 1965) / 40 + rng.normal(0, 0.8, n)), 1, 10)
    finish = (quality - 6) / 1.5
    living = np.clip(np.rint(np.exp(7.2 + 0.16 * finish + rng.normal(0, 0.22, n))), 400, 3900)
    storeys = draw.happens(0.42)
    upper = np.where(storeys, np.rint(living * rng.uniform(0.38, 0.5, n)), 0)
    has_basement = rng.random(n) > 0.03
    basement = np.where(has_basement, np.rint((living - upper) * rng.uniform(0.8, 1.05, n)), 0)
    finished = np.where(draw.happens(0.65), np.rint(basement * rng.uniform(0.2, 0.95, n)), 0)
    beds = np.clip(np.rint(living / 520 + rng.normal(0, 0.5, n)), 1, 6)
    cars = np.clip(np.rint(1.6 + 0.5 * finish + rng.normal(0, 0.6, n)), 0, 4)
    fires = rng.binomial(2, np.clip(0.25 + 0.12 * finish, 0.02, 0.8), n)
    veneer = draw.happens(0.38)
    lot = np.clip(np.rint(np.exp(9.1 + 0.12 * wealth + rng.normal(0, 0.35, n))), 1300, 90_000)
    new = (sold - built <= 1) & draw.happens(0.7)
    return {
        "neighborhood": neighbourhoods[area],
        "yr_sold": sold,
        "year_built": built,
        "year_remod_add": remodelled,
        "overall_qual": quality,
        "gr_liv_area": living,
        "second_flr_sf": upper,
        "total_bsmt_sf": basement,
        "bsmtfin_sf_1": finished,
        "bedroom_abv_gr": beds,
        "garage_cars": cars,
        "fireplaces": fires,
        "lot_area": lot,
        "finish": finish,  # this one and the next two are no columns of the file
        "has veneer": veneer,
        "is new": new,
    }


def _only(mask: Mask, values: NDArray[Any]) -> Codes:
    return np.where(mask, values.astype(object), "NA")


def _site_and_building(x: Columns, draw: _Draw) -> Columns:
    return {
        "ms_subclass": np.where(x["second_flr_sf"] > 0, "060", "020").astype(object),
        "ms_zoning": draw.pick("ms_zoning", [0, 1, 5, 0, 1, 80, 0, 15]),
        "lot_frontage": np.rint(np.sqrt(x["lot_area"]) * draw.rng.uniform(0.55, 0.9, draw.n)),
        "street": draw.pick("street", [1, 99]),
        "alley": _only(draw.happens(0.06), draw.pick("alley", [0, 6, 4])),
        "lot_shape": draw.pick("lot_shape", [1, 3, 33, 63]),
        "land_contour": draw.pick("land_contour", [90, 4, 4, 2]),
        "utilities": draw.pick("utilities", [0, 0, 0, 1]),
        "lot_config": draw.pick("lot_config", [73, 17, 6, 3, 1]),
        "land_slope": draw.pick("land_slope", [1, 4, 95]),
        "condition_1": draw.pick("condition_1", [86, 3, 6, 1, 2, 1, 1]),
        "condition_2": draw.pick("condition_2", [99, 1]),
        "bldg_type": draw.pick("bldg_type", [83, 2, 4, 8, 3]),
        "house_style": np.where(x["second_flr_sf"] > 0, "2Story", "1Story").astype(object),
        "overall_cond": np.clip(np.rint(5.5 + draw.rng.normal(0, 1.1, draw.n)), 1, 9),
        "roof_style": draw.pick("roof_style", [1, 79, 1, 19]),
        "roof_matl": draw.pick("roof_matl", [0, 99, 0, 0, 0, 1]),
        "exterior_1st": draw.pick("exterior_1st", [2, 0, 0, 3, 0, 4, 15, 0, 15, 0, 8, 0, 0, 1, 35, 14, 2]),
        "exterior_2nd": draw.pick("exterior_2nd", [2, 0, 1, 2, 0, 4, 14, 1, 15, 0, 9, 0, 0, 1, 35, 13, 3]),
        "mas_vnr_type": np.where(x["has veneer"], draw.pick("mas_vnr_type", [0, 2, 75, 0, 23]), "None"),
        "mas_vnr_area": np.where(x["has veneer"], np.rint(draw.rng.gamma(2.5, 90, draw.n)) + 10, 0),
        "exter_qual": draw.graded("exter_qual", x["finish"] * 0.7),
        "exter_cond": draw.graded("exter_cond", 0.0, spread=0.4),
        "foundation": np.where(
            x["year_built"] > 1985, "PConc", np.where(x["year_built"] > 1940, "CBlock", "BrkTil")
        ).astype(object),
    }


def _inside(x: Columns, draw: _Draw) -> Columns:
    return {
        "bsmt_qual": _only(x["total_bsmt_sf"] > 0, draw.graded("bsmt_qual", x["finish"] * 0.7)),
        "bsmt_cond": _only(x["total_bsmt_sf"] > 0, draw.graded("bsmt_cond", 0.0, spread=0.4)),
        "bsmt_exposure": _only(x["total_bsmt_sf"] > 0, draw.pick("bsmt_exposure", [0, 65, 9, 15, 11])),
        "bsmtfin_type_1": _only(
            x["total_bsmt_sf"] > 0,
            np.where(x["bsmtfin_sf_1"] > 0, draw.pick("bsmtfin_type_1", [0, 0, 7, 14, 13, 22, 44]), "Unf"),
        ),
        "bsmtfin_type_2": _only(x["total_bsmt_sf"] > 0, np.full(draw.n, "Unf", dtype=object)),
        "bsmtfin_sf_2": np.zeros(draw.n),
        "bsmt_unf_sf": x["total_bsmt_sf"] - x["bsmtfin_sf_1"],
        "heating": draw.pick("heating", [0, 98, 2]),
        "heating_qc": draw.graded("heating_qc", x["finish"] * 0.5 + 0.3),
        "central_air": np.where(draw.happens(np.where(x["year_built"] > 1950, 0.98, 0.75)), "Y", "N").astype(object),
        "electrical": np.where(x["year_built"] > 1960, "SBrkr", draw.pick("electrical", [1, 1, 8, 20, 70])),
        "first_flr_sf": x["gr_liv_area"] - x["second_flr_sf"],
        "low_qual_fin_sf": np.zeros(draw.n),
        "bsmt_full_bath": (x["bsmtfin_sf_1"] > 500).astype(float),
        "bsmt_half_bath": np.zeros(draw.n),
        "full_bath": np.clip(np.rint(x["gr_liv_area"] / 1000 + draw.rng.normal(0, 0.3, draw.n)), 1, 4),
        "half_bath": draw.happens(np.where(x["second_flr_sf"] > 0, 0.7, 0.2)).astype(float),
        "kitchen_abv_gr": np.ones(draw.n),
        "kitchen_qual": draw.graded("kitchen_qual", x["finish"] * 0.8),
        "tot_rms_abv_grd": x["bedroom_abv_gr"] + 2 + draw.rng.integers(0, 4, draw.n),
        "functional": draw.pick("functional", [0, 0, 1, 1, 1, 2, 2, 93]),
        "fireplace_qu": _only(x["fireplaces"] > 0, draw.graded("fireplace_qu", x["finish"] * 0.5)),
    }


def _garage_and_sale(x: Columns, draw: _Draw) -> Columns:
    return {
        "garage_type": _only(x["garage_cars"] > 0, draw.pick("garage_type", [0, 1, 63, 1, 7, 1, 27])),
        "garage_yr_blt": np.where(x["garage_cars"] > 0, x["year_built"].astype(object), ""),
        "garage_finish": _only(x["garage_cars"] > 0, draw.graded("garage_finish", x["finish"] * 0.6)),
        "garage_area": np.rint(x["garage_cars"] * draw.rng.uniform(220, 300, draw.n)),
        "garage_qual": _only(x["garage_cars"] > 0, draw.graded("garage_qual", 0.0, spread=0.3)),
        "garage_cond": _only(x["garage_cars"] > 0, draw.graded("garage_cond", 0.0, spread=0.3)),
        "paved_drive": draw.pick("paved_drive", [7, 2, 91]),
        "wood_deck_sf": draw.area(0.48, 3, 60),
        "open_porch_sf": draw.area(0.55, 2, 40),
        "enclosed_porch": draw.area(0.15, 4, 35),
        "three_ssn_porch": draw.area(0.01, 4, 50),
        "screen_porch": draw.area(0.08, 4, 45),
        "pool_area": np.zeros(draw.n),
        "pool_qc": np.full(draw.n, "NA", dtype=object),
        "fence": _only(draw.happens(0.2), draw.pick("fence", [0, 3, 20, 56, 21])),
        "misc_feature": _only(draw.happens(0.03), draw.pick("misc_feature", [0, 0, 1, 1, 9])),
        "misc_val": np.zeros(draw.n),
        "mo_sold": np.clip(np.rint(draw.rng.normal(6.3, 2.6, draw.n)), 1, 12),
        "sale_type": np.where(x["is new"], "New", draw.pick("sale_type", [95, 1, 0, 0, 3, 0, 0, 0, 1])),
        "sale_condition": np.where(x["is new"], "Partial", draw.pick("sale_condition", [91, 7, 0, 0, 2])),
    }
