"""The tables of the documents, each from what was recorded."""

from collections.abc import Mapping, Sequence
from math import ceil, log, sqrt
from typing import Any

from housing.config import COVERAGE
from housing.evaluation.evaluate import METRIC_LABELS
from housing.evaluation.study_tables import study_sections
from portfolio_shared.evaluation.sections import interval_cell, markdown_table

Stored = Mapping[str, Any]
FEW = 10
"""Groups with fewer test houses are not shown."""
AIM = 0.87
"""Share of the 90 % intervals that is to hold in every fifth of the price paid."""


def sections(recorded: Stored) -> dict[str, str]:
    """Return every marked section but the data report and what other commands measure."""
    return {
        "result": result_table(recorded),
        "candidates": candidates_table(recorded),
        "ablation": ablation_table(recorded["ablation"]),
        "test": test_table(recorded),
        "intervals": intervals_table(recorded),
        "examples": examples(recorded),
        "expensive": misses_table(recorded["expensive"]),
        "groups": groups_table(recorded["groups"]),
        "misses": misses_table(recorded["misses"]),
        **study_sections(recorded),
    }


def result_table(recorded: Stored) -> str:
    """Return the result in a row for each model: errors of the test houses in dollars and percent."""
    columns = ("median_absolute_error", "mean_absolute_error", "mean_absolute_percentage_error")
    models = {f"**{recorded['chosen']} (served)**": recorded["test"], **recorded["baselines"]}
    order = sorted(models, key=lambda name: models[name]["median_absolute_error"]["estimate"])
    rows = [[name, *(_cell(models[name][metric]) for metric in columns)] for name in order]
    headings = ["test houses", "half of the errors are below", "mean absolute error", "the same, % of the price"]
    return markdown_table(headings, rows)


def _cell(stored: Mapping[str, float]) -> str:
    """Return dollars as such, and a share in percent."""
    form = "${:,.0f} ({:,.0f} to {:,.0f})" if stored["high"] > 1 else "{:.1%} ({:.1%} to {:.1%})"
    return form.format(*stored.values()).replace("%", " %")


def candidates_table(recorded: Stored) -> str:
    """Return every candidate, cross-validated, the best first, with its paired difference from the served one."""
    rows = []
    for name, metrics in recorded["candidates"].items():
        apart = recorded["differences"].get(name, {}).get("mae")
        rows.append(
            [
                f"**{name}**" if name == recorded["chosen"] else name,
                f"{metrics['rmsle_mean']:.4f}",
                f"{metrics['rmsle_sd']:.4f}",
                f"{metrics['mae_mean']:,.0f}",
                "{:+,.0f} ({:+,.0f} to {:+,.0f})".format(*apart.values()) if apart else "",
                f"{metrics['fit_seconds']:.2f}",
            ]
        )
    headings = ["candidate", "RMSLE", "sd over folds", "MAE, dollars", "more than the served one", "fit, s"]
    return markdown_table(headings, rows)


def examples(recorded: Stored) -> str:
    """Return three houses that are priced badly: the worst, the worst that looks normal, the most expensive."""
    misses: list[Stored] = recorded["misses"]
    first: Stored = [*recorded["expensive"], *misses][0]
    normal = next((miss for miss in misses if "nothing unusual" in miss["why"]), misses[-1])
    kinds = {"The worst": misses[0], "The worst without a reason in the data": normal, "The most expensive": first}
    return "\n".join(
        f"- **{kind}** (parcel {miss['key']}): paid ${miss['price']:,.0f}, predicted ${miss['predicted']:,.0f}, "
        f"interval ${miss['low']:,.0f} to ${miss['high']:,.0f}. {miss['why']}"
        for kind, miss in kinds.items()
    ).replace("%", " %")


def ablation_table(steps: Sequence[Stored]) -> str:
    """Return what each step contributes."""
    rows = [
        [step["name"], f"{step['rmsle']:.4f}", f"{step['mae']:,.0f}", f"{step['training_rmsle']:.4f}"] for step in steps
    ]
    return markdown_table(["step", "RMSLE held out", "MAE, dollars", "RMSLE on its own training rows"], rows)


def test_table(recorded: Stored) -> str:
    """Return the test metrics with intervals, beside those from ten fields and those of the baselines."""
    columns = {"all fields": recorded["test"], "ten fields": recorded["ten_fields"], **recorded["baselines"]}
    rows = [
        [label, *(interval_cell(column[metric]) if metric in column else "" for column in columns.values())]
        for metric, label in METRIC_LABELS.items()
    ]
    return markdown_table(["test split", *columns], rows)


def intervals_table(recorded: Stored) -> str:
    """Return coverage by price quintile, and widths against constant intervals."""
    quintiles = [group for group in recorded["groups"] if group["by"] == "price quintile"]
    rows = [
        [f"price quintile {group['name']}", f"{group['coverage']:.1%}", str(group["houses"])] for group in quintiles
    ]
    rows.append(["all", f"{recorded['test']['interval_coverage']['estimate']:.1%}", str(recorded["rows"]["test"])])
    width, ratio = recorded["test"]["mean_interval_width"]["estimate"], recorded["width_ratio"]
    return (
        markdown_table(["test houses", "share inside the 90 % interval", "houses"], rows)
        + f"\n\nMean width {width:,.0f} dollars: {ratio['constant_dollars']:.1%} of the width of one constant "
        f"half width in dollars, {ratio['constant_relative']:.1%} of one constant half width in percent of the price, "
        f"and {ratio['no_model']:.1%} of the interval that ignores the house, each calibrated to the same "
        f"coverage on the same houses.\n\n{aim_sentence(quintiles)}\n"
    )


def aim_sentence(quintiles: Sequence[Stored]) -> str:
    """Say whether every fifth of the test houses holds what was aimed at, and what it lacks in houses if not."""
    lacking = {
        group["name"]: missing
        for group in quintiles
        if (missing := ceil(AIM * group["houses"]) - round(group["coverage"] * group["houses"])) > 0
    }
    if not lacking:
        return f"Every fifth holds the {AIM:.0%} that were aimed at."
    houses = ", ".join(f"{missing} in fifth {name}" for name, missing in lacking.items())
    error = sqrt(COVERAGE * (1 - COVERAGE) / min(group["houses"] for group in quintiles))
    return (
        f"The aim was {AIM:.0%} in every fifth; houses that are lacking: {houses}. By chance alone, the share of a "
        f"fifth with a true coverage of {COVERAGE:.0%} has a standard error of {error:.1%}."
    )


def groups_table(groups: Sequence[Stored]) -> str:
    """Return the errors by kind of house; groups with few test houses are not shown, and counted."""
    rows = [
        [
            f"{group['by']}: {group['name']}",
            str(group["houses"]),
            f"{group['rmsle']:.3f}",
            f"{group['bias']:+.3f}",
            f"{group['coverage']:.0%}",
        ]
        for group in groups
        if group["houses"] >= FEW
    ]
    hidden = len(groups) - len(rows)
    note = f"\n\n{hidden} groups with fewer than {FEW} test houses are not shown; `docs/report.json` has them.\n"
    return markdown_table(["kind of house", "houses", "RMSLE", "bias (log)", "coverage"], rows) + note


def misses_table(misses: Sequence[Stored]) -> str:
    """Return houses one by one, with the log error by which the worst are sorted: half and twice are as bad."""
    rows = [
        [
            miss["why"],
            miss["key"],
            f"{miss['price']:,.0f}",
            f"{miss['predicted']:,.0f}",
            f"{log(miss['predicted'] / miss['price']):+.2f}",
        ]
        for miss in misses
    ]
    return markdown_table(["why", "parcel", "paid", "predicted", "log error"], rows)


def baselines_table(measured: Stored) -> str:
    """Return what `make bench-housing` measured last: the served model beside the usual libraries."""
    return markdown_table(*baseline_rows(measured["rows"]))


def baseline_rows(measured: Sequence[Stored]) -> tuple[list[str], list[list[str]]]:
    """Return headings and a row for each model; the difference is the served model minus this one."""
    headings = ["model", "RMSLE", "sd", "up to 4,000 sq ft", "MAE, dollars", "fit, s", "difference (95 % interval)"]
    rows = [
        [
            row["name"],
            f"{row['rmsle_mean']:.4f}",
            f"{row['rmsle_sd']:.4f}",
            f"{row['rmsle_mean_up_to_4000_sf']:.4f}",
            f"{row['mae_mean']:,.0f}",
            f"{row['fit_seconds']:.1f}",
            "{:.4f} ({:.4f} to {:.4f})".format(*row["difference"].values()) if "difference" in row else "",
        ]
        for row in measured
    ]
    return headings, rows


def summary_table(recorded: Stored) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    metric = "root_mean_squared_log_error"
    models = {"served model": recorded["test"], **recorded["baselines"]}
    rows = [[name, interval_cell(metrics[metric])] for name, metrics in models.items()]
    return markdown_table([f"house prices, {recorded['rows']['test']} test houses", "RMSLE (95 % interval)"], rows)
