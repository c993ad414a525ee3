"""The sections of the documents, from what was recorded: no number in them is typed by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from image_classifier.evaluation.candidates import COLUMNS, FREQUENCIES
from image_classifier.evaluation.evaluate import METRIC_LABELS
from image_classifier.evaluation.study_tables import study_tables
from portfolio_shared.data.checks import stored_report
from portfolio_shared.evaluation.sections import (
    interval_cell,
    markdown_table,
    measured_sections,
    rates_table,
    serving_table,
)
from portfolio_shared.evaluation.tables import candidate_rows, metric_rows
from portfolio_shared.evaluation.uncertainty import Interval

SHOWN = [column for column in COLUMNS if column.metric != "fit_seconds"]
"""Of a candidate in documents: seconds are clock time, also of a machine that did other work meanwhile."""


def tables(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the README's sections from what `record` wrote."""
    test = {name: Interval(**interval) for name, interval in recorded["test"].items()}
    baselines = {
        name: {metric: Interval(**interval) for metric, interval in metrics.items()}
        for name, metrics in recorded["baselines"].items()
    }
    return {
        "data": stored_report(recorded["data"]["report"]).as_markdown(),
        "candidates": markdown_table(*candidate_rows(recorded["candidates"], SHOWN, chosen=recorded["chosen"])),
        "test": markdown_table(*metric_rows(METRIC_LABELS, test, baselines, intervals=True)),
        "classes": _class_table(recorded),
        "sample": _sample_table(recorded["sample"]),
        "near-out-of-distribution": _near_table(recorded["near_out_of_distribution"]),
        "coverage": _coverage_table(recorded),
        "calibration": _calibration_table(recorded["calibration"], recorded["quantisation"]),
        **study_tables(recorded),
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
            "limits": (results / "image-classifier.json", limits_table),
            "backbones": (results / "image-classifier_backbones.json", backbones_table),
            "bench": (results / "image-classifier.json", models_table),
            "serving": (results / "image-classifier_serving.json", serving_table),
            "batch": (results / "image_classifier_batch.json", rates_table),
            "distributed": (results / "image_classifier_distributed.json", distributed_table),
        }
    )


def ablation_table(recorded: Mapping[str, Any]) -> str:
    """Return what `tune` has written as a table."""
    rows = [
        [step["name"], interval_cell(step["accuracy"]), interval_cell(step["log_loss"])] for step in recorded["steps"]
    ]
    heading = f"{recorded['epochs']} epochs at {recorded['crop']} pixels"
    return markdown_table([heading, "validation accuracy", "validation log loss"], rows)


def backbones_table(bench: Mapping[str, Any]) -> str:
    """Return the benchmark's table of backbones, and the names of those that were not measured."""
    rows = []
    for row in bench["rows"]:
        size = [f"{row['megabytes']:.1f}", f"{row['milliseconds']:.1f}"] if "megabytes" in row else ["", ""]
        measured = [f"{row['validation_log_loss']:.3f}", interval_cell(row["accuracy"])]
        rows.append([row["name"], str(row["features"]), *measured, *size])
    heading = f"linear probe on features of ({bench['side']} pixels)"
    table = markdown_table([heading, "numbers", "validation log loss", "test accuracy", "MB", "ms a picture"], rows)
    missing = ", ".join(bench["not_measured"])
    return f"{table}\n\nNot measured, because the weights could not be had: {missing}." if missing else table


def limits_table(bench: Mapping[str, Any]) -> str:
    """Return what the benchmark asks for, what was measured, and whether that is kept."""
    rows = [
        [each["what"], each["limit"], f"{each['measured']:.3f}", "yes" if each["kept"] else "**no**"]
        for each in bench["limits"]
    ]
    return markdown_table(["limit of", "asked for", "measured", "kept"], rows)


def models_table(bench: Mapping[str, Any]) -> str:
    """Return the benchmark's table of models on the test split."""
    rows = [[row["name"], interval_cell(row["accuracy"]), interval_cell(row["log_loss"])] for row in bench["rows"]]
    return markdown_table(["test split", "accuracy", "log loss"], rows)


def summary_table(recorded: Mapping[str, Any]) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    rows = [[recorded["chosen"], interval_cell(recorded["test"]["accuracy"])]]
    rows += [[name, interval_cell(metrics["accuracy"])] for name, metrics in reversed(recorded["baselines"].items())]
    data = recorded["data"]["rows"]
    heading = f"pictures, {data['test']} test photographs of {len(recorded['classes'])} kinds of flower"
    return markdown_table([heading, "accuracy (95 % interval)"], rows)


def distributed_table(recorded: Mapping[str, Any]) -> str:
    """Return what was measured in Markdown."""
    ways = [
        [
            row["name"],
            f"{row['seconds']:.1f}",
            f"{row['trained'] / row['seconds']:.1f}",
            f"{row['cpu_seconds']:.1f}",
            f"{row['peak_rss_mb']:,.0f}",
            f"{row['sum_ms']:.0f}" if row["sum_ms"] else "",
            f"{row['command_seconds']:.1f}",
            f"{row['command_cpu_seconds']:.1f}",
            f"{row['gap']:.1e}" if row["gap"] else "",
        ]
        for row in recorded["rows"]
    ]
    headings = [
        "",
        "fine-tuning, s",
        "pictures a second",
        "CPU, s",
        "memory, MB",
        "a sum, ms",
        "whole command, s",
        "its CPU, s",
    ]
    said = (
        f"MobileNetV2 at 192 pixels, two epochs of {recorded['pictures']} photographs and their validation, the "
        f"median of {recorded['rounds']} rounds in turns; {recorded['machine']}."
    )
    return f"{said}\n\n{markdown_table([*headings, 'weights differ by'], ways)}"
