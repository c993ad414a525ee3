"""Write the README's tables and figures from one training: nothing in them is typed by hand."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console

from housing.config import MODEL_NAME, ModelSettings, ReportConfig, TrainConfig
from housing.data.load import Sales, load_sales, split_sales
from housing.evaluation.ablation import N_STEPS, Step, ablate
from housing.evaluation.errors import Answers, Group
from housing.evaluation.evaluate import METRIC_LABELS, Evaluation, measure
from housing.evaluation.figures import draw
from housing.models.fit import fit_members, sparsely
from housing.models.storage import load
from housing.train import Trained, learn
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import group_folds, split_digest
from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.conformal import interval_coverage, mean_interval_width
from portfolio_shared.evaluation.regression import root_mean_squared_log_error
from portfolio_shared.evaluation.sections import fill_sections, markdown_table, serving_table, with_interval
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress

Floats = NDArray[np.float64]

SHARES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, take the model apart, and write `docs/` and the marked sections of the READMEs."""
    console = console or Console()
    trained = learn(TrainConfig(data=config.data, tracking_uri="", seed=config.seed, threads=config.threads), console)
    training = trained.training
    records, prices = training.records, training.prices
    fold = group_folds(training.keys, n_folds=5, seed=config.seed)
    with progress(console, "ablation", total=5 * N_STEPS) as advance:
        steps = ablate(records, prices, fold, trained.settings, threads=config.threads, advance=advance)
    with progress(console, "learning curve", total=5 * len(SHARES)) as advance:
        curve = learning_curve(training, fold, trained.settings, threads=config.threads, advance=advance)
    ten = ten_fields(trained)

    docs = config.project / "docs"
    draw(trained.evaluation, list(trained.candidates.values()), docs)
    figures.save_figure(draw_curve(curve), docs / "learning-curve.svg")
    recorded = record(trained, steps, curve, ten)
    (docs / "report.json").write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    fill_sections(config.project / "README.md", {**sections(trained, steps, ten), **measured(config.benchmarks)})
    fill_sections(config.root_readme, {"housing": summary_row(trained)})
    console.print(f"Written: {docs}, {config.project / 'README.md'} and {config.root_readme}")


def learning_curve(
    training: Sales,
    fold: NDArray[np.int64],
    settings: ModelSettings,
    *,
    threads: int = 2,
    advance: Callable[[str], None] = lambda _: None,
) -> dict[int, list[float]]:
    """Return number of training houses -> RMSLE on each held-out fold, for growing shares of the other folds."""
    records, prices = training.records, training.prices
    curve: dict[int, list[float]] = {}
    for share in SHARES:
        for k in range(int(fold.max()) + 1):
            rng = np.random.default_rng(k)
            inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            used = rng.permutation(inside)[: int(share * len(inside))]
            members = fit_members([records[i] for i in used], prices[used], settings, threads=threads)
            predicted = members.log_prices([records[i] for i in outside]).blend(settings.linear_weight)
            error = root_mean_squared_log_error(prices[outside], np.exp(predicted))
            size = round(share * len(training.frame) * 0.8)
            curve.setdefault(size, []).append(error)
            advance(f"learning curve: {len(used):,} houses")
    return curve


def draw_curve(curve: Mapping[int, list[float]]) -> Figure:
    """Draw the learning curve with one standard error of the folds' mean."""
    errors = np.array(list(curve.values()))
    mean, spread = errors.mean(axis=1), errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
    return figures.line_with_band(
        list(curve),
        {"RMSLE": (mean, mean - spread, mean + spread)},
        xlabel="Houses to learn from",
        ylabel="RMSLE of held-out houses",
        title="Error by the number of houses to learn from",
    )


def ten_fields(trained: Trained) -> dict[str, Interval]:
    """Return the test metrics when only the ten required fields are given and the rest is filled."""
    sparse = [sparsely(record) for record in trained.test.records]
    return measure(Answers(trained.test, *trained.predictor.price_and_interval(sparse)))


def record(
    trained: Trained, steps: list[Step], curve: Mapping[int, list[float]], ten: Mapping[str, Interval]
) -> dict[str, object]:
    """Return everything the README states, as JSON types."""
    evaluation = trained.evaluation
    return {
        "data": {"source": trained.training.source.kind, "sha256": trained.training.sha256},
        "rows": {"train": len(trained.training.frame), "test": len(trained.test.frame)},
        "test_split_sha256": split_digest(trained.test.keys),
        "chosen": trained.chosen,
        "settings": trained.settings.model_dump(mode="json"),
        "candidates": {name: candidate.summary for name, candidate in trained.candidates.items()},
        "test": {name: interval._asdict() for name, interval in evaluation.metrics.items()},
        "baselines": {
            name: {metric: interval._asdict() for metric, interval in metrics.items()}
            for name, metrics in trained.baselines.items()
        },
        "ten_fields": {name: interval._asdict() for name, interval in ten.items()},
        "width_ratio": evaluation.width_ratio,
        "calibration": {f"{level:g}": share for level, share in evaluation.calibration.items()},
        "groups": [asdict(group) for group in evaluation.groups],
        "misses": [asdict(miss) for miss in evaluation.misses],
        "ablation": [asdict(step) for step in steps],
        "learning_curve": {str(size): errors for size, errors in curve.items()},
    }


def sections(trained: Trained, steps: list[Step], ten: Mapping[str, Interval]) -> dict[str, str]:
    """Return the project README's marked sections."""
    evaluation = trained.evaluation
    return {
        "data": trained.training.report.as_markdown(),
        "candidates": candidates_table(trained),
        "ablation": ablation_table(steps),
        "test": test_table(trained, ten),
        "intervals": intervals_table(evaluation),
        "groups": groups_table(evaluation.groups),
        "misses": misses_table(evaluation),
    }


def measured(results: Path) -> dict[str, str]:
    """Return the sections that state what `make bench-housing` measured last."""
    peers = json.loads((results / "housing.json").read_text(encoding="utf-8"))["rows"]
    serving = json.loads((results / "housing_serving.json").read_text(encoding="utf-8"))
    rows = [
        [
            row["name"],
            f"{row['rmsle_mean']:.4f}",
            f"{row['rmsle_sd']:.4f}",
            f"{row['rmsle_mean_up_to_4000_sf']:.4f}",
            f"{row['mae_mean']:,.0f}",
            f"{row['fit_seconds']:.1f}",
            _difference(row),
        ]
        for row in peers
    ]
    headings = ["model", "RMSLE", "sd", "up to 4,000 sq ft", "MAE, dollars", "fit, s", "served - this (95 %)"]
    return {"peers": markdown_table(headings, rows), "serving": serving_table(serving)}


def _difference(row: Mapping[str, float]) -> str:
    if "served_minus_this" not in row:
        return ""
    estimate, low, high = (row[f"served_minus_this{end}"] for end in ("", "_low", "_high"))
    return f"{estimate:.4f} ({low:.4f} to {high:.4f})"


def candidates_table(trained: Trained) -> str:
    """Return the cross-validated candidates, the best first."""
    ordered = sorted(trained.candidates.values(), key=lambda candidate: candidate.summary["rmsle_mean"])
    rows = [
        [
            f"**{candidate.name}**" if candidate.name == trained.chosen else candidate.name,
            f"{candidate.summary['rmsle_mean']:.4f}",
            f"{candidate.summary['rmsle_sd']:.4f}",
            f"{candidate.summary['mae_mean']:,.0f}",
            f"{candidate.summary['fit_seconds']:.2f}",
        ]
        for candidate in ordered
    ]
    return markdown_table(["candidate", "RMSLE", "sd over folds", "MAE, dollars", "fit, s"], rows)


def ablation_table(steps: list[Step]) -> str:
    """Return what each step bought."""
    rows = [[step.name, f"{step.rmsle:.4f}", f"{step.mae:,.0f}", f"{step.training_rmsle:.4f}"] for step in steps]
    return markdown_table(["step", "RMSLE held out", "MAE, dollars", "RMSLE on its own training rows"], rows)


def test_table(trained: Trained, ten: Mapping[str, Interval]) -> str:
    """Return the test metrics with intervals, the baselines and the ten-field answers beside them."""
    names = list(trained.baselines)
    rows = []
    for metric, label in METRIC_LABELS.items():
        others = [trained.baselines[name].get(metric) for name in names]
        cells = [trained.evaluation.metrics[metric], ten[metric], *others]
        rows.append([label, *("" if interval is None else with_interval(interval) for interval in cells)])
    return markdown_table(["test split", "all fields", "ten fields", *names], rows)


def intervals_table(evaluation: Evaluation) -> str:
    """Return coverage by price quintile, and widths against constant intervals."""
    quintiles = [group for group in evaluation.groups if group.by == "price quintile"]
    rows = [[f"price quintile {group.name}", f"{group.coverage:.1%}", str(group.houses)] for group in quintiles]
    answers = evaluation.answers
    total = interval_coverage(answers.paid, answers.low, answers.high)
    rows.append(["all", f"{total:.1%}", str(len(answers.paid))])
    width = mean_interval_width(answers.low, answers.high)
    ratio = evaluation.width_ratio
    return (
        markdown_table(["test houses", "share inside the 90 % interval", "houses"], rows)
        + f"\n\nMean width {width:,.0f} dollars: {ratio['constant_dollars']:.1%} of the width of one constant "
        f"half width in dollars, {ratio['constant_relative']:.1%} of one constant half width in per cent of the price, "
        f"and {ratio['no_model']:.1%} of the interval that knows nothing of the house, each calibrated to the same "
        "coverage on the same houses.\n"
    )


def groups_table(groups: list[Group]) -> str:
    """Return the errors by kind of house; neighbourhoods with few test houses are left out and counted."""
    shown = [group for group in groups if group.houses >= 10]
    rows = [
        [f"{one.by}: {one.name}", str(one.houses), f"{one.rmsle:.3f}", f"{one.bias:+.3f}", f"{one.coverage:.0%}"]
        for one in shown
    ]
    left = len(groups) - len(shown)
    note = f"\n\n{left} groups with fewer than 10 test houses are not shown; `docs/report.json` has them.\n"
    return markdown_table(["kind of house", "houses", "RMSLE", "bias (log)", "coverage"], rows) + note


def misses_table(evaluation: Evaluation) -> str:
    """Return the ten houses that are priced worst."""
    rows = [[miss.why, miss.key, f"{miss.price:,.0f}", f"{miss.predicted:,.0f}"] for miss in evaluation.misses]
    return markdown_table(["why", "parcel", "paid", "predicted"], rows)


def summary_row(trained: Trained) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    metric = "root_mean_squared_log_error"
    rows = [
        ["served model", with_interval(trained.evaluation.metrics[metric])],
        *([name, with_interval(metrics[metric])] for name, metrics in trained.baselines.items()),
    ]
    return markdown_table([f"house prices, {len(trained.test.frame)} test houses", "RMSLE (95 % interval)"], rows)


def evaluate_bundle(bundle: Path, data: str, console: Console | None = None) -> None:
    """Print the metrics of a bundle on the frozen test split of these data."""
    console = console or Console()
    described = read_manifest(bundle, project=MODEL_NAME)
    sales = load_sales(data)
    console.print(sales.source.reason)
    _, test = split_sales(sales)
    if split_digest(test.keys) != described.data.test_split_sha256:
        console.print("These are not the houses that the bundle was tested on: some may be houses it learned from.")
    answers = Answers(test, *load(bundle).price_and_interval(test.records))
    for name, interval in measure(answers).items():
        console.print(f"{METRIC_LABELS[name]}: {with_interval(interval)}")
