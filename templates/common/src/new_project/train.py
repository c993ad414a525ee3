"""From raw data to a registered model, read downwards; what all projects do alike is `portfolio_shared.training`."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console

from new_project.config import MODEL_NAME, REQUIREMENTS, ModelSettings, TrainConfig, tuned_settings
from new_project.data.load import Dataset, Split, example_inputs, example_rows, load, split
from new_project.evaluation.candidates import BASELINES, COLUMNS, choose, compare, evaluate_baselines
from new_project.evaluation.evaluate import METRIC_LABELS, Evaluation, compare_with_champion, evaluate
from new_project.evaluation.figures import draw
from new_project.models.feedback import losses, taught
from new_project.models.fit import Fitted, fit
from new_project.models.predictor import Predictor
from new_project.serving.observe import input_schema, reference
from portfolio_shared import results, training
from portfolio_shared.bundle import DataInfo, Manifest, metric_values
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.tables import candidate_rows, metric_rows, terminal_table
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison
from portfolio_shared.operations.lessons import Lesson, Lessons, compare_by_client
from portfolio_shared.tracking.git import current_commit
from portfolio_shared.tracking.runs import UNTRACKED, RunLog

MARGIN = 0.01
"""How much worse on the frozen split a model may be that is better on recent feedback, as a share of its error."""

Trained = results.Trained[Dataset, Split, Fitted, ModelSettings, Predictor, Evaluation]


def learn(config: TrainConfig, console: Console, run: RunLog = UNTRACKED, lessons: Lessons | None = None) -> Trained:
    """Go from data to an evaluated model; nothing is written."""
    # Data: read, clean, report, split. From here on nothing looks at the test split until the model is chosen.
    data = load(config.data)
    console.print(data.source.reason, data.report.as_table(), sep="\n")
    settings, parts = tuned_settings(config.tuned), split(data)
    before = len(parts.train)
    if lessons is not None:
        lessons = lessons.beside(before)
        parts = taught(parts, lessons.learned)
    console.print(f"{len(parts.train):,} rows to learn from, {len(parts.test):,} held out for the test")

    # Candidates, the baselines among them, compared on the validation part.
    with console.status("comparing candidates"):
        candidates = compare(
            parts,
            settings,
            seed=config.seed,
            log=lambda candidate: run.child(candidate.name, {"candidate": candidate.name}, candidate.metrics),
        )
    measured = {name: candidate.metrics for name, candidate in candidates.items()}
    console.print(terminal_table("Candidates, on the validation part", *candidate_rows(measured, COLUMNS)))

    # The choice: the best of those that can be served.
    chosen = choose(candidates)
    console.print(f"Chosen: {chosen}")
    with console.status("fitting the chosen model"):
        predictor = fit(parts, settings, candidates[chosen], seed=config.seed)

    # The test split decides nothing.
    with console.status("evaluating on the test split"):
        evaluation = evaluate(predictor, parts, seed=config.seed)
        others = {name: candidates[name] for name in BASELINES}
        baselines = evaluate_baselines(parts, settings, others, seed=config.seed)
    title = f"Test split, {len(parts.test):,} rows, 95 % bootstrap intervals"
    console.print(terminal_table(title, *metric_rows(METRIC_LABELS, evaluation.metrics, baselines)))
    details: dict[str, JsonValue] = {"feedback": len(parts.train) - before}
    return Trained(data, parts, candidates, chosen, settings, predictor, evaluation, baselines, details, lessons)


def compare_on_test(trained: Trained, champion: Predictor) -> PairedComparison:
    """Return the difference on the frozen split as a share of this model's validation error, whatever its unit is."""
    found = compare_with_champion(trained.evaluation, champion)
    error = trained.candidates[trained.chosen].metrics[COLUMNS[0].metric]
    if error <= 0:  # nothing is left to be a share of
        return found
    return replace(found, difference=Interval(*(value / error for value in found.difference)))


def compare_on_feedback(
    trained: Trained, champion: Predictor, held_back: tuple[Lesson, ...]
) -> PairedComparison | None:
    """Return this model's loss minus the champion's on feedback that neither has learned from."""
    if not held_back:
        return None
    return compare_by_client(held_back, losses(champion, held_back), losses(trained.predictor, held_back))


def describe(config: TrainConfig, trained: Trained) -> Manifest:
    """Describe the model: what it is, what it learned from, how good it is."""
    data, parts = trained.data, trained.split
    feedback = int(str(trained.details["feedback"]))
    rows = {"train": len(parts.train) - feedback, "test": len(parts.test)}
    return Manifest(
        project=MODEL_NAME,
        created=datetime.now(UTC),
        git_commit=current_commit(),
        data=DataInfo(
            source=data.source.kind,
            name=data.name,
            sha256=data.sha256,
            rows=rows | ({"feedback": feedback} if feedback else {}),
            test_split_sha256=split_digest(parts.test.keys),
        ),
        config={"chosen": trained.chosen, "seed": config.seed, **trained.settings.model_dump(mode="json")},
        metrics=metric_values(trained.evaluation.metrics),
        baselines={name: metric_values(metrics) for name, metrics in trained.baselines.items()},
        input_schema=input_schema(),
    )


PROJECT = training.Project(
    name=MODEL_NAME,
    package=Path(__file__).parent,
    requirements=REQUIREMENTS,
    learn=learn,
    describe=describe,
    example=lambda trained: example_inputs(trained.split),
    load=Predictor.load,
    reference=lambda _, trained: reference(trained.predictor, trained.split),
    draw=draw,
    input_example=lambda trained: example_rows(trained.split),
    compare=compare_on_test,
    recent=lambda trained, champion, held_back: compare_on_feedback(trained, champion, tuple(held_back)),
    margin=MARGIN,
)


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train, evaluate, write the bundle, register it and pass the gate; return the bundle's folder."""
    return training.run(PROJECT, config, console).bundle
