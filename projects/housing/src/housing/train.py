"""From raw data to a registered model, read downwards; what all projects do alike is `portfolio_shared.training`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import JsonValue
from rich.console import Console

from housing.config import COVERAGE, MODEL_NAME, ModelSettings, TrainConfig, tuned_settings
from housing.data.house import EXAMPLE, House, house_key
from housing.data.load import Dataset, Split, load, split
from housing.evaluation.candidates import (
    BASELINES,
    COLUMNS,
    choose,
    chosen_settings,
    compare,
    cross_validate_members,
    evaluate_baselines,
    n_fits,
)
from housing.evaluation.evaluate import METRIC_LABELS, Evaluation, compare_with_champion, evaluate, width_ratios
from housing.evaluation.figures import draw
from housing.models.feedback import (
    NEWEST,
    from_feedback,
    joined,
    parcels,
    price_levels,
    showing,
    sold_since,
    taught,
    today,
)
from housing.models.fit import OutOfFold, fit
from housing.models.held_out import HeldOut
from housing.models.imputation import complete
from housing.models.predictor import Predictor
from housing.serving.observe import reference
from portfolio_shared import results, training
from portfolio_shared.bundle import DataInfo, Manifest, metric_values
from portfolio_shared.data.splits import group_folds, split_digest
from portfolio_shared.evaluation.tables import candidate_rows, metric_rows, terminal_table
from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.operations.lessons import HELD_BACK, Lesson, Lessons, compare_by_client
from portfolio_shared.terminal import progress
from portfolio_shared.tracking.git import current_commit
from portfolio_shared.tracking.runs import UNTRACKED, RunLog

MARGIN = 0.005
"""Of the RMSLE: about 5 % of it."""

Trained = results.Trained[Dataset, Split, OutOfFold, ModelSettings, Predictor, Evaluation]


def learn(config: TrainConfig, console: Console, run: RunLog = UNTRACKED, lessons: Lessons | None = None) -> Trained:
    """Go from data to an evaluated model; nothing is written."""
    # Data: read, clean, report, split. From here on nothing looks at the test split until the model is chosen.
    data = load(config.data)
    console.print(data.source.reason, data.report.as_table(), sep="\n")
    settings, options = tuned_settings(config.tuned), {"seed": config.seed, "threads": config.threads}
    sales = split(data, folds=config.folds, fold_seed=config.seed)
    lessons = newest(lessons, len(sales.train.records)) if lessons else None
    parts, moved = learn_from(lessons, sales, settings, console, **options) if lessons else (sales, {})
    console.print(f"{len(parts.train.frame):,} sales to learn from, {len(parts.test.frame):,} held out for the test")

    # Candidates, the baselines among them, compared on the same folds of the training part.
    with progress(console, "comparing candidates", total=n_fits(parts)) as advance:
        candidates = compare(
            parts,
            settings,
            **options,
            advance=advance,
            log=lambda candidate: run.child(candidate.name, {"candidate": candidate.name}, candidate.metrics),
        )
    measured = {name: candidate.metrics for name, candidate in candidates.items()}
    console.print(terminal_table("Candidates, cross-validated", *candidate_rows(measured, COLUMNS)))

    # The choice: the best of those that can be served, fitted on the whole training part.
    chosen = choose(candidates)
    console.print(f"Chosen: {chosen}")
    settings = chosen_settings(chosen, settings)
    with console.status("fitting the chosen model on the whole training part"):
        predictor = showing(fit(parts, settings, candidates[chosen], **options), sales.train, moved)

    # The test split decides nothing.
    with console.status("evaluating on the test split"):
        evaluation = evaluate(predictor, parts, seed=config.seed)
        references = {name: candidates[name] for name in BASELINES}
        baselines = evaluate_baselines(sales, settings, references, seed=config.seed)
        out_of_fold = candidates[chosen].model.log_prices
        ratios = width_ratios(evaluation, out_of_fold, parts.train.prices, coverage=COVERAGE)
    run.log_metrics({f"width_over_{name}": ratio for name, ratio in ratios.items()})
    title = f"Test split, {len(parts.test.frame):,} houses, 95 % bootstrap intervals"
    console.print(terminal_table(title, *metric_rows(METRIC_LABELS, evaluation.metrics, baselines)))
    details: dict[str, JsonValue] = {"width_ratio": dict(ratios)}
    trained = Trained(data, parts, candidates, chosen, settings, predictor, evaluation, baselines, details, lessons)
    return refit(config, trained, console) if config.refit else trained


def learn_from(
    lessons: Lessons, sales: Split, settings: ModelSettings, console: Console, *, seed: int, threads: int
) -> tuple[Split, dict[str, float]]:
    """Return the sales at today's prices, with the houses that were sold since, and which prices have moved how far."""
    sold, clients = sold_since(lessons.learned), [lesson.client for lesson in lessons.learned]
    with console.status("fitting models of the old sales, to see how far prices have moved"):
        levels = price_levels(sales, sold, clients, settings, seed=seed, threads=threads)
    moved = {place: level for place, level in levels.items() if level.moved}
    for place, level in moved.items():
        change, low, high = np.expm1(level[1:])
        console.print(f"Prices in {place} have moved by {change:+.0%} ({low:+.0%} to {high:+.0%})")
    logs = {place: level.log for place, level in moved.items()}
    parts = taught(sales, sold, logs)
    n, new = len(sold.records), len(parts.train.records) - len(sales.train.records)
    said = f"Feedback on {n:,} houses: prices have moved in {len(moved)} neighborhoods, {new:,} houses are learned"
    console.print(said + (f", {n - new:,} are of the test split and are not" if n > new else ""))
    return parts, logs


def newest(lessons: Lessons, rows: int) -> Lessons:
    """Return what is learned beside so many sales: the `NEWEST` at most, the others counted."""
    lessons = lessons.beside(rows)
    n, older = len(lessons.learned), max(0, len(lessons.learned) - NEWEST)
    counts = {**lessons.counts, "learned": n - older} | ({f"older than the newest {NEWEST}": older} if older else {})
    return replace(lessons, learned=lessons.learned[older:], counts=counts)


def refit(config: TrainConfig, trained: Trained, console: Console) -> Trained:
    """Fit the chosen model again, to all sales, and serve that one: the figures stay those of the evaluated model."""
    parts, settings, options = trained.split, trained.settings, {"seed": config.seed, "threads": config.threads}
    test, moved, everything_sold = parts.test, trained.predictor.moved, trained.data.sales
    sales = joined(today(everything_sold, moved), from_feedback(parts.train))
    folds = group_folds(parcels(sales, everything_sold), n_folds=config.folds, seed=config.seed)
    everything = replace(parts, train=sales, validation=folds)
    with progress(console, f"fitting again, on all {len(sales.frame):,} sales", total=config.folds) as advance:
        members = cross_validate_members(everything, settings, **options, advance=advance)
    (candidate,) = (member for member in members if member.name == trained.chosen)
    held_out = HeldOut(np.array(test.keys, dtype=np.str_), test.prices, trained.evaluation.predicted)
    predictor = showing(fit(everything, settings, candidate, **options), everything_sold, moved)
    return replace(trained, predictor=replace(predictor, held_out=held_out))


def compare_on_feedback(trained: Trained, champion: Predictor, held_back: Sequence[Lesson]) -> PairedComparison | None:
    """Return this model's absolute log error minus the champion's on houses sold since that neither has learned from.

    They are the newest, of the same time as those that were learned. Houses that one of the models knows from an old
    sale are left out.
    """
    models = champion, trained.predictor
    refitted = any(model.held_out is not None for model in models)
    learned = (trained.data.sales if refitted else trained.split.train).records
    known, about = set(map(house_key, learned)), map(house_key, sold_since(held_back).records)
    new = [lesson for lesson, key in zip(held_back, about, strict=True) if key not in known]
    lessons = new[-round(NEWEST * HELD_BACK / (1 - HELD_BACK)) :]
    if not lessons:
        return None
    sold = sold_since(lessons)
    errors = [np.abs(np.log(model.price_and_interval(sold.records)[0] / sold.prices)).tolist() for model in models]
    return compare_by_client(lessons, *errors)


def describe(config: TrainConfig, trained: Trained) -> Manifest:
    """Describe the model: what it is, what it learned from, how good it is."""
    data, train, test = trained.data, trained.split.train, trained.split.test
    feedback, moved = len(from_feedback(train).records), trained.predictor.moved
    return Manifest(
        project=MODEL_NAME,
        created=datetime.now(UTC),
        git_commit=current_commit(),
        data=DataInfo(
            source=data.source.kind,
            name=data.name,
            sha256=data.sha256,
            rows={"train": len(train.frame) - feedback, "test": len(test.frame)}
            | ({"feedback": feedback} if feedback else {}),
            test_split_sha256=split_digest(test.keys),
            refitted=config.refit,
        ),
        config={
            "chosen": trained.chosen,
            "folds": config.folds,
            "seed": config.seed,
            "refit": config.refit,
            **(
                {"price_levels": {place: round(float(np.exp(log)), 4) for place, log in moved.items()}} if moved else {}
            ),
            **trained.settings.model_dump(mode="json"),
        },
        metrics=metric_values(trained.evaluation.metrics | trained.evaluation.sparse),
        baselines={name: metric_values(metrics) for name, metrics in trained.baselines.items()},
        input_schema=House.model_json_schema(),
    )


PROJECT = training.Project(
    name=MODEL_NAME,
    package=Path(__file__).parent,
    requirements=("numpy", "pydantic", "pydantic-settings"),
    learn=learn,
    describe=describe,
    example=lambda _: [EXAMPLE],
    load=Predictor.load,
    # A house from feedback is its caller's, and would stay in the bundle after it is forgotten.
    reference=lambda _, trained: reference(
        trained.predictor, from_feedback(trained.split.train, others=True).records, trained.split.test.records
    ),
    draw=draw,
    # The full record gives every column its type; the sparse one makes what may be left out optional.
    input_example=lambda trained: [complete(EXAMPLE, trained.predictor.typical)[0], EXAMPLE],
    compare=lambda trained, champion: compare_with_champion(trained.evaluation, champion),
    recent=compare_on_feedback,
    margin=MARGIN,
)


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train, evaluate, write the bundle, register it and pass the gate; return the bundle's folder."""
    return training.run(PROJECT, config, console).bundle
