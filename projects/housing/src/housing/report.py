"""Write the README's tables and figures from one training: nothing in them is typed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import ceil, sqrt
from pathlib import Path
from typing import Any

from rich.console import Console

from housing.config import COVERAGE, MODEL_NAME, ReportConfig, TrainConfig
from housing.data.house import sparsely
from housing.evaluation.ablation import Step, ablate
from housing.evaluation.candidates import COLUMNS
from housing.evaluation.errors import by_group, worst
from housing.evaluation.evaluate import METRIC_LABELS, measure
from housing.evaluation.figures import draw
from housing.evaluation.learning_curve import SHARES, draw_learning_curve, learning_curve
from housing.train import Trained, learn
from portfolio_shared.data.checks import stored_report
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.documents import Contents, refill, write_report
from portfolio_shared.evaluation.figures import save_figure
from portfolio_shared.evaluation.sections import (
    interval_cell,
    markdown_table,
    measured_sections,
    rates_table,
    serving_table,
)
from portfolio_shared.evaluation.tables import candidate_rows
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress

Stored = Mapping[str, Any]
FEW = 10
"""Groups with fewer test houses are not shown."""
AIM = 0.87
"""Share of the 90 % intervals that is to hold in every fifth of the price paid."""


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, take the model apart, and write `docs/` and the marked sections of the READMEs."""
    console = console or Console()
    if config.refill:
        console.print(refill(config, MODEL_NAME, contents))
        return
    trained = learn(TrainConfig(data=config.data, tracking_uri="", seed=config.seed, threads=config.threads), console)
    split, settings, folds = trained.split, trained.settings, trained.split.n_folds
    with progress(console, "ablation", total=folds) as advance:
        steps = ablate(split, settings, threads=config.threads, advance=advance)
    with progress(console, "learning curve", total=folds * len(SHARES)) as advance:
        curve = learning_curve(split, settings, threads=config.threads, advance=advance)
    draw(trained.evaluation, trained.candidates, config.project / "docs")
    save_figure(draw_learning_curve(curve), config.project / "docs" / "learning-curve.svg")
    recorded = record(trained, steps, curve)
    stated = contents(recorded, config.benchmarks, config.project / "docs")
    console.print(write_report(config, MODEL_NAME, recorded, stated))


def record(trained: Trained, steps: Sequence[Step], curve: Mapping[int, list[float]]) -> dict[str, Any]:
    """Return everything the README states, as JSON types."""
    data, split, evaluation = trained.data, trained.split, trained.evaluation
    return {
        "data": {"source": data.source.kind, "sha256": data.sha256, "report": data.report.as_dict()},
        "rows": {"train": len(split.train.frame), "test": len(split.test.frame)},
        "test_split_sha256": split_digest(split.test.keys),
        "chosen": trained.chosen,
        "settings": trained.settings.model_dump(mode="json"),
        "candidates": {name: candidate.metrics for name, candidate in trained.candidates.items()},
        "test": as_json(evaluation.metrics),
        "baselines": {name: as_json(metrics) for name, metrics in trained.baselines.items()},
        "ten_fields": as_json(ten_fields(trained)),
        **trained.details,
        "calibration": {f"{level:g}": share for level, share in evaluation.calibration.items()},
        "groups": [asdict(group) for group in by_group(evaluation)],
        "misses": [asdict(miss) for miss in worst(evaluation, trained.predictor)],
        "ablation": [asdict(step) for step in steps],
        "learning_curve": {str(size): errors for size, errors in curve.items()},
    }


def ten_fields(trained: Trained) -> dict[str, Interval]:
    """Return the test metrics when only the ten required fields are given and the rest is filled."""
    test = trained.split.test
    return measure(test, *trained.predictor.price_and_interval([sparsely(record) for record in test.records]))


def as_json(metrics: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """Return metrics with their intervals as JSON types."""
    return {name: interval._asdict() for name, interval in metrics.items()}


def tables(recorded: Stored) -> dict[str, str]:
    """Return the project README's marked sections from what was recorded."""
    return {
        "data": stored_report(recorded["data"]["report"]).as_markdown(),
        "candidates": markdown_table(*candidate_rows(recorded["candidates"], COLUMNS, chosen=recorded["chosen"])),
        "ablation": ablation_table(recorded["ablation"]),
        "test": test_table(recorded),
        "intervals": intervals_table(recorded),
        "groups": groups_table(recorded["groups"]),
        "misses": misses_table(recorded["misses"]),
    }


def contents(recorded: Stored, results: Path, docs: Path) -> Contents:
    """Return what the documents state of what was recorded."""
    return Contents({**tables(recorded), **measured(results, docs)}, numbers(recorded), summary_table(recorded))


def numbers(recorded: Stored) -> dict[str, str]:
    """Return the numbers that prose names."""
    return {"median_error": f"{recorded['test']['median_absolute_error']['estimate']:,.0f}"}


def measured(results: Path, docs: Path) -> dict[str, str]:  # noqa: ARG001 -- other projects measure into docs too
    """Return the sections that other commands measured; a file that is missing is named."""
    return measured_sections(
        {
            "baselines": (results / "housing.json", baselines_table),
            "serving": (results / "housing_serving.json", serving_table),
            "batch": (results / "housing_batch.json", rates_table),
        }
    )


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
        f"half width in dollars, {ratio['constant_relative']:.1%} of one constant half width in per cent of the price, "
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
    """Return the houses with the largest errors."""
    rows = [[miss["why"], miss["key"], f"{miss['price']:,.0f}", f"{miss['predicted']:,.0f}"] for miss in misses]
    return markdown_table(["why", "parcel", "paid", "predicted"], rows)


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
