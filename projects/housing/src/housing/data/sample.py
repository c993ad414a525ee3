"""Invented sales in the exact layout and with the kinds of dirt of the Ames file.

No row, price or parcel of the real data is in here: every house is drawn from the formulas below.
The sample lets everything run without a network; prices that a model learns from it mean nothing.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from housing.data.columns import columns
from housing.data.sample_houses import Columns, Floats, draw_houses

N_SALES = 800
SEED = 2006


def write_sample(folder: Path, *, seed: int = 0) -> Path:
    """Write generated sales as a file in the published layout, and return its path."""
    path = folder / "sales.csv"
    generate_sales(seed=SEED + seed).to_csv(path, index=False)
    return path


def generate_sales(n_sales: int = N_SALES, *, seed: int = SEED) -> pd.DataFrame:
    """Draw sales as text cells with the published headings, and a few exact copies of rows beside them.

    Every cell is a str: "NA" for "has none", "" for unknown.
    """
    rng = np.random.default_rng(seed)
    house = draw_houses(n_sales, rng)
    price = _draw_prices(house, rng)
    names = {name: column.source for name, column in columns().items()}
    inputs = {names[name]: _as_text(house[name]) for name in names}
    keys = [f"{key:010d}" for key in 900_000_000 + rng.permutation(n_sales)]
    frame = pd.DataFrame({"Order": "", "PID": keys, **inputs, "SalePrice": _as_text(np.round(price, -2))})
    return _add_dirt(frame, rng)


def _draw_prices(house: Columns, rng: Generator) -> Floats:
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
    return np.asarray(np.exp(log_price + noise))


def _as_text(values: NDArray[Any]) -> list[str]:
    return [value if isinstance(value, str) else f"{float(value):.0f}" for value in values.tolist()]


def _add_dirt(frame: pd.DataFrame, rng: Generator) -> pd.DataFrame:
    """Blank cells, contradict, misspell and repeat, as the real file does."""

    def sample_rows(share: float) -> NDArray[np.int64]:
        return rng.choice(len(frame), size=max(1, int(share * len(frame))), replace=False)

    frame.loc[sample_rows(0.17), "Lot Frontage"] = ""
    veneer = sample_rows(0.008)
    frame.loc[veneer, ["Mas Vnr Type", "Mas Vnr Area"]] = ""
    frame.loc[sample_rows(0.002), "Electrical"] = ""
    garage = frame.index[frame["Garage Type"] != "NA"]
    frame.loc[garage[0], "Garage Yr Blt"] = "2207"
    plain = frame.index[frame["Mas Vnr Type"] == "None"]
    frame.loc[plain[:2], "Mas Vnr Area"] = "288"
    frame["Exterior 2nd"] = frame["Exterior 2nd"].replace(
        {"CemntBd": "CmentBd", "WdShing": "Wd Shng", "BrkComm": "Brk Cmn"}
    )
    frame["Sale Type"] = frame["Sale Type"].replace("WD", "WD ")
    copies = frame.iloc[sample_rows(0.004)]
    frame = pd.concat([frame, copies], ignore_index=True)
    frame["Order"] = [str(order) for order in range(1, len(frame) + 1)]
    return frame
