"""How often the test of `monitor` alarms: without drift, and with drifts of many sizes, on the houses of Ames.

For each look the 2,930 sales are shuffled anew: the first are the reference, up to 2,000, the next the window. So a
window of 2,000 rows has a reference of 930. What is compared are the 79 fields and the price paid, which a boom moves
and no field shows. The usual rules look at the same windows. At a level of 1 % up to 499 permutations decide a look.
Writes benchmarks/results/drift_power.json and the section of docs/operations.md, unless --output names another file.
"""

import argparse
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, Limit, check_limits, finish
from rich.console import Console
from scipy import stats

from housing.data.columns import columns
from housing.data.load import load
from portfolio_shared.evaluation.sections import fill_sections, markdown_table
from portfolio_shared.operations.drift import Drift, drift
from portfolio_shared.operations.permutations import EXCEEDANCES
from portfolio_shared.operations.watch import Columns
from portfolio_shared.terminal import progress
from portfolio_shared.tracking.git import current_commit

SIZES = (100, 200, 500, 2000)
REFERENCE_ROWS = 2000
ALPHA = 0.01
UNDRIFTED = "no drift"
MIDDLE = (0.001, 0.999)  # between which false alarms have to be
USUAL = "0.5 sd in one number"  # the drift that the rules are compared on
ONE, FIVE = ["gr_liv_area"], ["gr_liv_area", "first_flr_sf", "year_built", "total_bsmt_sf", "garage_area"]
BOOM = ["NAmes", "CollgCr"]  # the largest two: 710 sales
OURS = "one permutation test"
DOCUMENT = Path("docs/operations.md")
Change = Callable[[Columns], Columns]


def shift(names: Sequence[str], deviations: Mapping[str, float], size: float) -> Change:
    """Return what adds `size` standard deviations to numbers."""
    return lambda window: {**window, **{name: window[name].astype(float) + size * deviations[name] for name in names}}


def new_category(share: float) -> Change:
    """Return what moves a share of the rows, as good as drawn by chance, to a neighborhood that no one knows."""

    def change(window: Columns) -> Columns:
        known = window["neighborhood"]
        rows = np.arange(len(known)) < round(share * len(known))  # windows are shuffled
        return {**window, "neighborhood": np.where(rows, "Docks", known)}

    return change


def boom(share: float) -> Change:
    """Return what raises the prices paid in two neighborhoods."""

    def change(window: Columns) -> Columns:
        risen = np.isin(window["neighborhood"], BOOM)
        return {**window, "price": np.where(risen, (1 + share) * window["price"].astype(float), window["price"])}

    return change


def drifts_of(houses: Columns) -> dict[str, Change]:
    deviations = {name: float(np.nanstd(houses[name].astype(float))) for name in FIVE}
    numbers = {"one number": ONE, "five numbers": FIVE}
    return {
        UNDRIFTED: dict,
        "no drift, each house asked for twice": lambda window: {
            name: np.repeat(column[: len(column) // 2], 2) for name, column in window.items()
        },
        **{
            f"{size:g} sd in {how_many}": shift(numbers[how_many], deviations, size)
            for how_many, size in product(numbers, (0.1, 0.2, 0.5, 1.0))
        },
        **{f"a new category in {100 * share:g} % of rows": new_category(share) for share in (0.05, 0.2)},
        **{f"prices up {100 * share:g} % in two neighborhoods": boom(share) for share in (0.1, 0.25)},
    }


def read_houses() -> tuple[str, Columns]:
    """Return the name of the data, and fields and price of all houses."""
    data = load("sample")  # which is all of Ames
    fields: Columns = {
        name: data.sales.frame[name].to_numpy(dtype=np.float64)
        if column.is_numeric
        else data.sales.frame[name].fillna("").to_numpy(dtype=str)
        for name, column in columns().items()
    }
    return data.name, {**fields, "price": data.sales.prices}


def p_values(found: Drift, reference: Columns, window: Columns) -> list[float]:
    """Return p of each column alone: Kolmogorov-Smirnov for numbers, chi-squared for texts, as tools compute them."""
    values = []
    for column in found.columns:
        old, new = reference[column.name], window[column.name]
        n_old, n_new = round(len(old) * (1 - column.reference_missing)), column.rows
        if column.kind == "number":
            values.append(stats.kstwobign.sf(column.statistic * np.sqrt(n_old * n_new / (n_old + n_new))))
            continue
        texts, codes = np.unique(np.concatenate([old[old != ""], new[new != ""]]), return_inverse=True)
        counts = np.array([np.bincount(part, minlength=len(texts)) for part in (codes[:n_old], codes[n_old:])])
        expected = np.outer([n_old, n_new], counts.sum(axis=0)) / (n_old + n_new)
        values.append(stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), max(len(texts) - 1, 1)))
    return [float(value) for value in values]


def look(reference: Columns, window: Columns, *, seed: int) -> dict[str, bool]:
    """Return which rules alarm."""
    found = drift(reference, window, alpha=ALPHA, seed=seed)
    psi, p = max(column.psi for column in found.columns), min(p_values(found, reference, window))
    return {
        OURS: found.alarm,
        "PSI > 0.1 in a column": psi > 0.1,
        "PSI > 0.25 in a column": psi > 0.25,
        "p < 0.05 in a column": p < 0.05,
        f"p < {ALPHA:g}, Bonferroni": p < ALPHA / len(found.columns),
    }


def looks(houses: Columns, change: Change, n: int, *, size: int, seed: int) -> dict[str, int]:
    """Return how many of n windows each rule alarms in."""
    alarms: dict[str, int] = {}
    rng = np.random.default_rng([seed, size])  # every drift has the windows of the others
    rows = len(houses["price"])
    for i in range(n):
        order = rng.permutation(rows)
        known = min(REFERENCE_ROWS, rows - size)
        reference = {name: column[order[:known]] for name, column in houses.items()}
        window = {name: column[order[known : known + size]] for name, column in houses.items()}
        for rule, alarmed in look(reference, change(window), seed=i).items():
            alarms[rule] = alarms.get(rule, 0) + int(alarmed)
    return alarms


def measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    name, houses = read_houses()
    rows, commit, started = [], current_commit(), time.process_time()
    cases = list(product(options.sizes, drifts_of(houses).items()))
    with progress(console, "looks", total=len(cases)) as advance:
        for size, (kind, change) in cases:
            n = options.undrifted if kind == UNDRIFTED else options.drifted
            alarms = looks(houses, change, n, size=size, seed=options.seed)
            rows.append({"drift": kind, "size": size, "windows": n, "alarms": alarms})
            advance(f"{kind}, {size:,} rows")
    return {
        "data": name,
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "cpu_seconds": round(time.process_time() - started),
        "seed": options.seed,
        "alpha": ALPHA,
        "permutations": math.ceil(EXCEEDANCES / ALPHA) - 1,
        "rows": rows,
    }


def share(alarms: int, windows: int) -> str:
    """Return a share with the interval of Clopper and Pearson, 95 %, in percent."""
    low, high = stats.binomtest(alarms, windows).proportion_ci(method="exact")
    form = ".1f" if windows >= 1000 else ".0f"
    return f"{100 * alarms / windows:{form}} % ({100 * low:{form}} to {100 * high:{form}})"


def tables(recorded: Mapping[str, Any]) -> str:
    """Return what the document says of a record."""
    at = {(row["drift"], row["size"]): row for row in recorded["rows"]}
    kinds, sizes = (list(dict.fromkeys(row[key] for row in recorded["rows"])) for key in ("drift", "size"))
    heads = [f"{size:,} rows" for size in sizes]
    ours = [[kind, *(share(at[kind, n]["alarms"][OURS], at[kind, n]["windows"]) for n in sizes)] for kind in kinds]
    rules = [
        [rule, *(f"{rate(at[UNDRIFTED, n], rule)}; {rate(at[USUAL, n], rule)}" for n in sizes)]
        for rule in at[UNDRIFTED, sizes[0]]["alarms"]
    ]
    undrifted, drifted = at[UNDRIFTED, sizes[0]]["windows"], at[USUAL, sizes[0]]["windows"]
    low, high = (100 * stats.binom.ppf(q, undrifted, recorded["alpha"]) / undrifted for q in MIDDLE)
    said = (
        f"Share of windows that alarm at a level of {100 * recorded['alpha']:g} %, with its 95 % interval:"
        f" {recorded['data']}, {undrifted:,} windows without drift and {drifted:,} with each. Of {undrifted:,} windows"
        f" at that level {low:.1f} to {high:.1f} % alarm by chance, 998 times in 1,000."
    )
    beside = f"The usual rules on the same windows: false alarms; what is found of {USUAL}."
    return "\n\n".join([said, markdown_table(["drift", *heads], ours), beside, markdown_table(["rule", *heads], rules)])


def rate(row: Mapping[str, Any], rule: str) -> str:
    return f"{100 * row['alarms'][rule] / row['windows']:.{int(row['windows'] >= 1000)}f} %"


def limits_of(recorded: Mapping[str, Any]) -> list[Limit]:
    """Return that false alarms lie where 99.8 % of binomial counts do."""
    rows = [row for row in recorded["rows"] if row["drift"] == UNDRIFTED]
    counts = {f"false alarms at {row['size']} rows": row["alarms"][OURS] for row in rows}
    low, high = (
        {what: float(stats.binom.ppf(q, row["windows"], ALPHA)) for what, row in zip(counts, rows, strict=True)}
        for q in MIDDLE
    )
    return [*check_limits(counts, high), *check_limits(counts, low, least=True)]


def main() -> int:
    """Measure, write; return 1 if there were more or fewer false alarms than stated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows of windows (default: %(default)s)")
    parser.add_argument("--undrifted", type=int, default=1000, help="windows without drift (default: %(default)s)")
    parser.add_argument("--drifted", type=int, default=50, help="windows of each drift (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "drift_power.json", help="(default: %(default)s)")
    options, console = parser.parse_args(), Console()
    recorded = measure(options, console)
    console.print(tables(recorded))
    status = finish(console, options.output, recorded, limits_of(recorded))
    if options.output == parser.get_default("output"):
        fill_sections(DOCUMENT, {"drift-power": tables(recorded)})
    return status


if __name__ == "__main__":
    sys.exit(main())
