"""Write the documents' tables, numbers and figures from one training: nothing in them is typed by hand."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from housing.config import MODEL_NAME, ReportConfig, TrainConfig
from housing.data.explore import explore
from housing.data.house import sparsely
from housing.evaluation import on_test
from housing.evaluation import tables as written
from housing.evaluation.ablation import ablate
from housing.evaluation.by_year import next_year
from housing.evaluation.candidates import Candidates, cross_validate, differences, slow_baselines
from housing.evaluation.errors import by_group, expensive, worst
from housing.evaluation.evaluate import measure
from housing.evaluation.experiment import experiment_sizes
from housing.evaluation.fairness import by_area
from housing.evaluation.families import mean_contributions, without_families
from housing.evaluation.figures import draw
from housing.evaluation.learning_curve import SHARES, learning_curve
from housing.evaluation.left_out import leave_out
from housing.evaluation.left_out import n_fits as n_fits_without
from housing.evaluation.numbers import in_prose
from housing.evaluation.numbers_measured import measured_in_prose
from housing.evaluation.study_figures import draw_studies
from housing.evaluation.variance import REFITS, bias_and_variance
from housing.train import Trained, learn
from portfolio_shared.data.checks import stored_report
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.documents import Contents, refill, write_report
from portfolio_shared.evaluation.sections import measured_sections, rates_table, serving_table
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress

Stored = Mapping[str, Any]


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, take the model apart, and write `docs/` and the marked sections and numbers of the documents."""
    console, docs = console or Console(), config.project / "docs"
    if config.refill:
        console.print(refill(config, MODEL_NAME, contents))
        return
    trained = learn(TrainConfig(data=config.data, tracking_uri="", seed=config.seed, threads=config.threads), console)
    candidates = with_slow_baselines(trained, config, console)
    recorded = record(trained, candidates) | studies(trained, candidates, config, console)
    explore(trained.data, docs)
    draw(trained.evaluation, candidates, docs)
    draw_studies(recorded, docs)
    console.print(write_report(config, MODEL_NAME, recorded, contents(recorded, config.benchmarks, docs)))


def with_slow_baselines(trained: Trained, config: ReportConfig, console: Console) -> Candidates:
    """Return the candidates of the training and the baselines that it does not wait for, the best first."""
    slow, split = slow_baselines(seed=config.seed, threads=config.threads), trained.split
    with progress(console, "slower baselines", total=len(slow) * split.n_folds) as advance:
        more = {name: cross_validate(name, fit, split, advance=advance) for name, fit in slow.items()}
    return dict(sorted((trained.candidates | more).items(), key=lambda item: item[1].metrics["rmsle_mean"]))


def record(trained: Trained, candidates: Candidates) -> dict[str, Any]:
    """Return what the documents state of one training, as JSON types."""
    data, split, evaluation = trained.data, trained.split, trained.evaluation
    served = candidates[trained.chosen].model
    return {
        "data": {"source": data.source.kind, "sha256": data.sha256, "report": data.report.as_dict()},
        "rows": {"train": len(split.train.frame), "test": len(split.test.frame)},
        "test_split_sha256": split_digest(split.test.keys),
        "chosen": trained.chosen,
        "settings": trained.settings.model_dump(mode="json"),
        "candidates": {name: candidate.metrics for name, candidate in candidates.items()},
        "differences": {name: as_json(apart) for name, apart in differences(candidates, trained.chosen).items()},
        "test": as_json(evaluation.metrics),
        "baselines": {name: as_json(metrics) for name, metrics in trained.baselines.items()},
        "ten_fields": as_json(ten_fields(trained)),
        **trained.details,
        "calibration": {f"{level:g}": share for level, share in evaluation.calibration.items()},
        "groups": [asdict(group) for group in by_group(evaluation)],
        "misses": [asdict(miss) for miss in worst(evaluation, trained.predictor)],
        "expensive": [asdict(miss) for miss in expensive(evaluation, trained.predictor)],
        "contributions": mean_contributions(trained.predictor, split.test.records),
        "areas": [plain(area) for area in by_area(split.train, served)],
        "experiment": experiment_sizes(data.sales, candidates),
        "folds_beside_test": [asdict(part) for part in on_test.folds_beside_test(served, evaluation)],
        "held": [asdict(group) for group in on_test.held(evaluation, trained.predictor, split.train)],
        "quality_off_by_one": on_test.quality_off_by_one(evaluation, trained.predictor),
        "sizes": on_test.sizes(trained.predictor),
        "sale_conditions": dict(Counter(data.sales.frame["sale_condition"])),
    }


def studies(trained: Trained, candidates: Candidates, config: ReportConfig, console: Console) -> dict[str, Any]:
    """Return what takes more trainings: the steps, fields left out, another split, refits, the learning curve."""
    split, settings, folds = trained.split, trained.settings, trained.split.n_folds
    options: dict[str, Any] = {"seed": config.seed, "threads": config.threads}

    def counted(what: str, total: int, measure_it: Callable[[Callable[[str], None]], Any]) -> Any:
        with progress(console, what, total=total) as advance:
            return measure_it(advance)

    served = candidates[trained.chosen].model.log_prices
    steps = counted("ablation", folds, lambda advance: ablate(split, settings, **options, advance=advance))
    without = counted(
        "fields left out",
        n_fits_without(split),
        lambda advance: leave_out(split, settings, served, **options, advance=advance),
    )
    spreads = counted("refits", REFITS, lambda advance: bias_and_variance(split, settings, **options, advance=advance))
    curve = counted(
        "learning curve",
        folds * len(SHARES),
        lambda advance: learning_curve(split, settings, threads=config.threads, advance=advance),
    )
    n_others = folds * on_test.OTHER_FOLDS
    others = counted(
        "other folds",
        n_others,
        lambda advance: on_test.with_other_folds(split, settings, threads=config.threads, advance=advance),
    )
    with console.status("learning from all years but the last"):
        year = next_year(split, settings, candidates, **options)
    return {
        "ablation": [asdict(step) for step in steps],
        "families": [plain(family) for family in without_families(split, settings)],
        "left_out": [plain(each) for each in without],
        "bias_variance": [plain(spread) for spread in spreads],
        "other_folds": others,
        "differences_on_test": as_json(on_test.differences_on_test(split, trained.predictor, trained.evaluation)),
        "learning_curve": {str(size): errors for size, errors in curve.items()},
        "next_year": plain(year) | {"rows": [plain(row) for row in year.rows]},
    }


def ten_fields(trained: Trained) -> dict[str, Interval]:
    """Return the test metrics when only the ten required fields are given and the rest is filled."""
    test = trained.split.test
    return measure(test, *trained.predictor.price_and_interval([sparsely(record) for record in test.records]))


def as_json(metrics: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """Return metrics with their intervals as JSON types."""
    return {name: interval._asdict() for name, interval in metrics.items()}


def plain(row: Any) -> dict[str, Any]:
    """Return a row of a study as JSON types."""
    return {name: value._asdict() if isinstance(value, Interval) else value for name, value in vars(row).items()}


def contents(recorded: Stored, results: Path, docs: Path) -> Contents:
    """Return what the documents state of what was recorded."""
    sections = {**tables(recorded), **measured(results, docs)}
    return Contents(sections, numbers(recorded) | measured_in_prose(results), written.summary_table(recorded))


def tables(recorded: Stored) -> dict[str, str]:
    """Return the documents' marked sections from what was recorded."""
    return {"data": stored_report(recorded["data"]["report"]).as_markdown(), **written.sections(recorded)}


def numbers(recorded: Stored) -> dict[str, str]:
    """Return the numbers that prose names."""
    return in_prose(recorded)


def measured(results: Path, docs: Path) -> dict[str, str]:  # noqa: ARG001 -- other projects measure into docs too
    """Return the sections that other commands measured; a file that is missing is named."""
    return measured_sections(
        {
            "baselines": (results / "housing.json", written.baselines_table),
            "serving": (results / "housing_serving.json", serving_table),
            "batch": (results / "housing_batch.json", rates_table),
        }
    )
