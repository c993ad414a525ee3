"""From photographs to a registered model, read downwards; what all projects do alike is `portfolio_shared.training`."""

import base64
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from image_classifier.config import MODEL_NAME, Compute, ModelSettings, TrainConfig
from image_classifier.data.copies import with_copies
from image_classifier.data.load import Dataset, Split, load, split
from image_classifier.data.photos import pixels_of, spread
from image_classifier.evaluation.candidates import COLUMNS, choose, compare, evaluate_baselines
from image_classifier.evaluation.evaluate import METRIC_LABELS, Evaluation, compare_with_champion, evaluate
from image_classifier.evaluation.figures import draw
from image_classifier.models.fit import FittedClassifier, export, fit
from image_classifier.models.plan import plan
from image_classifier.models.predictor import Predictor
from image_classifier.serving.observe import LEAST, newest_of_each, recent_looks, reference
from portfolio_shared import results, training
from portfolio_shared.bundle import DataInfo, Manifest, metric_values
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.conformal import conformal_quantile
from portfolio_shared.evaluation.tables import candidate_rows, metric_rows, terminal_table
from portfolio_shared.operations.lessons import Lessons
from portfolio_shared.tracking.git import current_commit
from portfolio_shared.tracking.runs import UNTRACKED, RunLog

Trained = results.Trained[Dataset, Split, FittedClassifier, ModelSettings, Predictor, Evaluation]


def learn(config: TrainConfig, console: Console, run: RunLog = UNTRACKED, lessons: Lessons | None = None) -> Trained:
    """Go from data to an evaluated model; nothing is written but features and checkpoints."""
    # Data: read, clean, report, split. The test split has no say until the model is chosen.
    settings = plan(config, console)
    dataset = load(config.data)
    console.print(dataset.source.reason)
    console.print(dataset.report.as_table())
    parts = deal(dataset, config, console)

    # Feedback: the log keeps no pixel, but how dark and how noisy recent pictures were; copies are made to look so.
    lessons = lessons and newest_of_each(lessons)
    parts = learn_looks(parts, lessons, threads=config.threads, console=console)

    # Candidates: class frequencies, a linear probe on frozen features, and all layers fine-tuned from there.
    compute = compute_of(config)

    def log(candidate: results.Candidate[FittedClassifier]) -> None:
        run.child(candidate.name, {"candidate": candidate.name}, candidate.metrics)

    candidates = compare(parts, settings, seed=config.seed, compute=compute, console=console, run=run, log=log)
    measured = {name: candidate.metrics for name, candidate in candidates.items()}
    console.print(terminal_table("Candidates, measured on the validation part", *candidate_rows(measured, COLUMNS)))

    # The choice: the least log loss on the validation part, each at its best temperature.
    chosen = choose(candidates)
    console.print(f"Chosen: {chosen}")

    # What is served: shrunk if that costs little, calibrated.
    with console.status("shrinking and calibrating"):
        exported = export(parts, settings, candidates[chosen], seed=config.seed, compute=compute)
        predictor = fit(parts, settings, candidates[chosen], seed=config.seed, compute=compute, exported=exported)
    console.print(exported.summary())

    # The test split decides nothing.
    with console.status("evaluating on the test split"):
        evaluation = evaluate(predictor, parts, seed=config.seed)
        others = {name: candidate for name, candidate in candidates.items() if name != chosen}
        baselines = evaluate_baselines(parts, settings, others, seed=config.seed, compute=compute)
    title = f"Test split, {len(parts.test):,} pictures, 95 % bootstrap intervals"
    console.print(terminal_table(title, *metric_rows(METRIC_LABELS, evaluation.metrics, baselines)))
    return Trained(
        dataset, parts, candidates, chosen, settings, predictor, evaluation, baselines, exported.details(), lessons
    )


def compute_of(config: TrainConfig) -> Compute:
    """Return where the training computes, and with what."""
    return Compute(
        device=config.device,
        precision=config.precision,
        threads=config.threads,
        workers=config.workers,
        work=config.work,
    )


def deal(dataset: Dataset, config: TrainConfig, console: Console) -> Split:
    """Split the photographs, and say how; raise DataError where they are too few for the coverage."""
    parts = split(dataset, split_seed=config.seed)
    console.print(
        f"{len(parts.train):,} pictures of {len(dataset.labels)} classes to learn from, "
        f"{len(parts.validation):,} to choose and calibrate by, {len(parts.test):,} set aside for the test"
    )
    check_coverage(config.coverage, len(parts.validation))
    return parts


def learn_looks(parts: Split, lessons: Lessons | None, *, threads: int, console: Console) -> Split:
    """Add copies of the photographs that look like the pictures that feedback came for, and say so."""
    if lessons is None:
        return parts
    recent = recent_looks(lessons.learned)
    if recent is None:
        console.print(f"No copies: fewer than {LEAST} clients said what a picture shows")
        return parts
    copied = with_copies(parts, recent, threads=threads)
    seen = f"the newest pictures of {len(recent.brightness):,} clients (median brightness "
    seen += f"{np.median(recent.brightness):.3f}, sharpness {np.median(recent.sharpness):,.0f})"
    made = len(copied.train) + len(copied.validation) - len(parts.train) - len(parts.validation)
    console.print(f"{made:,} copies look like {seen}" if made else f"No copies: {seen} look like the data")
    return copied


def describe(config: TrainConfig, trained: Trained) -> Manifest:
    """Describe the model: what it is, what it learned from, how good it is."""
    dataset, parts, settings = trained.data, trained.split, trained.settings
    preprocessing = trained.predictor.preprocessing
    tuning = trained.candidates[trained.chosen].model.tuning
    tuned = {} if tuning is None else tuning.model_dump(mode="json")
    learned, validated = (sum(photo.look is None for photo in part) for part in (parts.train, parts.validation))
    return Manifest(
        project=MODEL_NAME,
        created=datetime.now(UTC),
        git_commit=current_commit(),
        data=DataInfo(
            source=dataset.source.kind,
            name=dataset.name,
            sha256=dataset.sha256,
            rows={"train": learned, "validation": validated, "test": len(parts.test)},
            test_split_sha256=split_digest([photo.key for photo in parts.test]),
        ),
        config={
            "chosen": trained.chosen,
            "backbone": settings.backbone,
            "weights": Path(settings.weights).name,
            "recipe": settings.recipe,
            "seed": config.seed,
            "copies": len(parts.train) - learned,
            "coverage": settings.coverage,
            "temperature": trained.details["temperature"],
            "quantised": trained.details["quantised"],
            **asdict(preprocessing),
            **{f"tuning_{name}": value for name, value in tuned.items()},
        },
        metrics=metric_values(trained.evaluation.metrics),
        baselines={name: metric_values(metrics) for name, metrics in trained.baselines.items()},
        input_schema={"type": "array", "items": "uint8", "shape": ["crop", "crop", 3]},
        labels=dataset.labels,
    )


def check_coverage(coverage: float, n_validation: int) -> None:
    """Raise DataError for a coverage that needs more pictures, before the training and not after it."""
    try:
        conformal_quantile(np.zeros(n_validation), coverage=coverage)
    except ValueError as error:
        way = "add pictures, or ask for less with IMAGE_CLASSIFIER_TRAIN_COVERAGE"
        raise DataError(f"coverage={coverage}: {error}; {way}") from error


PROJECT = training.Project(
    name=MODEL_NAME,
    package=Path(__file__).parent,
    requirements=("numpy", "onnxruntime", "pillow", "pydantic"),
    learn=learn,
    describe=describe,
    example=lambda trained: [
        pixels_of(photo, trained.predictor.preprocessing) for photo in spread(trained.split.test, 2)
    ],
    load=Predictor.load,
    reference=lambda _, trained: reference(trained.predictor, trained.split),
    draw=draw,
    input_example=lambda trained: [
        {"picture": base64.b64encode(trained.split.test[0].path.read_bytes()).decode("ascii")}
    ],
    compare=lambda trained, champion: compare_with_champion(trained.evaluation, champion),
    recent=lambda *_: None,  # the log keeps no pixel: a comparison of live answers decides
    # Of log loss. Half the width of the interval is 0.11 on the sample's 75 test photographs, as docs/operations.md
    # records it: by a margin much below, chance would refuse models that are as good.
    margin=0.1,
)


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train, evaluate, write the bundle, register it and pass the gate; return the bundle's folder."""
    return training.run(PROJECT, config, console).bundle
