"""What is compared: each candidate's numbers are its own, and its checkpoint belongs to its training alone."""

import io
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from rich.console import Console

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Dataset, Split
from image_classifier.data.photos import Photo, labels_of
from image_classifier.evaluation import candidates as module
from image_classifier.evaluation.candidates import (
    FINE_TUNED,
    FREQUENCIES,
    PROBE,
    choose,
    class_frequencies,
    compare,
    evaluate_baselines,
    probabilities_on_test,
)
from image_classifier.models.fit import export
from image_classifier.models.trunk import features_of, trunk_of
from portfolio_shared.evaluation.classification import accuracy_score, fit_temperature, log_loss_error, softmax
from portfolio_shared.results import Candidate

TUNING = FineTuneSettings(epochs=2, crop=32, batch=8, dropout=0.2)
FULL = ModelSettings(backbone="mobilenet_v2", weights="shipped", crop=32, tuning=TUNING)
QUICK = FULL.model_copy(update={"recipe": "quick"})


class Log:
    """Keeps what a comparison logs."""

    def __init__(self) -> None:
        self.candidates: dict[str, dict[str, float]] = {}
        self.epochs: dict[int, dict[str, float]] = {}

    def add(self, candidate: Candidate) -> None:
        self.candidates[candidate.name] = candidate.metrics

    def log_metrics(self, metrics, *, step=0) -> None:
        self.epochs[step] = metrics


class Compared(NamedTuple):
    """A comparison with fine-tuning, what it logged and printed, and the folder of its work."""

    candidates: dict[str, Candidate]
    log: Log
    printed: str
    work: Path


@pytest.fixture(scope="module")
def split(sample: Dataset) -> Split:
    photos = sample.photos[:: len(sample.photos) // 50][:50]
    train = tuple(photo for i, photo in enumerate(photos) if i % 5 < 3)
    return Split(train, photos[3::5], photos[4::5], sample.labels)


@pytest.fixture(scope="module")
def compared(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    work, log, console = tmp_path_factory.mktemp("work"), Log(), Console(file=io.StringIO(), width=200)
    compute = Compute(device="cpu", work=work)
    candidates = compare(split, FULL, compute=compute, console=console, run=log, log=log.add)
    return Compared(candidates, log, console.file.getvalue(), work)


def filters(candidate: Candidate) -> np.ndarray:
    """Return the weights of the first convolution."""
    graph = onnx.load_from_string(candidate.model.network.trunk.graph).graph
    return next(numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.dims == [32, 3, 3, 3])


def test_class_frequencies_are_those_of_the_training_part() -> None:
    def part(*labels: int) -> tuple[Photo, ...]:
        return tuple(Photo(Path("x"), "x", label, f"{i}", f"{i}") for i, label in enumerate(labels))

    split = Split(part(0, 0, 0, 1), part(1, 0), part(0, 0, 1), ("cat", "dog"))
    candidate = class_frequencies(split)
    np.testing.assert_allclose(softmax(candidate.model.validation_logits), [[0.75, 0.25]] * 2)
    np.testing.assert_allclose(probabilities_on_test(candidate.model, split), [[0.75, 0.25]] * 3)
    assert candidate.metrics == pytest.approx(
        {"log_loss": -(np.log(0.25) + np.log(0.75)) / 2, "accuracy": 0.5, "fit_seconds": 0.0}
    )
    assert not candidate.servable
    with pytest.raises(ValueError, match="class frequencies are no network"):
        export(split, QUICK, candidate)


@pytest.mark.long
def test_candidates_stand_from_best_to_worst_and_are_logged(compared: Compared) -> None:
    candidates, log = compared.candidates, compared.log
    assert set(candidates) == {FREQUENCIES, PROBE, FINE_TUNED}
    losses = [candidate.metrics["log_loss"] for candidate in candidates.values()]
    assert losses == sorted(losses)
    assert log.candidates == {name: candidate.metrics for name, candidate in candidates.items()}
    assert list(log.candidates) == [FREQUENCIES, PROBE, FINE_TUNED]
    assert list(log.epochs) == [1, 2]
    history = candidates[FINE_TUNED].model.history
    assert log.epochs[2]["validation_loss"] == history[1].validation_loss
    assert [line[:22] for line in compared.printed.splitlines()] == ["fine-tuned, epoch 1/2:", "fine-tuned, epoch 2/2:"]


def test_a_candidate_is_logged_before_the_next_is_fitted(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fine_tuned", stop)
    logged: list[Candidate] = []
    with pytest.raises(KeyboardInterrupt):
        compare(split, FULL, log=logged.append)
    assert [candidate.name for candidate in logged] == [FREQUENCIES, PROBE]


@pytest.mark.long
def test_the_baselines_are_measured_on_the_test_split(split: Split, compared: Compared) -> None:
    two = {name: compared.candidates[name] for name in (FREQUENCIES, PROBE)}
    baselines = evaluate_baselines(split, FULL, two)
    assert set(baselines) == {FREQUENCIES, PROBE}
    for name, metrics in baselines.items():
        probabilities = probabilities_on_test(two[name].model, split)
        assert metrics["log_loss"].estimate == pytest.approx(log_loss_error(labels_of(split.test), probabilities))


@pytest.mark.long
def test_the_quick_recipe_is_the_probe_alone(split: Split, compared: Compared) -> None:
    quick = compare(split, QUICK)
    assert set(quick) == {FREQUENCIES, PROBE}
    logits = compared.candidates[PROBE].model.validation_logits
    np.testing.assert_allclose(quick[PROBE].model.validation_logits, logits, atol=1e-6)


def test_the_choice_is_the_least_loss_of_what_can_be_served() -> None:
    losses = {"a": (0.5, True), "b": (0.4, True), "frequencies": (0.1, False)}
    candidates = {
        name: Candidate(name, {"log_loss": loss}, None, servable) for name, (loss, servable) in losses.items()
    }
    assert choose(candidates) == "b"


@pytest.mark.long
@pytest.mark.parametrize("name", [PROBE, FINE_TUNED])
def test_a_candidate_is_measured_for_itself(name: str, split: Split, compared: Compared) -> None:
    candidate = compared.candidates[name]
    network = candidate.model.network
    theirs = network.head.logits(features_of(split.validation, network.trunk).rows)
    np.testing.assert_allclose(theirs, candidate.model.validation_logits, atol=1e-4)
    labels = labels_of(split.validation)
    temperature = fit_temperature(labels, candidate.model.validation_logits)
    probabilities = softmax(candidate.model.validation_logits / temperature)
    assert candidate.metrics["log_loss"] == pytest.approx(log_loss_error(labels, probabilities))
    assert candidate.metrics["accuracy"] == accuracy_score(labels, probabilities)
    # On the test split the temperature is still that of validation.
    of_test = softmax(network.head.logits(features_of(split.test, network.trunk).rows) / temperature)
    np.testing.assert_allclose(probabilities_on_test(candidate.model, split), of_test)


@pytest.mark.long
def test_the_probe_leaves_the_trunk_and_fine_tuning_does_not(compared: Compared, split: Split) -> None:
    probe, tuned = compared.candidates[PROBE], compared.candidates[FINE_TUNED]
    assert probe.model.network.trunk == trunk_of(FULL, split.train)
    start, moved = filters(probe), np.abs(filters(tuned) - filters(probe)).max()
    assert 0 < moved < 0.1 * np.abs(start).max()
    assert probe.model.tuning is None
    assert tuned.model.tuning == TUNING
    seconds = sum(epoch.seconds for epoch in tuned.model.history)
    assert tuned.metrics["fit_seconds"] == pytest.approx(seconds, abs=0.06)


@pytest.mark.long
def test_no_label_of_the_test_split_is_looked_at(split: Split, compared: Compared) -> None:
    blind = replace(split, test=tuple(replace(photo, label=-1) for photo in split.test))
    for name, candidate in compare(blind, QUICK).items():
        seen = compared.candidates[name].model
        np.testing.assert_allclose(candidate.model.validation_logits, seen.validation_logits, atol=1e-6)
        np.testing.assert_allclose(
            probabilities_on_test(candidate.model, blind), probabilities_on_test(seen, split), atol=1e-6
        )


@pytest.mark.long
def test_a_training_is_named_by_its_start_and_taken_up(split: Split, compared: Compared) -> None:
    (checkpoint,) = (compared.work / "checkpoints").iterdir()
    console = Console(file=io.StringIO(), width=200)
    again = compare(split, FULL, compute=Compute(device="cpu", work=compared.work), console=console)
    assert console.file.getvalue().startswith("Going on from ")
    assert checkpoint.name in console.file.getvalue().replace("\n", "")
    assert again[FINE_TUNED].model.history == compared.candidates[FINE_TUNED].model.history
    logits = again[FINE_TUNED].model.validation_logits
    np.testing.assert_array_equal(logits, compared.candidates[FINE_TUNED].model.validation_logits)
