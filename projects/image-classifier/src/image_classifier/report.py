"""Write the README's tables and figures from one training: nothing in them is typed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from image_classifier.config import MODEL_NAME, SHIPPED, Compute, ReportConfig, TrainConfig
from image_classifier.data.photos import first_of_each
from image_classifier.evaluation.candidates import COLUMNS, FREQUENCIES, evaluate_baselines
from image_classifier.evaluation.errors import by_group
from image_classifier.evaluation.evaluate import METRIC_LABELS, evaluate
from image_classifier.evaluation.figures import activation_grid, augmentation_grid, draw_numbers
from image_classifier.evaluation.near_out_of_distribution import leave_each_out
from image_classifier.models.trunk import trunk_of
from image_classifier.train import Trained, learn
from portfolio_shared.data.checks import stored_report
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.documents import Contents, refill, write_report
from portfolio_shared.evaluation.sections import (
    interval_cell,
    markdown_table,
    measured_sections,
    rates_table,
    serving_table,
)
from portfolio_shared.evaluation.tables import candidate_rows, metric_rows
from portfolio_shared.evaluation.uncertainty import Interval


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, or take up a training that is finished, and write `docs/` and the marked sections of the READMEs."""
    console = console or Console()
    if config.refill:
        console.print(refill(config, MODEL_NAME, contents))
        return
    shared = config.model_dump(include={"work", "threads", "seed"})
    trained = learn(TrainConfig(data=config.data, weights=config.weights, **shared, tracking_uri=""), console)
    small = learn(TrainConfig(data="sample", recipe="quick", weights=SHIPPED, **shared, tracking_uri=""), console)
    docs = config.project / "docs"
    draw_numbers(trained.evaluation, trained.candidates, docs)
    # Photographs that a README shows are those of the sample, which may be shown.
    tuning, photos = trained.settings.tuning, first_of_each(small.split.train)[:3]
    grid = augmentation_grid(photos, policy=tuning.augmentation, crop=tuning.crop)
    figures.save_figure(grid, docs / "augmentations.png")
    figures.save_figure(activation_grid(small.split.test, trained.predictor), docs / "activations.png")
    near = record_near(trained, Compute(threads=config.threads, work=config.work))
    recorded = record(trained) | {"sample": record_sample(small, trained), "near_out_of_distribution": near}
    console.print(write_report(config, MODEL_NAME, recorded, contents(recorded, config.benchmarks, docs)))


def contents(recorded: Mapping[str, Any], results: Path, docs: Path) -> Contents:
    """Return what the documents state of what was recorded."""
    return Contents({**tables(recorded), **measured(results, docs)}, numbers(recorded), summary_table(recorded))


def numbers(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the numbers that prose names."""
    return {"accuracy": f"{recorded['test']['accuracy']['estimate']:.1%}".replace("%", " %")}


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


def tables(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the README's sections from what `record` wrote."""
    test = {name: Interval(**interval) for name, interval in recorded["test"].items()}
    baselines = {
        name: {metric: Interval(**interval) for metric, interval in metrics.items()}
        for name, metrics in recorded["baselines"].items()
    }
    return {
        "data": stored_report(recorded["data"]["report"]).as_markdown(),
        "candidates": markdown_table(*candidate_rows(recorded["candidates"], COLUMNS, chosen=recorded["chosen"])),
        "test": markdown_table(*metric_rows(METRIC_LABELS, test, baselines, intervals=True)),
        "classes": _class_table(recorded),
        "sample": _sample_table(recorded["sample"]),
        "out-of-distribution": markdown_table(
            ["20 pictures each of", "called unsure"],
            [[kind, f"{share:.0%}"] for kind, share in recorded["out_of_distribution"].items()],
        ),
        "photographs": _photograph_table(recorded),
        "near-out-of-distribution": _near_table(recorded["near_out_of_distribution"]),
        "coverage": _coverage_table(recorded),
        "calibration": _calibration_table(recorded["calibration"], recorded["quantisation"]),
    }


def _class_table(recorded: Mapping[str, Any]) -> str:
    def percent(share: float | None) -> str:
        return "never named" if share is None else f"{share:.1%}"

    rows = [
        [group["name"], str(group["pictures"]), percent(group["precision"]), percent(group["recall"])]
        for group in recorded["classes"]
    ]
    return markdown_table(["class", "test pictures", "precision", "recall"], rows)


def _sample_table(sample: Mapping[str, Any]) -> str:
    shown = ("accuracy", "log_loss", "set_coverage")
    rows = [
        [test["name"], *(interval_cell(test["metrics"][name]) for name in shown), interval_cell(test["baseline"])]
        for test in sample["tests"]
    ]
    learned = f"{sample['chosen']}, learned from {sample['rows']['train']} of {sample['name']}"
    return markdown_table([learned, "accuracy", "log loss", "sets hold the truth", f"accuracy of {FREQUENCIES}"], rows)


def _near_table(near: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [f"{kind['name']} ({kind['pictures']})", interval_cell(kind["unknown"]), interval_cell(kind["known"])]
        for kind in near
    ]
    if near:
        means = (np.mean([kind[side]["estimate"] for kind in near]) for side in ("unknown", "known"))
        rows.append(["mean", *(f"{mean:.3f}" for mean in means)])
    return markdown_table(["kind left out (test pictures)", "called unsure", "of the other kinds"], rows)


def _photograph_table(recorded: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{photo['label']}, {photo['probability']:.0%}", photo["unsure"] or "no"]
        for name, photo in recorded["sample_photographs"].items()
    ]
    return markdown_table(["whole photographs of scikit-learn", "first label", "called unsure"], rows)


def _coverage_table(recorded: Mapping[str, Any]) -> str:
    rows = [
        ["validation calibrates, test is tested", interval_cell(recorded["test"]["set_coverage"])],
        ["chance draws which of the two a picture is, 1,000 times", interval_cell(recorded["redrawn_coverage"])],
    ]
    return markdown_table(["label sets that hold the truth", "coverage"], rows)


def _calibration_table(calibration: Mapping[str, float], quantised: Mapping[str, Any] | None) -> str:
    rows = [
        [
            "expected calibration error, validation",
            f"{calibration['before']:.3f} as trained",
            f"{calibration['after']:.3f} at temperature {calibration['temperature']:.2f}",
        ],
    ]
    if quantised is not None:
        served = "served" if quantised["served"] else "not served"
        rows += [
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


def measured(results: Path, docs: Path) -> dict[str, str]:
    """Return the sections that other commands measured; a file that is missing is named."""
    return measured_sections(
        {
            "ablation": (docs / "ablation.json", ablation_table),
            "bench": (results / "image-classifier.json", models_table),
            "serving": (results / "image-classifier_serving.json", serving_table),
            "batch": (results / "image_classifier_batch.json", rates_table),
        }
    )


def ablation_table(recorded: Mapping[str, Any]) -> str:
    """Return what `tune` has written as a table."""
    rows = [
        [step["name"], interval_cell(step["accuracy"]), interval_cell(step["log_loss"])] for step in recorded["steps"]
    ]
    heading = f"{recorded['epochs']} epochs at {recorded['crop']} pixels"
    return markdown_table([heading, "validation accuracy", "validation log loss"], rows)


def models_table(bench: Mapping[str, Any]) -> str:
    """Return the benchmark's table of models on the test split."""
    rows = [
        [row["name"], interval_cell(row["accuracy"]), interval_cell(row["log_loss"]), f"{row['fit_seconds']:,.1f}"]
        for row in bench["rows"]
    ]
    return markdown_table(["test split", "accuracy", "log loss", "fit, s"], rows)


def summary_table(recorded: Mapping[str, Any]) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    rows = [[recorded["chosen"], interval_cell(recorded["test"]["accuracy"])]]
    rows += [[name, interval_cell(metrics["accuracy"])] for name, metrics in reversed(recorded["baselines"].items())]
    data = recorded["data"]["rows"]
    heading = f"pictures, {data['test']} test photographs of {len(recorded['classes'])} kinds of flower"
    return markdown_table([heading, "accuracy (95 % interval)"], rows)
