"""A training as a whole: the same seed gives the same files, and nothing looks at the test before its time."""

import io
import json
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from rich.console import Console

from image_classifier import train as training_module
from image_classifier.config import FineTuneSettings, ServeSettings
from image_classifier.data.load import Dataset, Split, load, split
from image_classifier.evaluation import evaluate as evaluate_module
from image_classifier.evaluation.candidates import FREQUENCIES, PROBE, choose
from image_classifier.evaluation.out_of_distribution import draw_pictures
from image_classifier.models import export
from image_classifier.models.plan import FINE_TUNE
from image_classifier.serving.app import create_app
from image_classifier.serving.observe import LEAST, Truth
from image_classifier.train import PROJECT, describe, learn, train
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import log_loss_error
from portfolio_shared.evaluation.uncertainty import paired_bootstrap
from portfolio_shared.operations.lessons import Lesson, Lessons
from portfolio_shared.operations.store import LoggedPrediction


@pytest.fixture
def quick(monkeypatch, pets_config, tmp_path):
    """A training of some seconds: one epoch on two classes, few out-of-distribution pictures."""
    monkeypatch.setattr(evaluate_module, "draw_pictures", lambda: draw_pictures(each=1))
    # Whether 8 bit integers are served depends on what a picture takes on this machine at this moment.
    monkeypatch.setattr(export, "_times", lambda before, after, picture: (2.0, 1.0))
    return pets_config.model_copy(update={"output": tmp_path / "bundle", "work": tmp_path / "work"})


def quiet() -> Console:
    return Console(quiet=True)


@pytest.mark.long
def test_the_same_pictures_and_seed_give_the_same_files_and_numbers(quick, tmp_path):
    """Not alike: the hash of every stored file is equal, and so is every metric in the manifest."""
    other = quick.model_copy(update={"output": tmp_path / "again", "work": tmp_path / "elsewhere"})
    first, second = (read_manifest(train(config, quiet())) for config in (quick, other))
    assert first.files == second.files
    assert set(first.files) == {
        "examples/picture-1.jpg",
        "examples/picture-2.jpg",
        "model.onnx",
        "novelty.npz",
        "reference.npz",
        "rules.json",
    }
    assert first.model_dump(exclude={"created"}) == second.model_dump(exclude={"created"})


def test_the_seed_of_the_training_deals_the_pictures(quick, monkeypatch):
    dealt = []

    def stop(parts: Split, *_: object, **__: object) -> None:
        dealt.append(parts)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_module, "compare", stop)
    for seed in (0, 3):
        with pytest.raises(KeyboardInterrupt):
            learn(quick.model_copy(update={"seed": seed}), quiet())
    assert dealt == [split(load(quick.data), split_seed=seed) for seed in (0, 3)]
    assert dealt[0] != dealt[1]


@pytest.mark.long
def test_nothing_looks_at_the_test_before_it_is_evaluated(quick, monkeypatch):
    """With the test's names exchanged, the same model is fitted and calibrated; only its metrics differ."""
    before = learn(quick, quiet())

    def renamed(dataset: Dataset, *, split_seed: int) -> Split:
        parts = split(dataset, split_seed=split_seed)
        return replace(parts, test=tuple(replace(photo, label=1 - photo.label) for photo in parts.test))

    monkeypatch.setattr(training_module, "split", renamed)
    after = learn(quick.model_copy(update={"work": quick.work / "again"}), quiet())
    assert after.predictor._graph == before.predictor._graph
    assert after.predictor.rules == before.predictor.rules
    np.testing.assert_array_equal(after.predictor._novelty.training, before.predictor._novelty.training)
    assert after.details["calibration"] == before.details["calibration"]
    metrics, expected = after.evaluation.metrics, before.evaluation.metrics
    assert metrics["accuracy"].estimate == pytest.approx(1 - expected["accuracy"].estimate)
    assert metrics["unsure"] == expected["unsure"]


def test_the_model_beats_the_class_frequencies(trained):
    """On the test split, with intervals that lie apart, and by pairs of pictures."""
    baseline = trained.baselines[FREQUENCIES]
    assert trained.evaluation.metrics["accuracy"].low > baseline["accuracy"].high
    assert trained.evaluation.metrics["log_loss"].high < baseline["log_loss"].low
    shares = np.bincount([photo.label for photo in trained.split.train]) / len(trained.split.train)
    theirs = np.tile(shares, (len(trained.evaluation.labels), 1))
    compared = paired_bootstrap(
        log_loss_error, trained.evaluation.labels, theirs, trained.evaluation.probabilities, n_resamples=500
    )
    assert compared.difference.high < 0
    assert trained.evaluation.metrics["accuracy_if_sure"].estimate > 0.4


def test_the_chosen_candidate_is_that_of_the_least_validation_loss(trained):
    assert trained.chosen == choose(trained.candidates) == PROBE
    assert set(trained.baselines) | {trained.chosen} == set(trained.candidates)
    assert trained.chosen not in trained.baselines


def test_label_sets_hold_the_truth_and_are_smaller_than_everything(trained):
    """Coverage on 80 test pictures with thresholds from 41 others: wide bounds, and still far from all or nothing."""
    assert trained.evaluation.metrics["set_coverage"].low <= 0.97
    assert trained.evaluation.metrics["set_coverage"].high >= 0.95
    assert 1 < trained.evaluation.metrics["set_size"].estimate < len(trained.data.labels)


def test_more_pictures_of_nothing_are_called_unsure_than_pictures_of_the_classes(trained):
    """By the little that pictures of 96 pixels tell; the benchmark holds those of the usual size to nine in ten."""
    metrics = trained.evaluation.metrics
    assert metrics["unsure_out_of_distribution"].low > metrics["unsure"].estimate
    assert len(trained.evaluation.out_of_distribution) == 10


SCRIPT = """
import json, sys
from image_classifier.config import TrainConfig
from image_classifier.train import train

train(TrainConfig(**json.loads(sys.argv[1])))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.long
def test_a_quick_training_needs_no_torch(quick, tmp_path):
    settings = {**quick.model_dump(mode="json"), "output": str(tmp_path / "bundle")}
    command = [sys.executable, "-W", "error", "-c", SCRIPT, json.dumps(settings)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    loaded = set(json.loads(ended.stdout.splitlines()[-1]))
    assert {"onnxruntime", "onnx", "sklearn"} <= loaded
    assert not loaded & set(FINE_TUNE)
    assert read_manifest(tmp_path / "bundle").config["weights"] == "shipped"


# What is served is what was measured


def test_what_is_served_is_what_was_measured(serving, bundle, trained):
    """Over HTTP, the files of the test split as they are: the metrics of the README are those of the service."""
    labels, photos = trained.data.labels, trained.split.test
    results = []
    with serving(create_app(ServeSettings(bundle=bundle))) as client:
        for start in range(0, len(photos), 32):
            files = [("files", (photo.name, photo.path.read_bytes())) for photo in photos[start : start + 32]]
            response = client.post("/v1/classifications", files=files).raise_for_status().json()
            results += response["results"]
    assert len(results) == len(trained.evaluation.predictions)
    for result, measured in zip(results, trained.evaluation.predictions, strict=True):
        named = {item["label"]: item["probability"] for item in result["predictions"]}
        assert [named[label] for label in labels] == pytest.approx(measured.probabilities, abs=1e-6)
        assert result["label_set"] == [labels[label] for label in measured.label_set]
        assert (result["unsure"] or {"reason": None})["reason"] == measured.unsure
    named = [
        result["predictions"][0]["label"] == labels[photo.label] for result, photo in zip(results, photos, strict=True)
    ]
    assert np.mean(named) == trained.evaluation.metrics["accuracy"].estimate


def test_other_classes_are_learned_and_served_with_no_change_of_code(serving, pets, pets_bundle):
    assert pets.data.labels == read_manifest(pets_bundle).labels == ("cat", "dog")
    photo = pets.split.test[0]
    with serving(create_app(ServeSettings(bundle=pets_bundle))) as client:
        described = client.get("/v1/labels").raise_for_status().json()
        files = [("files", ("mine.jpg", photo.path.read_bytes()))]
        (result,) = client.post("/v1/classifications", files=files).raise_for_status().json()["results"]
    assert (described["labels"], described["coverage"]) == (["cat", "dog"], 0.8)
    assert {item["label"] for item in result["predictions"]} == {"cat", "dog"}


# The manifest and the folder


def test_the_manifest_describes_data_settings_and_metrics(bundle, trained, train_config):
    manifest = read_manifest(bundle, project="image-classifier")
    assert manifest.data.source == "path"
    assert manifest.data.sha256 == trained.data.sha256
    sizes = {name: len(getattr(trained.split, name)) for name in ("train", "validation", "test")}
    assert manifest.data.rows == sizes
    assert sum(sizes.values()) == len(trained.data.photos)
    assert manifest.data.test_split_sha256 == split_digest([photo.key for photo in trained.split.test])
    assert manifest.labels == trained.data.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    main = {name: manifest.config[name] for name in ("chosen", "backbone", "weights", "recipe", "seed")}
    assert main == {"chosen": PROBE, "backbone": "mobilenet_v2", "weights": "shipped", "recipe": "quick", "seed": 0}
    assert manifest.config["temperature"] == trained.details["temperature"]
    assert manifest.config["quantised"] is trained.details["quantised"]
    assert not [name for name in manifest.config if name.startswith("tuning_")]
    prepared = {name: manifest.config[name] for name in ("resize", "crop", "interpolation", "coverage")}
    assert prepared == asdict(trained.predictor.preprocessing) | {"coverage": train_config.coverage}
    for name, interval in trained.evaluation.metrics.items():
        assert tuple(manifest.metrics[name].model_dump().values()) == tuple(interval)
    assert set(manifest.metrics) == set(trained.evaluation.metrics)
    assert set(manifest.baselines) == {FREQUENCIES}
    assert (datetime.now(UTC) - manifest.created).days == 0
    assert len(manifest.git_commit) >= 7
    assert train_config.data not in manifest.model_dump_json()  # no path of a machine


def test_the_manifest_of_a_fine_tuning_has_its_settings(trained, train_config):
    probe, tuning = trained.candidates[PROBE], FineTuneSettings(epochs=3)
    tuned = replace(probe, model=replace(probe.model, tuning=tuning))
    config = describe(train_config, replace(trained, candidates={PROBE: tuned})).config
    settings = {name: config[f"tuning_{name}"] for name in FineTuneSettings.model_fields}
    assert FineTuneSettings.model_validate(settings) == tuning


def test_a_bundle_holds_no_pickle_and_no_path(bundle, trained):
    assert {path.suffix for path in bundle.rglob("*") if path.is_file()} == {".onnx", ".npz", ".json", ".jpg"}
    rules = json.loads((bundle / "rules.json").read_text(encoding="utf-8"))
    assert rules["labels"] == list(trained.data.labels)


# What feedback teaches


def lessons_of(brightness: float, *, clients: int = 40) -> Lessons:
    """Return feedback on pictures that were as dark, the noisier the darker."""
    looks = [{"brightness": brightness * (1 + i / clients), "sharpness": 900.0 + i, "side": 96} for i in range(clients)]
    rows = [
        LoggedPrediction(f"{i}", i, "image-classifier", "1", "/", "", 1, 1.0, json.dumps({"pictures": [look]}), "")
        for i, look in enumerate(looks)
    ]
    learned = tuple(Lesson(row, 0, Truth(label="cat"), row.id, row.at) for row in rows)
    return Lessons(learned, (), {"learned": clients})


@pytest.mark.long
def test_feedback_on_dark_pictures_adds_dark_copies_to_all_but_the_test(quick):
    console = Console(width=200, file=io.StringIO())
    plain = split(load(quick.data))
    trained = learn(quick, console, lessons=lessons_of(0.1))
    made = len(plain.train) + len(plain.validation)
    assert f"{made} copies look like the newest pictures of 40 clients (median brightness 0.149" in (
        console.file.getvalue()
    )
    parts = trained.split
    assert [len(parts.train), len(parts.validation)] == [2 * len(plain.train), 2 * len(plain.validation)]
    assert trained.split.test == plain.test
    assert trained.lessons.counts == {"learned": 40}
    manifest = describe(quick, trained)
    assert manifest.config["copies"] == manifest.data.rows["train"] == len(plain.train)
    assert np.median(PROJECT.reference(quick, trained)["brightness"]) == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize(
    ("lessons", "said"),
    [
        (None, ""),
        (lessons_of(0.1, clients=LEAST - 1), f"No copies: fewer than {LEAST} clients said what a picture shows\n"),
    ],
)
def test_without_enough_feedback_the_data_teach_alone(lessons, said):
    console, parts = Console(file=io.StringIO()), Split((), (), (), ("cat", "dog"))
    assert training_module.learn_looks(parts, lessons, threads=1, console=console) is parts
    assert console.file.getvalue() == said


# What a person reads


def test_a_coverage_that_needs_more_pictures_is_refused_before_the_training(quick, monkeypatch):
    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("the training has begun")

    monkeypatch.setattr(training_module, "compare", too_late)
    with pytest.raises(
        DataError, match=r"coverage=0\.99: \d+ scores are too few .* at least 99 are needed; add pictures"
    ):
        learn(quick.model_copy(update={"coverage": 0.99}), quiet())


@pytest.mark.long
def test_without_a_server_the_console_states_that_nothing_was_registered(quick, capsys):
    assert train(quick, Console(width=200)) == quick.output
    printed = capsys.readouterr().out
    assert "Not tracked and not registered" in printed
    assert "pictures of 2 classes to learn from" in printed
    assert "Chosen: linear probe" in printed
    assert "8-bit integers: not tried; fewer than 200" in printed
    assert "accuracy where not unsure" in printed
    assert str(quick.output) in printed.replace("\n", "")
