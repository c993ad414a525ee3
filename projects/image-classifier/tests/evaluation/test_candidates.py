"""What is compared: each candidate's numbers are its own, and its checkpoint belongs to its training alone."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Dataset, Split
from image_classifier.data.photos import Photo, labels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.evaluation import candidates as module
from image_classifier.evaluation.candidates import (
    FINE_TUNED,
    FREQUENCIES,
    PROBE,
    SCRATCH,
    choose,
    class_frequencies,
    compare,
    evaluate_baselines,
    probabilities_on_test,
)
from image_classifier.models import fit, network
from image_classifier.models.backbones import Backbone
from image_classifier.models.network import Classifier, logits_of
from portfolio_shared.evaluation.classification import accuracy_score, fit_temperature, log_loss_error, softmax
from portfolio_shared.results import Candidate

HALF = (0.5, 0.5, 0.5)
TUNING = FineTuneSettings(epochs=2, crop=32, batch=8, rate=3e-3, dropout=0.2)
SETTINGS = ModelSettings(backbone="tiny", weights="some.pth", tuning=TUNING)


class Log:
    """Keeps what a comparison logs."""

    def __init__(self) -> None:
        self.candidates: dict[str, dict[str, float]] = {}
        self.epochs: dict[int, dict[str, float]] = {}

    def add(self, candidate: Candidate) -> None:
        self.candidates[candidate.name] = candidate.metrics

    def log_metrics(self, metrics, *, step=0) -> None:
        self.epochs[step] = metrics


@pytest.fixture
def split(sample: Dataset) -> Split:
    photos = sample.photos[:: len(sample.photos) // 50][:50]
    train = tuple(photo for i, photo in enumerate(photos) if i % 5 < 3)
    return Split(train, photos[3::5], photos[4::5], sample.labels)


def build(settings: ModelSettings, n_classes: int) -> tuple[Classifier, Backbone]:
    """Build a tiny network whose trunk is the same whenever it counts as pretrained."""
    pretrained = settings.weights != "none"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
    how = Preprocessing(32, 32)
    backbone = Backbone("resnet18", trunk, 8, how, HALF, HALF, pretrained=pretrained, digest="abc")
    return Classifier(backbone, n_classes, dropout=0.2), backbone


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (module, fit, network):
        monkeypatch.setattr(place, "build_classifier", build)


def compared(split: Split, work: Path | None = None, **changes: object) -> dict[str, Candidate]:
    settings = SETTINGS.model_copy(update=changes)
    return compare(split, settings, compute=Compute(device="cpu", work=work))


def test_class_frequencies_are_those_of_the_training_part() -> None:
    def part(*labels: int) -> tuple[Photo, ...]:
        return tuple(Photo(Path("x"), "x", label, f"{i}", f"{i}") for i, label in enumerate(labels))

    split = Split(part(0, 0, 0, 1), part(1, 0), part(0, 0, 1), ("cat", "dog"))
    candidate = class_frequencies(split, build(SETTINGS, 2)[1])
    np.testing.assert_allclose(softmax(candidate.model.validation_logits), [[0.75, 0.25]] * 2)
    np.testing.assert_allclose(probabilities_on_test(candidate.model, split, SETTINGS), [[0.75, 0.25]] * 3)
    assert candidate.metrics == pytest.approx(
        {"log_loss": -(np.log(0.25) + np.log(0.75)) / 2, "accuracy": 0.5, "fit_seconds": 0.0}
    )
    assert not candidate.servable
    with pytest.raises(ValueError, match="class frequencies are no network"):
        candidate.model.network(SETTINGS, 2)


def test_candidates_stand_from_best_to_worst_and_are_logged(split: Split) -> None:
    log, console = Log(), Console(file=io.StringIO(), width=200)
    candidates = compare(split, SETTINGS, compute=Compute(device="cpu"), console=console, run=log, log=log.add)
    assert set(candidates) == {FREQUENCIES, PROBE, FINE_TUNED}
    losses = [candidate.metrics["log_loss"] for candidate in candidates.values()]
    assert losses == sorted(losses)
    assert log.candidates == {name: candidate.metrics for name, candidate in candidates.items()}
    assert list(log.epochs) == [1, 2]
    history = candidates[FINE_TUNED].model.history
    assert log.epochs[2]["validation_loss"] == history[1].validation_loss
    lines = console.file.getvalue().splitlines()
    assert [line[:22] for line in lines] == ["fine-tuned, epoch 1/2:", "fine-tuned, epoch 2/2:"]


def test_a_candidate_is_logged_before_the_next_is_fitted(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fine_tuned", stop)
    logged: list[Candidate] = []
    with pytest.raises(KeyboardInterrupt):
        compare(split, SETTINGS, compute=Compute(device="cpu"), log=logged.append)
    assert [candidate.name for candidate in logged] == [FREQUENCIES, PROBE]


def test_the_baselines_are_measured_on_the_test_split(split: Split) -> None:
    candidates = compared(split, recipe="quick")
    baselines = evaluate_baselines(split, SETTINGS, candidates, compute=Compute(device="cpu"))
    assert set(baselines) == {FREQUENCIES, PROBE}
    for name, metrics in baselines.items():
        probabilities = probabilities_on_test(candidates[name].model, split, SETTINGS)
        assert metrics["log_loss"].estimate == pytest.approx(log_loss_error(labels_of(split.test), probabilities))


def test_the_recipe_and_the_weights_decide_what_is_trained(split: Split) -> None:
    assert set(compared(split, recipe="quick")) == {FREQUENCIES, PROBE}
    assert set(compared(split, weights="none")) == {FREQUENCIES, SCRATCH}


def test_the_choice_is_the_least_loss_of_what_can_be_served() -> None:
    losses = {"a": (0.5, True), "b": (0.4, True), "frequencies": (0.1, False)}
    candidates = {
        name: Candidate(name, {"log_loss": loss}, None, servable) for name, (loss, servable) in losses.items()
    }
    assert choose(candidates) == "b"


def test_a_candidate_is_frozen_and_measured_for_itself(split: Split) -> None:
    """Its weights are a copy: the network that was trained on does not change it."""
    for name, candidate in compared(split).items():
        if name == FREQUENCIES:
            continue
        model = candidate.model
        rebuilt = model.network(SETTINGS, 5)
        theirs = logits_of(rebuilt, split.validation, model.preprocessing)
        np.testing.assert_allclose(theirs, model.validation_logits, atol=1e-4)
        labels = labels_of(split.validation)
        temperature = fit_temperature(labels, model.validation_logits)
        probabilities = softmax(model.validation_logits / temperature)
        assert candidate.metrics["log_loss"] == pytest.approx(log_loss_error(labels, probabilities))
        assert candidate.metrics["accuracy"] == accuracy_score(labels, probabilities)
        # On the test split the temperature is still that of validation.
        of_test = softmax(logits_of(rebuilt, split.test, model.preprocessing) / temperature)
        np.testing.assert_allclose(probabilities_on_test(model, split, SETTINGS), of_test)


def test_the_probe_leaves_the_trunk_and_fine_tuning_does_not(split: Split) -> None:
    candidates = compared(split)
    start = build(SETTINGS, 5)[0].state_dict()["trunk.0.weight"]
    assert torch.equal(candidates[PROBE].model.weights["trunk.0.weight"], start)
    assert not torch.equal(candidates[FINE_TUNED].model.weights["trunk.0.weight"], start)
    assert candidates[PROBE].model.tuning is None
    tuned = candidates[FINE_TUNED]
    assert tuned.model.tuning == TUNING
    seconds = sum(epoch.seconds for epoch in tuned.model.history)
    assert tuned.metrics["fit_seconds"] == pytest.approx(seconds, abs=0.06)


def test_no_label_of_the_test_split_is_looked_at(split: Split) -> None:
    blind = replace(split, test=tuple(replace(photo, label=-1) for photo in split.test))
    seen, unseen = compared(split), compared(blind)
    for name, candidate in seen.items():
        logits = unseen[name].model.validation_logits
        np.testing.assert_array_equal(candidate.model.validation_logits, logits)
        np.testing.assert_array_equal(
            probabilities_on_test(candidate.model, split, SETTINGS),
            probabilities_on_test(unseen[name].model, blind, SETTINGS),
        )


def test_a_training_is_named_by_its_start_and_taken_up(split: Split, tmp_path: Path) -> None:
    first = compared(split, tmp_path)
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    console = Console(file=io.StringIO(), width=200)
    again = compare(split, SETTINGS, compute=Compute(device="cpu", work=tmp_path), console=console)
    assert console.file.getvalue().startswith("Going on from ")
    assert checkpoint.name in console.file.getvalue()
    assert again[FINE_TUNED].model.history == first[FINE_TUNED].model.history
    logits = again[FINE_TUNED].model.validation_logits
    np.testing.assert_array_equal(logits, first[FINE_TUNED].model.validation_logits)
