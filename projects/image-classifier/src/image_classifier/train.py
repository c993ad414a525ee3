"""From photographs to a registered model, read downwards."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

import portfolio_shared
from image_classifier.config import MODEL_NAME, TrainConfig
from image_classifier.data.load import Photos, Splits, split_photos
from image_classifier.evaluation.candidates import TUNED, Candidate, by_loss, fine_tuned, guess, probed
from image_classifier.evaluation.evaluate import METRIC_LABELS, Evaluation, answers_of, evaluate, measure
from image_classifier.evaluation.figures import draw
from image_classifier.evaluation.out_of_distribution import strangers
from image_classifier.models.backbones import build_backbone, only_crop
from image_classifier.models.batches import labels_of, spread
from image_classifier.models.calibrate import coverage_of_redraws
from image_classifier.models.fit import Assembled, assemble, pixels_of
from image_classifier.models.network import Classifier, Normalize
from image_classifier.models.plan import Plan, plan
from image_classifier.models.predictor import Answer, Predictor
from image_classifier.models.probe import enlarged
from portfolio_shared.bundle import DataInfo, Manifest, metric_values, read_manifest, replace_bundle
from portfolio_shared.cli import counting
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import log_loss_error
from portfolio_shared.evaluation.conformal import conformal_quantile
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, paired_bootstrap
from portfolio_shared.tracking.client import check_server
from portfolio_shared.tracking.git import current_commit
from portfolio_shared.tracking.training import register_and_gate, training_run


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the model, what it was compared with, and what the test split says.

    Attributes
    ----------
    candidates
        By name, measured on the validation part.
    baselines
        The other candidates, measured on the test split.
    """

    plan: Plan
    photos: Photos
    splits: Splits
    candidates: dict[str, Candidate]
    chosen: str
    assembled: Assembled
    evaluation: Evaluation
    baselines: dict[str, dict[str, Interval]]

    @property
    def redrawn_coverage(self) -> Interval:
        """Coverage of the label sets when validation and test pictures change places by chance, and its range."""
        return coverage_of_redraws(
            np.concatenate([labels_of(self.splits.validation), self.evaluation.labels]),
            np.concatenate([self.assembled.validation, self.evaluation.probabilities]),
            n_calibration=len(self.splits.validation),
            coverage=self.predictor.coverage,
        )

    @property
    def predictor(self) -> Predictor:
        """What is served."""
        return self.assembled.predictor


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
    WeightsError
        If pretrained weights were asked for and cannot be had.
    """
    console = console or Console()
    if config.tracking_uri:
        check_server(config.tracking_uri)
    trained = learn(config, console)

    # The bundle: what serving reads.
    write(config.output, trained, describe(config, trained))
    console.print(f"Bundle: {config.output}")

    # MLflow: one run with a child for each candidate, a registered version, and the gate.
    if config.tracking_uri:
        with console.status("logging to MLflow"):
            track(config, trained, console)
    else:
        console.print("Not tracked and not registered: there is no tracking URI")
    return config.output


def learn(config: TrainConfig, console: Console) -> Trained:
    """Go from data to an evaluated model; nothing is written but features and checkpoints."""
    # Data: read, clean, report, split. From here on nothing looks at the test split until the model is chosen.
    planned = plan(config)
    photos = planned.photos
    console.print(planned.reason)
    console.print(photos.report.as_table())
    splits = split_photos(photos.photos, labels=photos.labels, seed=config.seed)
    console.print(
        f"{len(splits.train):,} pictures of {len(photos.labels)} classes to learn from, "
        f"{len(splits.validation):,} to choose and calibrate by, {len(splits.test):,} set aside for the test"
    )
    check_coverage(config.coverage, len(splits.validation))

    # Candidates: a guess, a linear probe on frozen features, and all layers fine-tuned from there.
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    backbone = build_backbone(planned.backbone, planned.weights, crop=config.crop)
    classifier = Classifier(backbone, len(photos.labels), dropout=planned.settings.dropout)
    normalize = Normalize(backbone.mean, backbone.std)
    candidates = [guess(splits, len(photos.labels), backbone)]
    if backbone.pretrained:
        with counting("features of the pretrained backbone", "pictures") as advance:
            larger = backbone if config.crop or only_crop(backbone.name) else enlarged(backbone)
            candidates.append(probed(classifier, normalize, larger, splits, config, advance=advance))
            if config.recipe == "full" and larger is not backbone:
                # Fine-tuning starts from the head that belongs to the size of its own pictures.
                probed(classifier, normalize, backbone, splits, config, advance=advance)
    if not backbone.pretrained or config.recipe == "full":
        candidates.append(
            fine_tuned(classifier, normalize, backbone, splits, planned=planned, config=config, console=console)
        )
    console.print(candidate_table(candidates))

    # The choice: the least log loss on the validation part, each at its best temperature.
    chosen = by_loss(candidates[1:])[0]
    console.print(f"Chosen: {chosen.name}")

    # What is served: exported, shrunk if that costs little, calibrated.
    with console.status("exporting and calibrating"):
        chosen.install(classifier)
        assembled = assemble(
            classifier,
            normalize,
            chosen.preprocessing,
            splits,
            chosen.validation_logits,
            labels=photos.labels,
            coverage=config.coverage,
            seed=config.seed,
        )
    console.print(quantisation_line(assembled))

    # The test split decides nothing.
    y_validation = labels_of(splits.validation)
    with console.status("evaluating on the test split"):
        evaluation = evaluate(assembled.predictor, splits.test, strangers(), seed=config.seed)
        baselines = {
            one.name: measure(evaluation.labels, one.test_probabilities(y_validation), seed=config.seed)
            for one in candidates
            if one is not chosen
        }
    console.print(metric_table(evaluation, baselines))
    found = {one.name: one for one in candidates}
    return Trained(planned, photos, splits, found, chosen.name, assembled, evaluation, baselines)


def check_coverage(coverage: float, n_validation: int) -> None:
    """Refuse a coverage of the label sets that needs more pictures, before the training and not after it.

    Raises
    ------
    DataError
        If the validation part is too small.
    """
    try:
        conformal_quantile(np.zeros(n_validation), coverage=coverage)
    except ValueError as error:
        way = "add pictures, or ask for less with IMAGE_CLASSIFIER_TRAIN_COVERAGE"
        raise DataError(f"coverage={coverage}: {error}; {way}") from error


def describe(config: TrainConfig, trained: Trained) -> Manifest:
    """Describe the model: what it is, what it learned from, how good it is."""
    photos, splits, planned = trained.photos, trained.splits, trained.plan
    sizes = {"train": len(splits.train), "validation": len(splits.validation), "test": len(splits.test)}
    return Manifest(
        project=MODEL_NAME,
        created=datetime.now(UTC),
        git_commit=current_commit(),
        data=DataInfo(
            source=photos.source.kind,
            name=photos.name,
            sha256=photos.sha256,
            rows=sizes,
            test_split_sha256=split_digest([photo.key for photo in splits.test]),
        ),
        config={
            "chosen": trained.chosen,
            "backbone": planned.backbone,
            "weights": Path(planned.weights).name,
            "recipe": config.recipe,
            "seed": config.seed,
            "coverage": config.coverage,
            "temperature": trained.assembled.temperature,
            "quantised": trained.assembled.quantised.kept,
            **asdict(trained.predictor.preprocessing),
            **tuning_settings(trained),
        },
        metrics=metric_values(trained.evaluation.metrics),
        baselines={name: metric_values(metrics) for name, metrics in trained.baselines.items()},
        input_schema={"type": "array", "items": "uint8", "shape": ["crop", "crop", 3]},
        labels=photos.labels,
        input_statistics=input_statistics(trained),
    )


def tuning_settings(trained: Trained) -> dict[str, JsonValue]:
    """Return the settings of the fine-tuning, if that is what was chosen."""
    settings = trained.plan.settings.model_dump(mode="json") if trained.chosen in TUNED else {}
    return {f"tuning_{name}": value for name, value in settings.items()}


def input_statistics(trained: Trained) -> dict[str, JsonValue]:
    """Return shares of the classes, and quantiles of brightness of what was learned from, to compare traffic with."""
    labels = labels_of(trained.splits.train)
    shares = np.bincount(labels, minlength=len(trained.photos.labels)) / len(labels)
    seen = [pixels_of(photo, trained.predictor.preprocessing).mean() for photo in spread(trained.splits.train, 200)]
    return {
        "classes": {name: round(float(share), 4) for name, share in zip(trained.photos.labels, shares, strict=True)},
        "brightness": {f"q{level}": float(np.percentile(seen, level)) for level in (0, 5, 25, 50, 75, 95, 100)},
    }


def write(bundle: Path, trained: Trained, described: Manifest) -> None:
    """Replace the bundle's folder, check that it reads back, and that it answers what was evaluated."""
    some = spread(trained.splits.test, 2)
    replace_bundle(
        bundle,
        described,
        trained.predictor,
        save=Predictor.save,
        load=Predictor.load,
        answer=lambda predictor: [told(answer) for answer in answers_of(predictor, some)],
    )


def told(answer: Answer) -> tuple[tuple[float, ...], tuple[int, ...], float, str | None]:
    """Return an answer in a form that can be compared."""
    return tuple(answer.probabilities.tolist()), answer.label_set, answer.unfamiliarity, answer.unsure


def track(config: TrainConfig, trained: Trained, console: Console) -> None:
    """Log the run, its candidates, figures and bundle; register a version and pass the gate."""
    bundle, evaluation = config.output, trained.evaluation
    described = read_manifest(bundle)
    with TemporaryDirectory() as folder, training_run(described, tracking_uri=config.tracking_uri) as run:
        for candidate in trained.candidates.values():
            run.child(candidate.name, {"candidate": candidate.name}, candidate.summary)
        run.log_metrics(evaluation.metrics)
        figures = Path(folder) / "figures"
        draw(trained, figures)
        run.log_folder(figures, "figures")
        reports = Path(folder) / "data"
        reports.mkdir()
        report = json.dumps(trained.photos.report.as_dict(), indent=2)
        (reports / "report.json").write_text(report, encoding="utf-8")
        run.log_folder(reports, "data")
        picture = base64.b64encode(trained.splits.test[0].path.read_bytes()).decode("ascii")
        logged = run.log_bundle(
            bundle,
            adapter=Path(__file__).parent / "serving" / "mlflow_adapter.py",
            input_example=[{"picture": picture}],
            requirements=("numpy", "onnxruntime", "pillow", "pydantic"),
            code_paths=[Path(__file__).parent, Path(portfolio_shared.__file__).parent],
        )
    console.print(
        register_and_gate(
            run,
            logged,
            described,
            name=MODEL_NAME,
            load=lambda folder: with_classes(folder, trained.photos.labels),
            compare=comparison_with(evaluation),
        )
    )


def with_classes(folder: Path, labels: tuple[str, ...]) -> Predictor:
    """Load a champion.

    Raises
    ------
    ValueError
        If it names other classes: somebody has brought pictures of their own, and there is nothing to compare.
    """
    champion = Predictor.load(folder)
    if champion.labels != labels:
        raise ValueError(f"it names {', '.join(champion.labels)}, and this model {', '.join(labels)}")
    return champion


def comparison_with(evaluation: Evaluation) -> Callable[[Predictor], PairedComparison]:
    """Return a function: champion -> this model minus the champion, log loss on the same test pictures."""

    def compare(champion: Predictor) -> PairedComparison:
        theirs = np.stack([answer.probabilities for answer in answers_of(champion, evaluation.photos)])
        return paired_bootstrap(log_loss_error, evaluation.labels, theirs, evaluation.probabilities)

    return compare


def candidate_table(candidates: Sequence[Candidate]) -> Table:
    """Return the candidates side by side, the best first."""
    table = Table(title="Candidates, measured on the validation part")
    for heading in ("candidate", "log loss", "accuracy", "fit, s"):
        table.add_column(heading, justify="left" if heading == "candidate" else "right")
    for candidate in by_loss(candidates):
        row = candidate.summary
        table.add_row(candidate.name, f"{row['log_loss']:.4f}", f"{row['accuracy']:.1%}", f"{row['fit_seconds']:.1f}")
    return table


def quantisation_line(assembled: Assembled) -> str:
    """Say what 8 bit integers cost and gain, and whether they are served."""
    q = assembled.quantised
    return (
        f"8 bit integers: validation accuracy {q.accuracy_before:.1%} -> {q.accuracy_after:.1%}, a picture "
        f"{q.milliseconds_before:.1f} -> {q.milliseconds_after:.1f} ms: {'served' if q.kept else 'not served'}"
    )


def metric_table(evaluation: Evaluation, baselines: Mapping[str, Mapping[str, Interval]]) -> Table:
    """Return the test metrics with their 95 % intervals, the baselines' estimates beside them."""
    table = Table(title=f"Test split, {len(evaluation.labels):,} pictures, 95 % bootstrap intervals")
    table.add_column("metric")
    for name in ("chosen model", *baselines):
        table.add_column(name, justify="right")
    for metric, interval in evaluation.metrics.items():
        others = [f"{found[metric].estimate:.3f}" if metric in found else "" for found in baselines.values()]
        table.add_row(METRIC_LABELS[metric], with_interval(interval), *others)
    return table
