"""Write the documents' tables, numbers and figures from one training: nothing in them is typed by hand."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from image_classifier.config import MODEL_NAME, SHIPPED, Compute, ReportConfig, TrainConfig
from image_classifier.data.explore import explore, shown
from image_classifier.data.photos import first_of_each
from image_classifier.evaluation.candidates import FREQUENCIES, PROBE, evaluate_baselines
from image_classifier.evaluation.errors import by_group
from image_classifier.evaluation.evaluate import Evaluation, evaluate
from image_classifier.evaluation.figures import confusion, reliability_diagram, risk_coverage_curve, training_curves
from image_classifier.evaluation.near_out_of_distribution import leave_each_out
from image_classifier.evaluation.photo_figures import activation_grid, augmentation_grid, mistake_grid
from image_classifier.evaluation.report_figures import (
    baseline_staircase,
    curve_figure,
    map_figure,
    map_of,
    parts_figure,
    refusal_figure,
)
from image_classifier.evaluation.selective import risk_coverage
from image_classifier.evaluation.statements import ablation_numbers, measured_numbers, statements
from image_classifier.evaluation.studies import record_studies, uncalibrated
from image_classifier.evaluation.tables import measured, summary_table, tables
from image_classifier.models.fit import fit
from image_classifier.models.trunk import features_of, trunk_of
from image_classifier.train import PROJECT, Trained, learn
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.documents import Contents, refill, write_report
from portfolio_shared.evaluation.figures import save_figure
from portfolio_shared.evaluation.uncertainty import Interval

__all__ = ["contents", "measured", "numbers", "record", "report", "summary_table", "tables"]


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, or take up a training that is finished, and write `docs/` and the marked sections of the documents."""
    console = console or Console()
    if config.refill:
        console.print(refill(config, MODEL_NAME, contents))
        return
    shared = config.model_dump(include={"work", "threads", "seed"})
    trained = learn(TrainConfig(data=config.data, weights=config.weights, **shared, tracking_uri=""), console)
    small = learn(TrainConfig(data="sample", recipe="quick", weights=SHIPPED, **shared, tracking_uri=""), console)
    compute = Compute(threads=config.threads, work=config.work)
    docs = config.project / "docs"
    explore(trained.data, docs)
    evaluations = with_probe(trained, compute)
    training = record(trained)
    temperature = training["calibration"]["temperature"]
    studies = record_studies(trained.split, trained.settings, evaluations, temperature=temperature, compute=compute)
    photos = sorted((*small.split.train, *small.split.validation, *small.split.test), key=lambda photo: photo.name)
    places, right = map_of(photos, features_of(photos, trunk_of(small.settings, photos), compute=compute).rows)
    save_figure(map_figure(photos, places, right), docs / "map.png")
    before = docs / "report.json"
    recorded = training | {
        "trainings": trainings(json.loads(before.read_text("utf-8")) if before.is_file() else {}, training),
        "sample": record_sample(small, trained),
        "near_out_of_distribution": record_near(trained, compute),
        "studies": studies | {"map": {"right": right}, "shown": names_shown(trained, studies)},
    }
    draw_figures(recorded, trained, small, evaluations, docs)
    console.print(write_report(config, MODEL_NAME, recorded, contents(recorded, config.benchmarks, docs)))


def with_probe(trained: Trained, compute: Compute) -> dict[str, Evaluation]:
    """Return the evaluation of the chosen model and, where that is another one, of the probe as it would be served."""
    evaluations = {trained.chosen: trained.evaluation}
    if trained.chosen != PROBE:
        probe = fit(trained.split, trained.settings, trained.candidates[PROBE], compute=compute)
        evaluations[PROBE] = evaluate(probe, trained.split)
    return evaluations


def draw_figures(
    recorded: Mapping[str, Any], trained: Trained, small: Trained, evaluations: Mapping[str, Evaluation], docs: Path
) -> None:
    """Draw the figures of the documents."""
    studies, evaluation, tuning = recorded["studies"], trained.evaluation, trained.settings.tuning
    labels, probabilities = evaluation.labels, evaluation.probabilities
    stages = {"before": uncalibrated(probabilities, recorded["calibration"]["temperature"]), "after": probabilities}
    served = Interval(**recorded["test"]["unsure"]), Interval(**recorded["test"]["accuracy_if_sure"])
    curves = {name: risk_coverage(labels, each.probabilities) for name, each in evaluations.items()}
    drawings = {
        "staircase.svg": baseline_staircase(recorded),
        "confusion.svg": confusion(by_group(evaluation)),
        "reliability.svg": reliability_diagram(labels, stages),
        "risk-coverage.svg": risk_coverage_curve(curves, (1 - served[0].estimate, 1 - served[1].estimate)),
        "learning-curve.svg": curve_figure(studies["learning_curve"]),
        "bias-variance.svg": parts_figure(studies["bias_variance"]),
        "out-of-distribution.png": refusal_figure(recorded, small.split.test),
        "mistakes.png": mistake_grid(evaluation),
        "augmentations.png": augmentation_grid(
            first_of_each(small.split.train)[2:4], policy=tuning.augmentation, crop=tuning.crop
        ),
        "activations.png": activation_grid(small.split.test, trained.predictor),
    }
    if history := trained.candidates[trained.chosen].model.history:
        drawings["training.svg"] = training_curves(history)
    for name, figure in drawings.items():
        save_figure(figure, docs / name)


def trainings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, dict[str, float]]]:
    """Return what trainings of the same photographs by the same settings reached, that of now last.

    Parameters
    ----------
    before, now
        The last report, of which those before this one are taken, and what `record` says of this training.
    """
    same = all(before.get(key) == now[key] for key in ("chosen", "settings", "test_split_sha256"))
    kept, names = now["candidates"][now["chosen"]], ("accuracy", "log_loss")
    reached = {
        "validation": {name: kept[name] for name in names},
        "test": {name: now["test"][name]["estimate"] for name in names},
        "declined": now["out_of_distribution"],
    }
    return [*(each for each in (before.get("trainings", []) if same else []) if each != reached), reached]


def names_shown(trained: Trained, studies: Mapping[str, Any]) -> list[str]:
    """Return the names of the photographs that figures show whether or not they are in the sample."""
    names = [mistake["file"] for mistake in studies["mistakes"]]
    return sorted({*names, *(photo.name for photo in shown(trained.data))})


def contents(recorded: Mapping[str, Any], results: Path, docs: Path) -> Contents:
    """Return what the documents state of what was recorded."""
    named = {**numbers(recorded), **measured_numbers(results), **ablation_numbers(docs / "ablation.json")}
    return Contents({**tables(recorded), **measured(results, docs)}, named, summary_table(recorded))


def numbers(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the numbers that prose names."""
    return {**statements(recorded), "retrain_margin": f"{PROJECT.margin:g}"}


def record(trained: Trained) -> dict[str, Any]:
    """Return everything the README states, as JSON types."""
    dataset, parts, evaluation = trained.data, trained.split, trained.evaluation
    rows = {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}
    return {
        "data": {
            "source": dataset.source.kind,
            "name": dataset.name,
            "sha256": dataset.sha256,
            "rows": rows,
            "report": dataset.report.as_dict(),
        },
        "test_split_sha256": split_digest([photo.key for photo in parts.test]),
        "chosen": trained.chosen,
        "backbone": trained.settings.backbone,
        "weights": Path(trained.settings.weights).name,
        "settings": trained.settings.tuning.model_dump(mode="json"),
        "history": [asdict(epoch) for epoch in trained.candidates[trained.chosen].model.history],
        "candidates": {name: candidate.metrics for name, candidate in trained.candidates.items()},
        "test": _record_metrics(evaluation.metrics),
        "baselines": {name: _record_metrics(metrics) for name, metrics in trained.baselines.items()},
        "classes": [
            {"name": group.name, "pictures": group.pictures, "precision": group.precision, "recall": group.recall}
            for group in by_group(evaluation)
        ],
        "out_of_distribution": evaluation.out_of_distribution,
        "sample_photographs": {
            name: {
                "label": trained.predictor.labels[prediction.label_set[0]],
                "probability": float(prediction.probabilities.max()),
                "unsure": prediction.unsure,
            }
            for name, prediction in evaluation.sample_photographs.items()
        },
        "redrawn_coverage": evaluation.redrawn_coverage._asdict(),
        "calibration": trained.details["calibration"],
        "quantisation": trained.details["quantisation"],
    }


def record_sample(small: Trained, trained: Trained) -> dict[str, Any]:
    """Return what a training on the sample reaches, on its own test photographs and on those of the whole set.

    What it learns from and is chosen by tests nothing; its own test photographs are among those of the whole set
    (`data/cut_sample.py`).
    """
    whole = replace(small.split, test=trained.split.test)
    frequencies = {FREQUENCIES: small.candidates[FREQUENCIES]}
    return {
        "name": small.data.name,
        "rows": {name: len(getattr(small.split, name)) for name in ("train", "validation", "test")},
        "chosen": small.chosen,
        "fit_seconds": small.candidates[small.chosen].metrics["fit_seconds"],
        "tests": [
            {
                "name": f"the {len(parts.test)} test photographs of {data.name}",
                "metrics": _record_metrics(evaluation.metrics),
                "baseline": evaluate_baselines(parts, small.settings, frequencies)[FREQUENCIES]["accuracy"]._asdict(),
            }
            for parts, data, evaluation in (
                (small.split, small.data, small.evaluation),
                (whole, trained.data, evaluate(small.predictor, whole)),
            )
        ],
    }


def record_near(trained: Trained, compute: Compute) -> list[dict[str, Any]]:
    """Return how often the probe is unsure of each kind that it did not learn, and of the others meanwhile."""
    trunk = trunk_of(trained.settings, trained.split.train)
    return [
        {"name": kind.name, "pictures": kind.pictures, "unknown": kind.unknown._asdict(), "known": kind.known._asdict()}
        for kind in leave_each_out(trained.split, trunk, compute=compute)
    ]


def _record_metrics(metrics: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: interval._asdict() for name, interval in metrics.items()}
