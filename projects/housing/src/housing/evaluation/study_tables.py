"""The tables of what only the report measures."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from housing.config import COVERAGE
from housing.evaluation.errors import EXPENSIVE
from housing.evaluation.fairness import THIRDS
from housing.evaluation.on_test import ALL
from portfolio_shared.evaluation.sections import interval_cell, markdown_table
from portfolio_shared.evaluation.uncertainty import wilson_interval

Stored = Mapping[str, Any]


def study_sections(recorded: Stored) -> dict[str, str]:
    """Return the sections of the studies."""
    return {
        "families": families_table(recorded["families"]),
        "left-out": left_out_table(recorded["left_out"]),
        "bias-variance": bias_variance_table(recorded["bias_variance"]),
        "next-year": next_year_table(recorded["next_year"]),
        "areas": areas_table([area for area in recorded["areas"] if area["name"] in THIRDS]),
        "folds-test": folds_test_table(recorded["folds_beside_test"]),
        "held": held_table(recorded["held"]),
        "contributions": contributions_table(recorded["contributions"]),
    }


def families_table(families: Sequence[Stored]) -> str:
    """Return what the linear member loses without each family of derived features."""
    rows = [
        [
            family["name"],
            f"{family['rmsle']:.4f}",
            "{:+.4f} ({:+.4f} to {:+.4f})".format(*family["difference"].values()),
        ]
        for family in families
    ]
    return markdown_table(["linear member without", "RMSLE", "more than with all"], rows)


def left_out_table(rows: Sequence[Stored]) -> str:
    """Return what fields are worth to the served model."""
    cells = [
        [
            row["name"],
            f"{row['rmsle']:.4f}",
            "{:+.4f} ({:+.4f} to {:+.4f})".format(*row["rmsle_difference"].values()),
            f"{row['mae']:,.0f}",
            "{:+,.0f} ({:+,.0f} to {:+,.0f})".format(*row["mae_difference"].values()),
        ]
        for row in rows
    ]
    return markdown_table(["the blend", "RMSLE", "more than served", "MAE, dollars", "more than served"], cells)


def bias_variance_table(spreads: Sequence[Stored]) -> str:
    """Return the parts of each model's squared error in squared percent, the smallest sum first."""

    def total(spread: Stored) -> float:
        return float(spread["bias"]["estimate"] + spread["variance"]["estimate"])

    rows = [
        [
            spread["name"],
            _squared_percent(spread["bias"]),
            _squared_percent(spread["variance"]),
            f"{spread['variance']['estimate'] / total(spread):.0%}".replace("%", " %"),
            f"{100 * sqrt(total(spread)):.1f} %",
        ]
        for spread in sorted(spreads, key=total)
    ]
    return markdown_table(["model", "squared bias and noise", "variance", "share of variance", "root of the sum"], rows)


def _squared_percent(part: Mapping[str, float]) -> str:
    return "{:.1f} ({:.1f} to {:.1f})".format(*(1e4 * value for value in part.values()))


def next_year_table(measured: Stored) -> str:
    """Return how the last year is priced by what the years before teach."""
    rows = [
        [
            row["name"],
            interval_cell(row["rmsle"]),
            "{:+.4f} ({:+.4f} to {:+.4f})".format(*row["difference"].values()),
            interval_cell(row["median_error"]),
            interval_cell(row["mean_error"]),
        ]
        for row in measured["rows"]
    ]
    headings = [
        f"{measured['houses']} sales of {measured['year']}, learned from {measured['learned']:,} before",
        "RMSLE",
    ]
    headings += ["more than with sales of that year", "half of the errors are below", "bias (above 0: too high)"]
    return markdown_table(headings, rows)


def areas_table(areas: Sequence[Stored]) -> str:
    """Return the errors in thirds of the neighborhoods."""
    rows = [
        [
            area["name"],
            str(area["neighborhoods"]),
            str(area["houses"]),
            *("{:+.1%} ({:+.1%} to {:+.1%})".format(*area["mean_error"].values()).replace("%", " %"),),
            *(
                "{:.1%} ({:.1%} to {:.1%})".format(*area[name].values()).replace("%", " %")
                for name in ("error", "too_high")
            ),
        ]
        for area in areas
    ]
    headings = ["", "neighborhoods", "houses", "bias", "mean size of an error", "over 10 % too high"]
    return markdown_table(headings, rows)


def contributions_table(contributions: Mapping[str, float]) -> str:
    """Return by how much each group of fields moves a price, up or down, on average."""
    rows = [[name, f"{dollars:,.0f}"] for name, dollars in contributions.items()]
    return markdown_table(["group of fields", "dollars, up or down, on average"], rows)


def folds_test_table(parts: Sequence[Stored]) -> str:
    """Return the served model's errors on folds beside those on the test, with and without expensive houses."""
    rows = [
        [
            "all" if part["name"] == ALL else f"{part['name']} ${EXPENSIVE:,}",
            *(
                text
                for where in ("fold", "test")
                for text in (
                    f"{part[f'{where}_houses']:,}",
                    f"${part[f'{where}_dollars']:,.0f}, {100 * part[f'{where}_share']:.1f} %",
                )
            ),
        ]
        for part in parts
    ]
    return markdown_table(["houses", "on folds", "mean absolute error", "in the test", "mean absolute error"], rows)


def held_table(groups: Sequence[Stored]) -> str:
    """Return the coverage of groups of test houses with its interval, with all fields and with the ten alone."""
    rows = [
        [
            f"{group['by']}: {group['name']}",
            str(group["houses"]),
            *(share_with_interval(group[kind], group["houses"]) for kind in ("full", "sparse")),
        ]
        for group in groups
    ]
    headings = ["test houses by", "houses", f"inside the {100 * COVERAGE:g} % interval, all fields", "ten fields"]
    return markdown_table(headings, rows)


def share_with_interval(share: float, n: int) -> str:
    """Return a share of n houses with its 95 % interval (Wilson 1927)."""
    low, high = wilson_interval(np.array([share]), np.array([float(n)]))
    return f"{100 * share:.0f} % ({100 * low[0]:.0f} to {100 * high[0]:.0f})"
