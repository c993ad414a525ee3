import io
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from rich.console import Console

from image_classifier import train as training_module
from image_classifier.config import SCRATCH as SETTINGS
from image_classifier.config import FineTuneSettings, ServeSettings
from image_classifier.data.load import Photo, Splits, split_photos
from image_classifier.evaluation.candidates import GUESS, SCRATCH
from image_classifier.evaluation.evaluate import answers_of
from image_classifier.evaluation.out_of_distribution import strangers
from image_classifier.models import export
from image_classifier.models.batches import spread
from image_classifier.models.fit import examples_of, pixels_of
from image_classifier.models.novelty import Novelty
from image_classifier.models.predictor import Predictor
from image_classifier.serving.app import create_app
from image_classifier.train import (
    comparison_with,
    describe,
    input_statistics,
    learn,
    train,
    with_classes,
    write,
)
from portfolio_shared.bundle import BundleError, read_manifest
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import log_loss_error
from portfolio_shared.evaluation.uncertainty import paired_bootstrap


@pytest.fixture
def quick(monkeypatch, pets_config, tmp_path):
    """A training of some seconds: one epoch on two classes, few strangers."""
    monkeypatch.setattr(training_module, "strangers", lambda: strangers(each=1))
    # Whether 8 bit integers are served depends on what a picture takes on this machine at this moment.
    monkeypatch.setattr(export, "_times", lambda before, after, picture: (2.0, 1.0))
    return pets_config.model_copy(update={"output": tmp_path / "bundle", "work": tmp_path / "work"})


def quiet() -> Console:
    return Console(quiet=True)


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
        "rules.json",
    }
    assert first.model_dump(exclude={"created"}) == second.model_dump(exclude={"created"})


def test_nothing_looks_at_the_test_before_it_is_evaluated(quick, monkeypatch):
    """With the test's names exchanged, the same model is fitted and calibrated; only its metrics differ."""
    before = learn(quick, quiet())

    def renamed(photos: tuple[Photo, ...], **options: object) -> Splits:
        splits = split_photos(photos, **options)
        return replace(splits, test=tuple(replace(photo, label=1 - photo.label) for photo in splits.test))

    monkeypatch.setattr(training_module, "split_photos", renamed)
    after = learn(quick.model_copy(update={"work": quick.work / "again"}), quiet())
    assert after.predictor._graph == before.predictor._graph
    assert after.predictor.rules == before.predictor.rules
    np.testing.assert_array_equal(after.predictor._novelty.known, before.predictor._novelty.known)
    assert after.assembled.calibration == before.assembled.calibration
    found, expected = after.evaluation.metrics, before.evaluation.metrics
    assert found["accuracy"].estimate == pytest.approx(1 - expected["accuracy"].estimate)
    assert found["unsure"] == expected["unsure"]


def test_the_model_beats_the_shares_of_the_classes(trained):
    """On the test split, with intervals that lie apart, and by pairs of pictures."""
    guess = trained.baselines[GUESS]
    assert trained.evaluation.metrics["accuracy"].low > guess["accuracy"].high
    assert trained.evaluation.metrics["log_loss"].high < guess["log_loss"].low
    shares = np.bincount([photo.label for photo in trained.splits.train]) / len(trained.splits.train)
    theirs = np.tile(shares, (len(trained.evaluation.labels), 1))
    compared = paired_bootstrap(
        log_loss_error, trained.evaluation.labels, theirs, trained.evaluation.probabilities, n_resamples=500
    )
    assert compared.difference.high < 0
    assert trained.evaluation.metrics["accuracy_if_sure"].estimate > 0.4


def test_the_chosen_candidate_is_that_of_the_least_validation_loss(trained):
    losses = {name: one.summary["log_loss"] for name, one in trained.candidates.items() if name != GUESS}
    assert trained.chosen == min(losses, key=losses.get) == SCRATCH
    assert set(trained.baselines) | {trained.chosen} == set(trained.candidates)
    assert trained.chosen not in trained.baselines


def test_label_sets_hold_the_truth_and_are_smaller_than_everything(trained):
    """Coverage on 80 test pictures with thresholds from 41 others: wide bounds, and still far from all or nothing."""
    assert trained.evaluation.metrics["set_coverage"].low <= 0.97
    assert trained.evaluation.metrics["set_coverage"].high >= 0.95
    assert 1 < trained.evaluation.metrics["set_size"].estimate < len(trained.photos.labels)


def test_more_strangers_are_called_unsure_than_pictures_of_the_classes(trained):
    assert trained.evaluation.metrics["unsure_strangers"].low > trained.evaluation.metrics["unsure"].high
    assert len(trained.evaluation.strangers) == 10


def test_the_small_network_learns_with_its_own_settings(trained, train_config):
    assert trained.plan.settings == SETTINGS.model_copy(update={"epochs": train_config.epochs})
    assert [epoch.number for epoch in trained.candidates[SCRATCH].history] == list(range(1, train_config.epochs + 1))
    first, *_, last = trained.candidates[SCRATCH].history
    assert last.training_loss < first.training_loss


# What is served is what was measured


def test_the_stored_model_answers_what_was_measured(trained, bundle):
    answers = answers_of(Predictor.load(bundle), trained.splits.test)
    for found, measured in zip(answers, trained.evaluation.answers, strict=True):
        np.testing.assert_array_equal(found.probabilities, measured.probabilities)
        assert (found.label_set, found.unsure) == (measured.label_set, measured.unsure)


def test_what_is_served_is_what_was_measured(serving, bundle, trained):
    """Over HTTP, the files of the test split as they are: the metrics of the README are those of the service."""
    labels, photos = trained.photos.labels, trained.splits.test
    results = []
    with serving(create_app(ServeSettings(bundle=bundle))) as client:
        for start in range(0, len(photos), 32):
            files = [("files", (photo.name, photo.path.read_bytes())) for photo in photos[start : start + 32]]
            answer = client.post("/v1/classifications", files=files).raise_for_status().json()
            results += answer["results"]
    assert len(results) == len(trained.evaluation.answers)
    for result, measured in zip(results, trained.evaluation.answers, strict=True):
        found = {item["label"]: item["probability"] for item in result["predictions"]}
        assert [found[label] for label in labels] == pytest.approx(measured.probabilities, abs=1e-6)
        assert result["label_set"] == [labels[label] for label in measured.label_set]
        assert (result["unsure"] or {"reason": None})["reason"] == measured.unsure
    named = [
        result["predictions"][0]["label"] == labels[photo.label] for result, photo in zip(results, photos, strict=True)
    ]
    assert np.mean(named) == trained.evaluation.metrics["accuracy"].estimate


def test_other_classes_are_learned_and_served_with_no_change_of_code(serving, pets, pets_bundle):
    assert pets.photos.labels == read_manifest(pets_bundle).labels == ("cat", "dog")
    photo = pets.splits.test[0]
    with serving(create_app(ServeSettings(bundle=pets_bundle))) as client:
        known = client.get("/v1/labels").raise_for_status().json()
        files = [("files", ("mine.jpg", photo.path.read_bytes()))]
        (result,) = client.post("/v1/classifications", files=files).raise_for_status().json()["results"]
    assert (known["labels"], known["coverage"]) == (["cat", "dog"], 0.8)
    assert {item["label"] for item in result["predictions"]} == {"cat", "dog"}


def test_the_examples_are_of_the_test_and_do_not_give_the_answer_away(trained, bundle):
    examples = examples_of(trained.splits.test)
    assert list(examples) == [f"picture-{number}" for number in range(1, 6)]
    assert Predictor.load(bundle).examples == examples
    from PIL import Image

    assert all(Image.open(io.BytesIO(data)).format == "JPEG" for data in examples.values())


# The manifest and the folder


def test_the_manifest_tells_the_whole_story(bundle, trained, train_config):
    manifest = read_manifest(bundle, project="image-classifier")
    assert manifest.data.source == "path"
    assert manifest.data.sha256 == trained.photos.sha256
    sizes = {name: len(getattr(trained.splits, name)) for name in ("train", "validation", "test")}
    assert manifest.data.rows == sizes
    assert sum(sizes.values()) == len(trained.photos.photos)
    assert manifest.data.test_split_sha256 == split_digest([photo.key for photo in trained.splits.test])
    assert manifest.labels == trained.photos.labels == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    told = {name: manifest.config[name] for name in ("chosen", "backbone", "weights", "recipe", "seed")}
    assert told == {"chosen": SCRATCH, "backbone": "small_cnn", "weights": "none", "recipe": "full", "seed": 0}
    assert manifest.config["temperature"] == trained.assembled.temperature
    assert manifest.config["quantised"] is trained.assembled.quantised.kept
    settings = {name: manifest.config[f"tuning_{name}"] for name in FineTuneSettings.model_fields}
    assert FineTuneSettings.model_validate(settings) == trained.plan.settings
    seen = {name: manifest.config[name] for name in ("resize", "crop", "interpolation", "coverage")}
    assert seen == asdict(trained.predictor.preprocessing) | {"coverage": train_config.coverage}
    probed = replace(trained, chosen="linear probe")
    assert not [name for name in describe(train_config, probed).config if name.startswith("tuning_")]
    for name, interval in trained.evaluation.metrics.items():
        assert tuple(manifest.metrics[name].model_dump().values()) == tuple(interval)
    assert set(manifest.metrics) == set(trained.evaluation.metrics)
    assert set(manifest.baselines) == {GUESS}
    assert (datetime.now(UTC) - manifest.created).days == 0
    assert len(manifest.git_commit) >= 7
    assert train_config.data not in manifest.model_dump_json()  # no path of a machine


def test_statistics_of_the_inputs_are_of_what_was_learned_from(trained):
    statistics = input_statistics(trained)
    labels = [photo.label for photo in trained.splits.train]
    shares = {name: labels.count(number) / len(labels) for number, name in enumerate(trained.photos.labels)}
    assert statistics["classes"] == pytest.approx(shares, abs=1e-4)
    # The parts are in the order of their names: a few from the front would be of one class.
    every = [pixels_of(photo, trained.predictor.preprocessing).mean() for photo in trained.splits.train]
    assert statistics["brightness"]["q50"] == pytest.approx(np.median(every), abs=np.std(every) / 4)
    some = spread(trained.splits.train, 20)
    assert {photo.label for photo in some} == set(labels)
    assert len({photo.key for photo in some}) == 20
    assert spread(some, 30) == some


def test_a_bundle_holds_no_pickle_and_no_path(bundle, trained):
    assert {path.suffix for path in bundle.rglob("*") if path.is_file()} == {".onnx", ".npz", ".json", ".jpg"}
    rules = json.loads((bundle / "rules.json").read_text(encoding="utf-8"))
    assert rules["labels"] == list(trained.photos.labels)


def test_a_model_that_reads_back_differently_is_not_left_in_silence(trained, train_config, tmp_path, monkeypatch):
    ours = trained.predictor
    fitted = ours._novelty
    other = Predictor(ours._graph, Novelty(fitted.directions, fitted.known, fitted.threshold / 2), ours.rules)
    monkeypatch.setattr(training_module.Predictor, "load", lambda folder: other)
    with pytest.raises(RuntimeError, match="do not use it"):
        write(tmp_path / "bundle", trained, describe(train_config, trained))


def test_an_older_bundle_is_replaced_whole(trained, train_config, tmp_path):
    folder = tmp_path / "bundle"
    described = describe(train_config, trained)
    write(folder, trained, described)
    (folder / "left-over.npz").write_bytes(b"of another model")
    with pytest.raises(BundleError, match="left-over"):
        read_manifest(folder)
    write(folder, trained, described)
    assert "left-over.npz" not in read_manifest(folder).files


def test_a_folder_that_is_no_bundle_is_not_deleted(trained, train_config, tmp_path):
    """A mistyped --output must not cost a person their files."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "thesis.txt").write_text("three years")
    with pytest.raises(ValueError, match="documents"):
        write(folder, trained, describe(train_config, trained))
    assert (folder / "thesis.txt").read_text() == "three years"


# The gate


def test_a_challenger_is_compared_with_the_champion_on_its_own_pictures(trained, bundle):
    """With itself there is no difference; against one that names everything wrongly there is."""
    same = comparison_with(trained.evaluation)(with_classes(bundle, trained.photos.labels))
    assert tuple(same.difference) == (0, 0, 0)
    assert same.n == len(trained.splits.test)
    wrong = tuple(
        replace(answer, probabilities=np.roll(answer.probabilities, 1)) for answer in trained.evaluation.answers
    )
    worse = replace(trained.evaluation, answers=wrong)
    compared = comparison_with(worse)(with_classes(bundle, trained.photos.labels))
    assert compared.difference.low > 0  # above 0: the champion is better
    assert compared.difference.estimate == pytest.approx(
        log_loss_error(worse.labels, worse.probabilities) - trained.evaluation.metrics["log_loss"].estimate
    )


def test_a_champion_of_other_classes_cannot_be_compared(trained, pets_bundle):
    with pytest.raises(ValueError, match="it names cat, dog, and this model daisy, dandelion, rose"):
        with_classes(pets_bundle, trained.photos.labels)


# What a person is told


def test_a_coverage_that_needs_more_pictures_is_refused_before_the_training(quick, monkeypatch):
    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("the training has begun")

    monkeypatch.setattr(training_module, "build_backbone", too_late)
    with pytest.raises(
        DataError, match=r"coverage=0\.99: \d+ scores are too few .* at least 99 are needed; add pictures"
    ):
        learn(quick.model_copy(update={"coverage": 0.99}), quiet())


def test_without_a_server_a_person_is_told_that_nothing_was_registered(quick, capsys):
    assert train(quick, Console(width=200)) == quick.output
    printed = capsys.readouterr().out
    assert "Not tracked and not registered" in printed
    assert "pictures of 2 classes to learn from" in printed
    assert "Chosen: from scratch" in printed
    assert "8 bit integers: validation accuracy" in printed
    assert "accuracy where not unsure" in printed
    assert str(quick.output) in printed.replace("\n", "")
