"""The tables of what only the report measures."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from housing.evaluation.fairness import THIRDS
from portfolio_shared.evaluation.sections import interval_cell, markdown_table

Stored = Mapping[str, Any]


def study_sections(recorded: Stored) -> dict[str, str]:
    """Return the sections of the studies."""
    return {
        "families": families_table(recorded["families"]),
        "left-out": left_out_table(recorded["left_out"]),
        "bias-variance": bias_variance_table(recorded["bias_variance"]),
        "next-year": next_year_table(recorded["next_year"]),
        "areas": areas_table([area for area in recorded["areas"] if area["name"] in THIRDS]),
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
    """Return the parts of each model's squared error in squared per cent, the smallest sum first."""

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
    headings += ["more than with sales of that year", "half of the errors are below", "mean error (above 0: too high)"]
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
    headings = ["", "neighborhoods", "houses", "mean error", "mean size of an error", "over 10 % too high"]
    return markdown_table(headings, rows)


def contributions_table(contributions: Mapping[str, float]) -> str:
    """Return by how much each group of fields moves a price, up or down, on average."""
    rows = [[name, f"{dollars:,.0f}"] for name, dollars in contributions.items()]
    return markdown_table(["group of fields", "dollars, up or down, on average"], rows)
