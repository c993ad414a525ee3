import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from image_classifier import report as report_module
from image_classifier.config import Compute, ReportConfig
from image_classifier.evaluation import conditions, studies
from image_classifier.evaluation import tables as table_module
from image_classifier.evaluation.candidates import FINE_TUNED, FREQUENCIES, PROBE
from image_classifier.evaluation.evaluate import METRIC_LABELS
from image_classifier.evaluation.statements import statements
from image_classifier.evaluation.studies import gain, uncalibrated
from image_classifier.evaluation.tables import ablation_table, backbones_table, models_table
from image_classifier.report import measured, record, report, summary_table, tables, with_probe
from portfolio_shared.evaluation.classification import softmax
from portfolio_shared.evaluation.sections import interval_cell, read_section
from portfolio_shared.evaluation.uncertainty import Interval

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT.parents[1]
DOCS = PROJECT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
RECORDED_SECTIONS = (
    "data",
    "candidates",
    "test",
    "classes",
    "sample",
    "near-out-of-distribution",
    "coverage",
    "calibration",
    "result",
    "sides",
    "calibration-test",
    "learning-curve",
    "bias-variance",
    "thirds",
    "changed",
    "declined",
    "shown",
    "trainings",
)
FILES = {
    "ablation": DOCS / "ablation.json",
    "backbones": RESULTS / "image-classifier_backbones.json",
    "limits": RESULTS / "image-classifier.json",
    "bench": RESULTS / "image-classifier.json",
    "serving": RESULTS / "image-classifier_serving.json",
    "batch": RESULTS / "image_classifier_batch.json",
    "distributed": RESULTS / "image_classifier_distributed.json",
}
SECTIONS = (*RECORDED_SECTIONS, *FILES)


def markers(names) -> str:
    return "\n".join(f"words\n<!-- report:{name} -->\nSTALE\n<!-- /report:{name} -->" for name in names) + "\nend\n"


def guessed(split, *_):
    return np.full((len(split.test), len(split.labels)), 1 / len(split.labels))


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def written(trained, train_config, tmp_path_factory):
    """A whole report from the session's training, into a copy of nothing."""
    folder = tmp_path_factory.mktemp("report")
    project = folder / "project"
    project.mkdir()
    (project / "README.md").write_text(markers(SECTIONS), encoding="utf-8")
    (folder / "README.md").write_text(markers(["image-classifier"]), encoding="utf-8")
    asked = []

    def learned(config, console):
        asked.append(config)
        return trained

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "learn", learned)
        # Each study has its own tests; here a little of each is enough.
        patch.setattr(studies, "learning_curve", partial(studies.learning_curve, sizes=(5, 10, 20), draws=1))
        patch.setattr(studies, "bias_and_variance", partial(studies.bias_and_variance, strengths=(0.03,), refits=1))
        patch.setattr(studies, "by_pixels", guessed)
        patch.setattr(studies, "by_description", guessed)
        patch.setattr(report_module, "explore", lambda *_: [])
        patch.setattr(conditions, "CHANGES", dict(list(conditions.CHANGES.items())[:2]))
        config = ReportConfig(
            data="full",
            weights="here.pth",
            project=project,
            root_readme=folder / "README.md",
            benchmarks=folder,
            work=train_config.work,
            seed=3,
        )
        report(config, Console(quiet=True))
    training, of_sample = asked
    assert (training.data, training.weights, training.seed, training.tracking_uri) == ("full", "here.pth", 3, "")
    assert (of_sample.data, of_sample.recipe, of_sample.weights, of_sample.seed) == ("sample", "quick", "shipped", 3)
    return folder


@pytest.fixture
def recorded(written):
    return json.loads((written / "project" / "docs" / "report.json").read_text(encoding="utf-8"))


def test_every_section_is_filled_and_a_persons_words_stay(written, trained):
    readme = written / "project" / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert "STALE" not in text
    assert text.count("words") == len(SECTIONS)
    assert text.endswith("end\n")
    assert f"{len(trained.split.test)} test photographs of 5 kinds" in read_section(
        written / "README.md", "image-classifier"
    )
    assert read_section(readme, "data") == trained.data.report.as_markdown().strip("\n")
    assert read_section(readme, "ablation") == "There is no ablation.json."
    assert read_section(readme, "bench") == "There is no image-classifier.json."


def test_what_is_written_is_what_is_recorded(written, recorded):
    assert_sections_match(written / "project" / "README.md", recorded)
    assert read_section(written / "README.md", "image-classifier") == summary_table(recorded)
    assert "NaN" not in json.dumps(recorded)


def test_what_is_recorded_is_what_was_measured(trained, recorded):
    added = ("sample", "near_out_of_distribution", "studies", "trainings")
    sample, near, *_ = (recorded[name] for name in added)
    assert recorded == json.loads(json.dumps(record(trained) | {name: recorded[name] for name in added}))
    assert [(kind["name"], kind["pictures"]) for kind in near] == [
        (row["name"], row["pictures"]) for row in recorded["classes"]
    ]
    assert [test["metrics"] for test in sample["tests"]] == [recorded["test"]] * 2  # one training stands for both
    assert sample["tests"][1]["baseline"] == recorded["baselines"][FREQUENCIES]["accuracy"]
    for name, interval in trained.evaluation.metrics.items():
        assert Interval(**recorded["test"][name]) == interval
    assert recorded["data"]["rows"]["test"] == len(trained.split.test)
    named, labels = trained.evaluation.probabilities.argmax(axis=1), trained.evaluation.labels
    for number, row in enumerate(recorded["classes"]):
        assert row["name"] == trained.data.labels[number]
        assert row["pictures"] == (labels == number).sum()
        assert row["precision"] == pytest.approx((labels[named == number] == number).mean())
        assert row["recall"] == pytest.approx((named[labels == number] == number).mean())
    weights = [row["pictures"] for row in recorded["classes"]]
    recalls = [row["recall"] for row in recorded["classes"]]
    assert np.average(recalls, weights=weights) == pytest.approx(recorded["test"]["accuracy"]["estimate"])


def test_a_class_that_is_never_named_has_no_precision(trained):
    """And the record stays JSON."""
    predictions = tuple(
        replace(prediction, probabilities=np.roll(np.sort(prediction.probabilities), 1))
        for prediction in trained.evaluation.predictions
    )
    evaluation = replace(trained.evaluation, predictions=predictions)
    recorded = record(replace(trained, evaluation=evaluation))
    assert json.loads(json.dumps(recorded, allow_nan=False)) == recorded
    assert [row["precision"] is None for row in recorded["classes"]] == [False, True, True, True, True]
    rows = cells(table_module._class_table(recorded))[2:]
    assert rows[0][3] == "100.0%"
    assert rows[1][2:] == ["never named", "0.0%"]


def test_the_figures_of_the_documents_are_drawn(written):
    names = {path.name for path in (written / "project" / "docs").iterdir()} - {"report.json"}
    numbers = ("staircase", "confusion", "reliability", "risk-coverage", "learning-curve", "bias-variance")
    pictures = ("map", "augmentations", "activations", "mistakes")
    assert names == {f"{name}.svg" for name in numbers} | {f"{name}.png" for name in (*pictures, "out-of-distribution")}


@pytest.mark.long
def test_the_probe_stands_beside_a_model_that_was_fine_tuned(trained, train_config):
    compute = Compute(work=train_config.work)
    assert list(with_probe(trained, compute)) == [PROBE]
    tuned = replace(trained, chosen=FINE_TUNED)
    other = with_probe(tuned, compute)
    assert list(other) == [FINE_TUNED, PROBE]
    assert other[PROBE].metrics["accuracy"] == trained.evaluation.metrics["accuracy"]
    gained = gain(trained.evaluation.labels, other)
    assert (gained["mended"], gained["broken"], gained["accuracy"]["estimate"]) == (0, 0, 0)


def test_a_temperature_is_undone():
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.2, 0.1]])
    np.testing.assert_allclose(uncalibrated(softmax(logits / 0.5), 0.5), softmax(logits))


def test_every_number_that_prose_may_name_is_text(recorded):
    named = statements(recorded)
    assert named["n_test"] == str(recorded["data"]["rows"]["test"])
    assert named["accuracy"] == f"{100 * recorded['test']['accuracy']['estimate']:.1f} %"
    assert all(isinstance(text, str) and text for text in named.values())
    assert not any("nan" in text for text in named.values())


def test_the_test_table_has_every_metric_and_the_baseline_where_it_has_one(recorded):
    heading, _, *rows = cells(tables(recorded)["test"])
    assert heading == ["metric", "chosen model", FREQUENCIES]
    assert [row[0] for row in rows] == list(METRIC_LABELS.values())
    shown = {row[0]: row[1:] for row in rows}
    of_both = recorded["test"]["accuracy"], recorded["baselines"][FREQUENCIES]["accuracy"]
    assert shown["accuracy"] == [interval_cell(stored) for stored in of_both]
    assert shown["labels in a set, mean"][1].strip("| ") == ""


def test_before_and_after_are_not_exchanged():
    calibration = {"before": 0.1, "after": 0.02, "temperature": 1.5}
    quantised = {
        "accuracy_before": 0.95,
        "accuracy_after": 0.94,
        "milliseconds_before": 8.0,
        "milliseconds_after": 5.0,
        "served": False,
    }
    text = table_module._calibration_table(calibration, quantised)
    assert "| expected calibration error, validation | 0.100 as trained | 0.020 at temperature 1.50 |" in text
    assert "| validation accuracy | 95.0% in floats | 94.0% in 8 bits |" in text
    assert "8.0 ms in floats | 5.0 ms in 8 bits (not served) |" in text
    assert "8 bits" not in table_module._calibration_table(calibration, None)


def test_the_near_table_states_each_kind_and_the_mean():
    interval, low = ({"estimate": share, "low": 0.0, "high": 1.0} for share in (0.5, 0.25))
    near = [
        {"name": "cat", "pictures": 4, "unknown": interval, "known": low},
        {"name": "dog", "pictures": 8, "unknown": low, "known": interval},
    ]
    rows = cells(table_module._near_table(near))[2:]
    assert rows[0] == ["cat (4)", "0.500 (0.000 to 1.000)", "0.250 (0.000 to 1.000)"]
    assert rows[2] == ["mean", "0.375", "0.375"]


def test_results_that_are_there_are_shown(tmp_path):
    interval = {"estimate": 0.95, "low": 0.93, "high": 0.97}
    limits = [{"what": "accuracy", "limit": "at least 0.96", "measured": 0.95, "kept": False}]
    bench = {"rows": [{"name": "probe", "accuracy": interval, "log_loss": interval}], "limits": limits}
    (tmp_path / "image-classifier.json").write_text(json.dumps(bench))
    sections = measured(tmp_path, tmp_path)
    assert sections["bench"] == models_table(bench)
    assert "| probe | 0.950 (0.930 to 0.970) | 0.950 (0.930 to 0.970) |" in sections["bench"]
    assert "| accuracy | at least 0.96 | 0.950 | **no** |" in sections["limits"]
    assert sections["ablation"] == "There is no ablation.json."
    assert sections["backbones"] == "There is no image-classifier_backbones.json."
    assert sections["serving"] == "There is no image-classifier_serving.json."


def test_backbones_state_their_size_and_what_was_not_measured():
    interval = {"estimate": 0.9, "low": 0.88, "high": 0.92}
    row = {"name": "net", "features": 1280, "validation_log_loss": 0.25, "accuracy": interval}
    rows = [row, row | {"megabytes": 8.84, "milliseconds": 7.26}]
    lines = backbones_table({"side": 224, "rows": rows, "not_measured": {"resnet18": "no weights"}}).splitlines()
    assert lines[2] == "| net | 1280 | 0.250 | 0.900 (0.880 to 0.920) |  |  |"
    assert lines[3] == "| net | 1280 | 0.250 | 0.900 (0.880 to 0.920) | 8.8 | 7.3 |"
    assert lines[-1] == "Not measured, because the weights could not be had: resnet18."
    assert "Not measured" not in backbones_table({"side": 224, "rows": rows, "not_measured": {}})


def test_the_ablation_states_its_budget_and_every_step():
    interval = {"estimate": 0.935, "low": 0.92, "high": 0.95}
    steps = [{"name": "linear probe", "accuracy": interval, "log_loss": {"estimate": 0.2, "low": 0.15, "high": 0.25}}]
    assert ablation_table({"epochs": 3, "crop": 128, "steps": steps}).splitlines() == [
        "| 3 epochs at 128 pixels | validation accuracy | validation log loss |",
        "| --- | ---: | ---: |",
        "| linear probe | 0.935 (0.920 to 0.950) | 0.200 (0.150 to 0.250) |",
    ]


def assert_sections_match(readme: Path, recorded: dict) -> None:
    """Write the sections again from the record alone, and compare."""
    expected = tables(recorded)
    assert set(expected) == set(RECORDED_SECTIONS)
    for name, text in expected.items():
        assert read_section(readme, name) == text.strip("\n"), f"section {name}: run `make reports`"
