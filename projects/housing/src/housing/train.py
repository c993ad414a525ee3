"""From raw data to a registered model, read downwards."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

import portfolio_shared
from housing.config import MODEL_NAME, ModelSettings, TrainConfig, sample_settings, tuned_settings
from housing.data.columns import columns
from housing.data.load import Sales, load_sales, split_sales
from housing.evaluation.candidates import (
    LINEAR,
    SERVABLE,
    TREES,
    Candidate,
    cross_validate,
    n_fits,
    peers,
    sparse_out_of_fold,
)
from housing.evaluation.evaluate import METRIC_LABELS, Evaluation, baseline_metrics, evaluate
from housing.evaluation.figures import draw
from housing.models.fit import fit_predictor
from housing.models.imputation import complete
from housing.models.predictor import MemberPrices, Predictor
from housing.models.storage import load, save
from housing.serving.schemas import EXAMPLE, House
from portfolio_shared.bundle import DataInfo, Manifest, metric_values, read_manifest, replace_bundle
from portfolio_shared.data.splits import group_folds, split_digest
from portfolio_shared.evaluation.regression import root_mean_squared_log_error
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, paired_bootstrap
from portfolio_shared.terminal import progress
from portfolio_shared.tracking.client import check_server
from portfolio_shared.tracking.git import current_commit
from portfolio_shared.tracking.training import register_and_gate, training_run

Floats = NDArray[np.float64]

BASELINES = ("median", "ridge", "LightGBM")
"""Measured on the test split beside the chosen model."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the model, what it was compared with, and what the test split says."""

    training: Sales
    test: Sales
    candidates: dict[str, Candidate]
    chosen: str
    settings: ModelSettings
    predictor: Predictor
    evaluation: Evaluation
    baselines: dict[str, dict[str, Interval]]


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train, evaluate, write the bundle, register it and pass the gate.

    Returns
    -------
    pathlib.Path
        The bundle's folder.

    Raises
    ------
    TrackingUnavailable
        If the MLflow server does not answer: found out before the training, not after it.
    """
    console = console or Console()
    if config.tracking_uri:
        check_server(config.tracking_uri)
    trained = learn(config, console)

    # The bundle: what serving reads.
    write(config.output, trained.predictor, describe(config, trained))
    console.print(f"Bundle: {config.output}")

    # MLflow: one run with a child for each candidate, a registered version, and the gate.
    if config.tracking_uri:
        with console.status("logging to MLflow"):
            track(config, trained, console)
    else:
        console.print("Not tracked and not registered: there is no tracking URI")
    return config.output


def learn(config: TrainConfig, console: Console) -> Trained:
    """Go from data to an evaluated model; nothing is written."""
    # Data: read, clean, report, split. From here on nothing looks at the test split until the model is chosen.
    sales = load_sales(config.data)
    console.print(sales.source.reason)
    console.print(sales.report.as_table())
    training, test = split_sales(sales)
    console.print(f"{len(training.frame):,} sales to learn from, {len(test.frame):,} set aside for the test")
    records, prices = training.records, training.prices

    # Candidates, the baselines among them, compared on the same folds of the training part.
    settings = sample_settings(tuned_settings()) if sales.source.kind == "sample" else tuned_settings()
    fold = group_folds(training.keys, n_folds=config.folds, seed=config.seed)
    with progress(console, "comparing candidates", total=n_fits(config.folds)) as advance:
        candidates = cross_validate(
            records, prices, fold, settings, seed=config.seed, threads=config.threads, advance=advance
        )
    console.print(candidate_table(candidates))

    # The choice: the best of those that can be served.
    chosen = min(SERVABLE, key=lambda name: candidates[name].summary["rmsle_mean"])
    settings = with_weight_of(chosen, settings)
    out_of_fold = MemberPrices(candidates[LINEAR].log_prices, candidates[TREES].log_prices)
    console.print(f"Chosen: {chosen}")

    # The final fit on the whole training part; out-of-fold errors calibrate the intervals, those of sparse records too.
    with progress(console, "held-out houses with the required fields alone", total=config.folds) as advance:
        sparse = sparse_out_of_fold(
            records, prices, fold, settings, seed=config.seed, threads=config.threads, advance=advance
        )
    with console.status("fitting the chosen model on the whole training part"):
        predictor = fit_predictor(
            records, prices, settings, out_of_fold, sparse, seed=config.seed, threads=config.threads
        )

    # The test split decides nothing.
    with console.status("evaluating on the test split"):
        evaluation = evaluate(predictor, test, candidates[chosen].log_prices, prices, seed=config.seed)
        baselines = measure_baselines(training, test, config)
    console.print(metric_table(evaluation, baselines))
    return Trained(training, test, candidates, chosen, settings, predictor, evaluation, baselines)


def with_weight_of(chosen: str, settings: ModelSettings) -> ModelSettings:
    """Return the settings of the chosen candidate: the blend as set, or one of its members alone."""
    weight = SERVABLE[chosen]
    return settings if weight is None else settings.model_copy(update={"linear_weight": weight})


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def measure_baselines(training: Sales, test: Sales, config: TrainConfig) -> dict[str, dict[str, Interval]]:
    """Fit the baselines on the training part and measure them on the same test houses."""
    fits = peers(seed=config.seed)
    predicted = {name: fits[name](training.records, training.prices, test.records)[name] for name in BASELINES}
    return baseline_metrics(predicted, test.prices, seed=config.seed)


def describe(config: TrainConfig, trained: Trained) -> Manifest:
    """Describe the model: what it is, what it learned from, how good it is."""
    training, test = trained.training, trained.test
    source = training.source.kind
    return Manifest(
        project=MODEL_NAME,
        created=datetime.now(UTC),
        git_commit=current_commit(),
        data=DataInfo(
            source=source,
            name="generated house sales" if source == "sample" else "Ames house sales",
            sha256=training.sha256,
            rows={"train": len(training.frame), "test": len(test.frame)},
            test_split_sha256=split_digest(test.keys),
        ),
        config={
            "chosen": trained.chosen,
            "folds": config.folds,
            "seed": config.seed,
            **trained.settings.model_dump(mode="json"),
        },
        metrics=metric_values(trained.evaluation.metrics),
        baselines={name: metric_values(metrics) for name, metrics in trained.baselines.items()},
        input_schema=House.model_json_schema(),
        input_statistics=input_statistics(training),
    )


def input_statistics(training: Sales) -> dict[str, JsonValue]:
    """Return, per column of the training houses, quantiles of numbers and shares of codes, to compare traffic with."""
    statistics: dict[str, JsonValue] = {}
    for name, column in columns().items():
        cells = training.frame[name]
        if column.is_numeric:
            known = cells.dropna().to_numpy(dtype=np.float64)
            statistics[name] = {
                f"q{level}": float(np.percentile(known, level)) for level in (0, 5, 25, 50, 75, 95, 100)
            }
        else:
            shares = cells.fillna("unknown").value_counts(normalize=True)
            statistics[name] = {str(code): round(float(share), 4) for code, share in shares.items()}
    return statistics


def write(bundle: Path, predictor: Predictor, described: Manifest) -> None:
    """Replace the bundle's folder, check that it reads back, and that it predicts what was evaluated."""
    replace_bundle(
        bundle, described, predictor, save=save, load=load, answer=lambda predictor: predictor.predict([EXAMPLE])
    )


def track(config: TrainConfig, trained: Trained, console: Console) -> None:
    """Log the run, its candidates, figures and bundle; register a version and pass the gate."""
    bundle, evaluation = config.output, trained.evaluation
    described = read_manifest(bundle)
    with TemporaryDirectory() as folder, training_run(described, tracking_uri=config.tracking_uri) as run:
        for candidate in trained.candidates.values():
            run.child(candidate.name, {"candidate": candidate.name}, candidate.summary)
        run.log_metrics(evaluation.metrics)
        run.log_metrics({f"width_over_{name}": ratio for name, ratio in evaluation.width_ratio.items()})
        figures = Path(folder) / "figures"
        draw(evaluation, list(trained.candidates.values()), figures)
        run.log_folder(figures, "figures")
        reports = Path(folder) / "data"
        reports.mkdir()
        report = json.dumps(trained.training.report.as_dict(), indent=2)
        (reports / "report.json").write_text(report, encoding="utf-8")
        run.log_folder(reports, "data")
        logged = run.log_bundle(
            bundle,
            adapter=Path(__file__).parent / "serving" / "mlflow_adapter.py",
            # The full record gives every column its type; the sparse one makes what may be left out optional.
            input_example=[complete(EXAMPLE, trained.predictor.typical)[0], EXAMPLE],
            requirements=("numpy", "pydantic", "pydantic-settings"),
            code_paths=[Path(__file__).parent, Path(portfolio_shared.__file__).parent],
        )
    compare = comparison_with(evaluation)
    console.print(register_and_gate(run, logged, described, name=MODEL_NAME, load=load, compare=compare))


def comparison_with(evaluation: Evaluation) -> Callable[[Predictor], PairedComparison]:
    """Return a function: champion -> this model minus the champion, RMSLE on this model's test houses."""
    answers = evaluation.answers

    def compare(champion: Predictor) -> PairedComparison:
        theirs = champion.price_and_interval(answers.sales.records)[0]
        return paired_bootstrap(root_mean_squared_log_error, answers.paid, theirs, answers.predicted)

    return compare


def candidate_table(candidates: Mapping[str, Candidate]) -> Table:
    """Return the candidates side by side, the best first."""
    table = Table(title="Candidates, cross-validated inside the training part")
    for heading in ("candidate", "RMSLE", "sd", "MAE, dollars", "fit, s"):
        table.add_column(heading, justify="left" if heading == "candidate" else "right")
    for candidate in sorted(candidates.values(), key=lambda one: one.summary["rmsle_mean"]):
        row = candidate.summary
        table.add_row(
            candidate.name,
            f"{row['rmsle_mean']:.4f}",
            f"{row['rmsle_sd']:.4f}",
            f"{row['mae_mean']:,.0f}",
            f"{row['fit_seconds']:.2f}",
        )
    return table


def metric_table(evaluation: Evaluation, baselines: Mapping[str, Mapping[str, Interval]]) -> Table:
    """Return the test metrics with their 95 % intervals, the baselines' estimates beside them."""
    table = Table(title=f"Test split, {len(evaluation.answers.paid):,} houses, 95 % bootstrap intervals")
    table.add_column("metric")
    for name in ("chosen model", *baselines):
        table.add_column(name, justify="right", no_wrap=True)
    for metric, interval in evaluation.metrics.items():
        measured = [metrics[metric] for metrics in baselines.values() if metric in metrics]
        others = [with_interval(interval).split(" (")[0] for interval in measured]
        table.add_row(METRIC_LABELS[metric], with_interval(interval), *others)
    return table
