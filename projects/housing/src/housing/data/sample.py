"""Invented sales in the exact layout and with the kinds of dirt of the Ames file.

No row, price or parcel of the real data is in here: every house is drawn from the formulas below.
The sample lets everything run without a network; prices that a model learns from it mean nothing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from housing.data.columns import columns

N_SALES = 800
SEED = 2006

Floats = NDArray[np.float64]


def generate_sales(n_sales: int = N_SALES, *, seed: int = SEED) -> pd.DataFrame:
    """Draw sales as text cells with the published headings.

    Parameters
    ----------
    n_sales
        Rows before dirt; a few exact copies of rows are added.

    Returns
    -------
    pandas.DataFrame
        Shape (about n_sales, 82), every cell a str, "NA" for "has none", "" for unknown.
    """
    rng = np.random.default_rng(seed)
    house = _draw_houses(n_sales, rng)
    price = _draw_prices(house, rng)
    names = {name: column.source for name, column in columns().items()}
    inputs = {names[name]: _as_text(house[name]) for name in names}
    keys = [f"{key:010d}" for key in 900_000_000 + rng.permutation(n_sales)]
    frame = pd.DataFrame({"Order": "", "PID": keys, **inputs, "SalePrice": _as_text(np.round(price, -2))})
    return _add_dirt(frame, rng)


def _draw_houses(n: int, rng: Generator) -> dict[str, NDArray[np.object_] | Floats]:
    """Draw correlated properties: good neighbourhoods hold newer, larger, better houses."""
    table = columns()

    def pick(name: str, weights: Sequence[float]) -> NDArray[np.object_]:
        codes = list(table[name].choices)
        chances = np.pad(np.asarray(weights, dtype=float), (0, len(codes) - len(weights)))
        drawn: NDArray[np.object_] = rng.choice(np.array(codes, dtype=object), size=n, p=chances / chances.sum())
        return drawn

    def graded(name: str, score: Floats, *, spread: float = 0.6) -> NDArray[np.object_]:
        """Turn a standard-normal score into the levels of an ordinal, None (if it has that level) excluded."""
        codes = np.array([code for code in table[name].choices if code != "None"], dtype=object)
        noisy = score + rng.normal(0, spread, n)
        middle = (len(codes) - 1) / 2
        picked: NDArray[np.object_] = codes[np.clip(np.rint(middle + 0.4 + noisy), 0, len(codes) - 1).astype(int)]
        return picked

    neighbourhoods = np.array(list(table["neighborhood"].choices), dtype=object)
    area = rng.choice(len(neighbourhoods), size=n, p=rng.dirichlet(np.full(len(neighbourhoods), 2.0)))
    wealth = np.linspace(-1.5, 1.5, len(neighbourhoods))[rng.permutation(len(neighbourhoods))][area]

    year_sold = rng.integers(2006, 2011, n)
    built = np.clip(np.rint(1965 + 18 * wealth + rng.normal(0, 18, n)), 1880, year_sold).astype(int)
    remodelled = np.where(rng.random(n) < 0.35, rng.integers(np.maximum(built, 1950), year_sold + 1), built)
    quality = np.clip(np.rint(6 + wealth + (built - 1965) / 40 + rng.normal(0, 0.8, n)), 1, 10)
    finish = (quality - 6) / 1.5
    living = np.clip(np.rint(np.exp(7.2 + 0.16 * finish + rng.normal(0, 0.22, n))), 400, 3900)
    storeys = rng.random(n) < 0.42
    second = np.where(storeys, np.rint(living * rng.uniform(0.38, 0.5, n)), 0)
    has_basement = rng.random(n) > 0.03
    basement = np.where(has_basement, np.rint((living - second) * rng.uniform(0.8, 1.05, n)), 0)
    finished = np.where(rng.random(n) < 0.65, np.rint(basement * rng.uniform(0.2, 0.95, n)), 0)
    bedrooms = np.clip(np.rint(living / 520 + rng.normal(0, 0.5, n)), 1, 6)
    cars = np.clip(np.rint(1.6 + 0.5 * finish + rng.normal(0, 0.6, n)), 0, 4)
    fires = rng.binomial(2, np.clip(0.25 + 0.12 * finish, 0.02, 0.8), n)
    veneer = rng.random(n) < 0.38
    lot = np.clip(np.rint(np.exp(9.1 + 0.12 * wealth + rng.normal(0, 0.35, n))), 1300, 90_000)
    new = (year_sold - built <= 1) & (rng.random(n) < 0.7)

    def only(mask: NDArray[np.bool_], values: NDArray[np.object_] | Floats) -> NDArray[np.object_]:
        return np.where(mask, values.astype(object), "NA")

    garage, fireplace = cars > 0, fires > 0
    return {
        "ms_subclass": np.where(storeys, "060", "020").astype(object),
        "ms_zoning": pick("ms_zoning", [0, 1, 5, 0, 1, 80, 0, 15]),
        "lot_frontage": np.rint(np.sqrt(lot) * rng.uniform(0.55, 0.9, n)),
        "lot_area": lot,
        "street": pick("street", [1, 99]),
        "alley": only(rng.random(n) < 0.06, pick("alley", [0, 6, 4])),
        "lot_shape": pick("lot_shape", [1, 3, 33, 63]),
        "land_contour": pick("land_contour", [90, 4, 4, 2]),
        "utilities": pick("utilities", [0, 0, 0, 1]),
        "lot_config": pick("lot_config", [73, 17, 6, 3, 1]),
        "land_slope": pick("land_slope", [1, 4, 95]),
        "neighborhood": neighbourhoods[area],
        "condition_1": pick("condition_1", [86, 3, 6, 1, 2, 1, 1]),
        "condition_2": pick("condition_2", [99, 1]),
        "bldg_type": pick("bldg_type", [83, 2, 4, 8, 3]),
        "house_style": np.where(storeys, "2Story", "1Story").astype(object),
        "overall_qual": quality,
        "overall_cond": np.clip(np.rint(5.5 + rng.normal(0, 1.1, n)), 1, 9),
        "year_built": built,
        "year_remod_add": remodelled,
        "roof_style": pick("roof_style", [1, 79, 1, 19]),
        "roof_matl": pick("roof_matl", [0, 99, 0, 0, 0, 1]),
        "exterior_1st": pick("exterior_1st", [2, 0, 0, 3, 0, 4, 15, 0, 15, 0, 8, 0, 0, 1, 35, 14, 2]),
        "exterior_2nd": pick("exterior_2nd", [2, 0, 1, 2, 0, 4, 14, 1, 15, 0, 9, 0, 0, 1, 35, 13, 3]),
        "mas_vnr_type": np.where(veneer, pick("mas_vnr_type", [0, 2, 75, 0, 23]), "None"),
        "mas_vnr_area": np.where(veneer, np.rint(rng.gamma(2.5, 90, n)) + 10, 0),
        "exter_qual": graded("exter_qual", finish * 0.7),
        "exter_cond": graded("exter_cond", np.zeros(n), spread=0.4),
        "foundation": np.where(built > 1985, "PConc", np.where(built > 1940, "CBlock", "BrkTil")).astype(object),
        "bsmt_qual": only(has_basement, graded("bsmt_qual", finish * 0.7)),
        "bsmt_cond": only(has_basement, graded("bsmt_cond", np.zeros(n), spread=0.4)),
        "bsmt_exposure": only(has_basement, pick("bsmt_exposure", [0, 65, 9, 15, 11])),
        "bsmtfin_type_1": only(
            has_basement, np.where(finished > 0, pick("bsmtfin_type_1", [0, 0, 7, 14, 13, 22, 44]), "Unf")
        ),
        "bsmtfin_sf_1": finished,
        "bsmtfin_type_2": only(has_basement, np.full(n, "Unf", dtype=object)),
        "bsmtfin_sf_2": np.zeros(n),
        "bsmt_unf_sf": basement - finished,
        "total_bsmt_sf": basement,
        "heating": pick("heating", [0, 98, 2]),
        "heating_qc": graded("heating_qc", finish * 0.5 + 0.3),
        "central_air": np.where(rng.random(n) < np.where(built > 1950, 0.98, 0.75), "Y", "N").astype(object),
        "electrical": np.where(built > 1960, "SBrkr", pick("electrical", [1, 1, 8, 20, 70])),
        "first_flr_sf": living - second,
        "second_flr_sf": second,
        "low_qual_fin_sf": np.zeros(n),
        "gr_liv_area": living,
        "bsmt_full_bath": (finished > 500).astype(float),
        "bsmt_half_bath": np.zeros(n),
        "full_bath": np.clip(np.rint(living / 1000 + rng.normal(0, 0.3, n)), 1, 4),
        "half_bath": (rng.random(n) < np.where(storeys, 0.7, 0.2)).astype(float),
        "bedroom_abv_gr": bedrooms,
        "kitchen_abv_gr": np.ones(n),
        "kitchen_qual": graded("kitchen_qual", finish * 0.8),
        "tot_rms_abv_grd": bedrooms + 2 + rng.integers(0, 4, n),
        "functional": pick("functional", [0, 0, 1, 1, 1, 2, 2, 93]),
        "fireplaces": fires,
        "fireplace_qu": only(fireplace, graded("fireplace_qu", finish * 0.5)),
        "garage_type": only(garage, pick("garage_type", [0, 1, 63, 1, 7, 1, 27])),
        "garage_yr_blt": np.where(garage, built.astype(object), ""),
        "garage_finish": only(garage, graded("garage_finish", finish * 0.6)),
        "garage_cars": cars,
        "garage_area": np.rint(cars * rng.uniform(220, 300, n)),
        "garage_qual": only(garage, graded("garage_qual", np.zeros(n), spread=0.3)),
        "garage_cond": only(garage, graded("garage_cond", np.zeros(n), spread=0.3)),
        "paved_drive": pick("paved_drive", [7, 2, 91]),
        "wood_deck_sf": np.where(rng.random(n) < 0.48, np.rint(rng.gamma(3, 60, n)), 0),
        "open_porch_sf": np.where(rng.random(n) < 0.55, np.rint(rng.gamma(2, 40, n)), 0),
        "enclosed_porch": np.where(rng.random(n) < 0.15, np.rint(rng.gamma(4, 35, n)), 0),
        "three_ssn_porch": np.where(rng.random(n) < 0.01, np.rint(rng.gamma(4, 50, n)), 0),
        "screen_porch": np.where(rng.random(n) < 0.08, np.rint(rng.gamma(4, 45, n)), 0),
        "pool_area": np.zeros(n),
        "pool_qc": np.full(n, "NA", dtype=object),
        "fence": only(rng.random(n) < 0.2, pick("fence", [0, 3, 20, 56, 21])),
        "misc_feature": only(rng.random(n) < 0.03, pick("misc_feature", [0, 0, 1, 1, 9])),
        "misc_val": np.zeros(n),
        "mo_sold": np.clip(np.rint(rng.normal(6.3, 2.6, n)), 1, 12),
        "yr_sold": year_sold,
        "sale_type": np.where(new, "New", pick("sale_type", [95, 1, 0, 0, 3, 0, 0, 0, 1])),
        "sale_condition": np.where(new, "Partial", pick("sale_condition", [91, 7, 0, 0, 2])),
    }


def _draw_prices(house: dict[str, NDArray[np.object_] | Floats], rng: Generator) -> Floats:
    """Price the houses: multiplicative in size and quality, with a neighbourhood level and an interaction."""

    def number(name: str) -> Floats:
        return house[name].astype(np.float64)

    _, place = np.unique(house["neighborhood"].astype(str), return_inverse=True)
    level = rng.normal(0, 0.12, place.max() + 1)[place]
    size = number("gr_liv_area") + 0.55 * number("total_bsmt_sf")
    age = number("yr_sold") - number("year_built")
    log_price = (
        6.05
        + 0.62 * np.log(size)
        + 0.11 * number("overall_qual")
        + 0.03 * number("overall_cond")
        + 0.08 * np.log(number("lot_area"))
        - 0.0035 * age
        + 0.05 * number("garage_cars")
        + 0.03 * number("fireplaces")
        + 0.05 * (house["central_air"] == "Y")
        + 0.00002 * (number("overall_qual") - 6) * (size - 2200)
        - 0.12 * (house["sale_condition"] == "Abnorml")
        + level
    )
    noise = rng.normal(0, 1, len(age)) * (0.06 + 0.0006 * age)  # old houses are harder to price
    price: Floats = np.exp(log_price + noise)
    return price


def _as_text(values: NDArray[np.object_] | Floats) -> list[str]:
    return [value if isinstance(value, str) else f"{float(value):.0f}" for value in values.tolist()]


def _add_dirt(frame: pd.DataFrame, rng: Generator) -> pd.DataFrame:
    """Blank cells, contradict, misspell and repeat, as the real file does."""

    def some(share: float) -> NDArray[np.int64]:
        return rng.choice(len(frame), size=max(1, int(share * len(frame))), replace=False)

    frame.loc[some(0.17), "Lot Frontage"] = ""
    veneer = some(0.008)
    frame.loc[veneer, ["Mas Vnr Type", "Mas Vnr Area"]] = ""
    frame.loc[some(0.002), "Electrical"] = ""
    garage = frame.index[frame["Garage Type"] != "NA"]
    frame.loc[garage[0], "Garage Yr Blt"] = "2207"
    plain = frame.index[frame["Mas Vnr Type"] == "None"]
    frame.loc[plain[:2], "Mas Vnr Area"] = "288"
    frame["Exterior 2nd"] = frame["Exterior 2nd"].replace(
        {"CemntBd": "CmentBd", "WdShing": "Wd Shng", "BrkComm": "Brk Cmn"}
    )
    frame["Sale Type"] = frame["Sale Type"].replace("WD", "WD ")
    copies = frame.iloc[some(0.004)]
    frame = pd.concat([frame, copies], ignore_index=True)
    frame["Order"] = [str(order) for order in range(1, len(frame) + 1)]
    return frame
