"""Write the README's tables and figures from one training: nothing in them is typed by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from image_classifier.config import MODEL_NAME, ReportConfig, TrainConfig
from image_classifier.data.load import Photo, load_photos, split_photos
from image_classifier.evaluation.ablation import ablation_table
from image_classifier.evaluation.candidates import by_loss
from image_classifier.evaluation.evaluate import METRIC_LABELS, evaluate
from image_classifier.evaluation.figures import activation_grid, augmentation_grid, draw_numbers
from image_classifier.evaluation.out_of_distribution import strangers
from image_classifier.models.predictor import Predictor
from image_classifier.train import Trained, learn
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.classification import precision_scores, recall_scores
from portfolio_shared.evaluation.sections import fill_sections, markdown_table, serving_table, with_interval
from portfolio_shared.evaluation.uncertainty import Interval

DRAWN = 3
"""Drawn flowers in the picture of the augmentation."""


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, or take up a training that is finished, and write `docs/` and the marked sections of the READMEs."""
    console = console or Console()
    trained = learn(
        TrainConfig(
            data=config.data,
            weights=config.weights,
            tracking_uri="",
            work=config.work,
            threads=config.threads,
            seed=config.seed,
        ),
        console,
    )
    docs = config.project / "docs"
    draw_numbers(trained, docs)
    draw_drawings(trained, docs)
    recorded = record(trained)
    (docs / "report.json").write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    sections = {**tables(recorded), **measured(config.benchmarks, docs), "data": trained.photos.report.as_markdown()}
    fill_sections(config.project / "README.md", sections)
    fill_sections(config.root_readme, {MODEL_NAME: summary_row(recorded)})
    console.print(f"Written: {docs}, {config.project / 'README.md'} and {config.root_readme}")


def draw_drawings(trained: Trained, docs: Path) -> None:
    """Write the figures of pictures, with drawn flowers in place of photographs, which stay out of the repository."""
    photos = load_photos("sample").photos
    some = _one_of_each(photos)
    policy, crop = trained.plan.settings.augmentation, trained.plan.settings.crop
    figures.save_figure(augmentation_grid(some[:DRAWN], policy=policy, crop=crop), docs / "augmentations.png")
    if trained.photos.source.kind == "sample":
        figures.save_figure(activation_grid(trained.splits.test, trained.predictor), docs / "activations.png")


def _one_of_each(photos: tuple[Photo, ...]) -> list[Photo]:
    return list({photo.label: photo for photo in reversed(photos)}.values())


def record(trained: Trained) -> dict[str, Any]:
    """Return everything the README states, as JSON types."""
    evaluation, assembled = trained.evaluation, trained.assembled
    quantised, calibration = assembled.quantised, assembled.calibration
    names, counts = trained.predictor.labels, evaluation.confusion
    return {
        "data": {
            "source": trained.photos.source.kind,
            "name": trained.photos.name,
            "sha256": trained.photos.sha256,
            "rows": {
                "train": len(trained.splits.train),
                "validation": len(trained.splits.validation),
                "test": len(trained.splits.test),
            },
        },
        "test_split_sha256": split_digest([photo.key for photo in trained.splits.test]),
        "chosen": trained.chosen,
        "backbone": trained.plan.backbone,
        "settings": trained.plan.settings.model_dump(mode="json"),
        "candidates": {one.name: one.summary for one in by_loss(list(trained.candidates.values()))},
        "test": {name: interval._asdict() for name, interval in evaluation.metrics.items()},
        "baselines": {
            name: {metric: interval._asdict() for metric, interval in metrics.items()}
            for name, metrics in trained.baselines.items()
        },
        "classes": [
            # A name that is never given has no precision, and JSON no NaN.
            {
                "name": name,
                "pictures": int(total),
                "precision": None if np.isnan(precision) else float(precision),
                "recall": float(recall),
            }
            for name, total, precision, recall in zip(
                names, counts.sum(axis=1), precision_scores(counts), recall_scores(counts), strict=True
            )
        ],
        "strangers": evaluation.strangers,
        "sample_photographs": {
            name: {
                "label": names[answer.label_set[0]],
                "probability": float(answer.probabilities.max()),
                "unsure": answer.unsure,
            }
            for name, answer in evaluation.sample_photographs.items()
        },
        "redrawn_coverage": trained.redrawn_coverage._asdict(),
        "calibration": {
            "temperature": assembled.temperature,
            "before": calibration.error_before,
            "after": calibration.error_after,
        },
        "quantisation": {
            "accuracy_before": quantised.accuracy_before,
            "accuracy_after": quantised.accuracy_after,
            "milliseconds_before": quantised.milliseconds_before,
            "milliseconds_after": quantised.milliseconds_after,
            "served": quantised.kept,
        },
    }


def tables(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the README's sections from what `record` wrote."""
    baselines = told["baselines"]
    return {
        "candidates": markdown_table(
            ["candidate", "log loss", "accuracy", "fit, s"],
            [
                [
                    f"**{name}**" if name == told["chosen"] else name,
                    f"{row['log_loss']:.4f}",
                    f"{row['accuracy']:.1%}",
                    f"{row['fit_seconds']:,.0f}",
                ]
                for name, row in told["candidates"].items()
            ],
        ),
        "test": markdown_table(
            ["test", "served model", *baselines],
            [
                [
                    METRIC_LABELS[metric],
                    _cell(interval),
                    *(_cell(found[metric]) if metric in found else "" for found in baselines.values()),
                ]
                for metric, interval in told["test"].items()
            ],
        ),
        "classes": markdown_table(
            ["class", "test pictures", "precision", "recall"],
            [
                [one["name"], str(one["pictures"]), _percent(one["precision"]), _percent(one["recall"])]
                for one in told["classes"]
            ],
        ),
        "strangers": markdown_table(
            ["20 pictures each of", "called unsure"],
            [[kind, f"{share:.0%}"] for kind, share in told["strangers"].items()],
        ),
        "photographs": markdown_table(
            ["whole photographs of scikit-learn", "first label", "called unsure"],
            [
                [name, f"{one['label']}, {one['probability']:.0%}", one["unsure"] or "no"]
                for name, one in told["sample_photographs"].items()
            ],
        ),
        "coverage": markdown_table(
            ["label sets that hold the truth", "coverage"],
            [
                ["validation calibrates, test is tested", _cell(told["test"]["set_coverage"])],
                ["chance draws which of the two a picture is, 1,000 times", _cell(told["redrawn_coverage"])],
            ],
        ),
        "honesty": _honesty(told["calibration"], told["quantisation"]),
    }


def _honesty(calibration: Mapping[str, float], quantised: Mapping[str, Any]) -> str:
    served = "served" if quantised["served"] else "not served"
    rows = [
        [
            "expected calibration error, validation",
            f"{calibration['before']:.3f} as trained",
            f"{calibration['after']:.3f} at temperature {calibration['temperature']:.2f}",
        ],
        [
            "validation accuracy",
            f"{quantised['accuracy_before']:.1%} in floats",
            f"{quantised['accuracy_after']:.1%} in 8 bits",
        ],
        [
            "inference, one picture, one thread",
            f"{quantised['milliseconds_before']:.1f} ms in floats",
            f"{quantised['milliseconds_after']:.1f} ms in 8 bits ({served})",
        ],
    ]
    return markdown_table(["", "before", "after"], rows)


def _percent(share: float | None) -> str:
    return "never named" if share is None else f"{share:.1%}"


def _cell(interval: Mapping[str, float]) -> str:
    return with_interval(Interval(**interval))


def measured(results: Path, docs: Path) -> dict[str, str]:
    """Return the sections that other commands measured; a file that is missing is named."""
    found = {}
    for section, path, table in (
        ("ablation", docs / "ablation.json", ablation_table),
        ("bench", results / "image-classifier.json", models_table),
        ("serving", results / "image-classifier_serving.json", serving_table),
    ):
        there = path.is_file()
        found[section] = (
            table(json.loads(path.read_text(encoding="utf-8"))) if there else f"There is no {path.name} here."
        )
    return found


def models_table(bench: Mapping[str, Any]) -> str:
    """Return the benchmark's table of models on the test split."""
    rows = [
        [row["name"], _cell(row["accuracy"]), _cell(row["log_loss"]), f"{row['fit_seconds']:,.1f}"]
        for row in bench["rows"]
    ]
    return markdown_table(["test split", "accuracy", "log loss", "fit, s"], rows)


def summary_row(told: Mapping[str, Any]) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    rows = [["served model", _cell(told["test"]["accuracy"])]]
    rows += [[name, _cell(metrics["accuracy"])] for name, metrics in reversed(told["baselines"].items())]
    heading = f"pictures, {told['data']['rows']['test']} test photographs of {len(told['classes'])} kinds of flower"
    return markdown_table([heading, "accuracy (95 % interval)"], rows)


def evaluate_bundle(bundle: Path, data: str, console: Console | None = None) -> None:
    """Print the metrics of a bundle on the frozen test split of these data."""
    console = console or Console()
    described = read_manifest(bundle, project=MODEL_NAME)
    predictor = Predictor.load(bundle)
    photos = load_photos(data)
    console.print(photos.source.reason)
    if photos.labels != predictor.labels:
        raise ValueError(
            f"the pictures are of {', '.join(photos.labels)}; the model names {', '.join(predictor.labels)}"
        )
    splits = split_photos(photos.photos, labels=photos.labels, seed=int(str(described.config["seed"])))
    if split_digest([photo.key for photo in splits.test]) != described.data.test_split_sha256:
        console.print(
            "These are not the pictures that the bundle was tested on: it may have learned from some of them."
        )
    for name, interval in evaluate(predictor, splits.test, strangers()).metrics.items():
        console.print(f"{METRIC_LABELS[name]}: {with_interval(interval)}")
