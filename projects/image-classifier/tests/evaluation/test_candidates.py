"""What is compared: each candidate's numbers are its own, and its checkpoint belongs to its training alone."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from image_classifier.config import FineTuneSettings, TrainConfig
from image_classifier.data.images import Preprocessing
from image_classifier.data.load import Photo, Photos, Splits
from image_classifier.evaluation import candidates as module
from image_classifier.evaluation.candidates import Candidate, by_loss, fine_tuned, guess, pick_device, probed
from image_classifier.models.backbones import Backbone
from image_classifier.models.batches import labels_of
from image_classifier.models.network import Classifier, Normalize
from image_classifier.models.plan import Plan
from portfolio_shared.evaluation.classification import accuracy_score, fit_temperature, log_loss_error, softmax

HALF = (0.5, 0.5, 0.5)
SETTINGS = FineTuneSettings(epochs=2, crop=32, batch=8, rate=3e-3, dropout=0.2)


@pytest.fixture
def splits(sample: Photos) -> Splits:
    photos = sample.photos[:: len(sample.photos) // 50][:50]
    return Splits(tuple(photo for i, photo in enumerate(photos) if i % 5 < 3), photos[3::5], photos[4::5])


def network(*, pretrained: bool = True) -> tuple[Classifier, Normalize, Backbone]:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
    built = Backbone("tiny", trunk, 8, Preprocessing(32, 32), HALF, HALF, pretrained, digest="abc")
    return Classifier(built, 5, dropout=0.2), Normalize(HALF, HALF), built


def planned(sample: Photos, settings: FineTuneSettings = SETTINGS) -> Plan:
    return Plan(sample, "tiny", "some.pth", settings, "because")


def config(tmp_path: Path, **settings: object) -> TrainConfig:
    return TrainConfig(tracking_uri="", work=tmp_path, device="cpu", **settings)


def tuned(made, splits: Splits, sample: Photos, tmp_path: Path) -> tuple[Candidate, str]:
    """Return the candidate and what was printed."""
    console = Console(file=io.StringIO(), width=200)
    found = fine_tuned(*made, splits, planned=planned(sample), config=config(tmp_path), console=console)
    return found, console.file.getvalue()


def test_a_guess_is_the_shares_of_the_training_part() -> None:
    def part(*labels: int) -> tuple[Photo, ...]:
        return tuple(Photo(Path("x"), "x", label, f"{i}", f"{i}") for i, label in enumerate(labels))

    made = guess(Splits(part(0, 0, 0, 1), part(1, 0), part(0)), 2, network()[2])
    np.testing.assert_allclose(softmax(made.validation_logits), [[0.75, 0.25]] * 2)
    np.testing.assert_allclose(softmax(made.test_logits()), [[0.75, 0.25]])
    assert made.summary == pytest.approx(
        {"log_loss": -(np.log(0.25) + np.log(0.75)) / 2, "accuracy": 0.5, "fit_seconds": 0.0}
    )
    with pytest.raises(ValueError, match="shares of the classes is no network"):
        made.install(network()[0])


def test_the_probe_is_the_network_with_its_head(splits: Splits, tmp_path: Path) -> None:
    made, advanced = network(), []
    found = probed(*made, splits, config(tmp_path), advance=advanced.append)
    assert sum(advanced) == sum(map(len, (splits.train, splits.validation, splits.test)))
    for logits, photos in ((found.validation_logits, splits.validation), (found.test_logits(), splits.test)):
        theirs = module.logits_of(made[0], made[1], photos, made[2].preprocessing, workers=0)
        np.testing.assert_allclose(logits, theirs, atol=1e-4)
    other = network()[0]
    nn.init.zeros_(other.head.weight)
    found.install(other)
    assert torch.equal(other.head.weight, made[0].head.weight)
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_the_summary_is_worked_out_on_validation_at_the_best_temperature(splits: Splits, tmp_path: Path) -> None:
    found = probed(*network(), splits, config(tmp_path), advance=lambda _: None)
    labels = labels_of(splits.validation)
    temperature = fit_temperature(labels, found.validation_logits)
    probabilities = softmax(found.validation_logits / temperature)
    assert found.summary["log_loss"] == pytest.approx(log_loss_error(labels, probabilities))
    assert found.summary["accuracy"] == accuracy_score(labels, probabilities)
    # On the test split the temperature is still that of validation.
    np.testing.assert_allclose(found.test_probabilities(labels), softmax(found.test_logits() / temperature))


def test_no_label_of_the_test_split_is_looked_at(splits: Splits, sample: Photos, tmp_path: Path) -> None:
    blind = replace(splits, test=tuple(replace(photo, label=-1) for photo in splits.test))
    runs = []
    for folder, part in ((tmp_path / "seeing", splits), (tmp_path / "blind", blind)):
        made = network()
        first = probed(*made, part, config(folder), advance=lambda _: None)
        second, _ = tuned(made, part, sample, folder)
        runs.append([first.validation_logits, first.test_logits(), second.validation_logits, second.test_logits()])
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_fine_tuned_network_answers_for_itself_after_others_were_installed(
    splits: Splits, sample: Photos, tmp_path: Path
) -> None:
    made = network()
    first = probed(*made, splits, config(tmp_path), advance=lambda _: None)
    start = made[0].head.weight.detach().clone()
    found, _ = tuned(made, splits, sample, tmp_path)
    expected = module.logits_of(made[0], made[1], splits.test, made[2].preprocessing, workers=0)
    assert not torch.equal(made[0].head.weight, start)
    first.install(made[0])
    assert torch.equal(made[0].head.weight, start)
    np.testing.assert_array_equal(found.test_logits(), expected)
    np.testing.assert_array_equal(
        found.validation_logits,
        module.logits_of(made[0], made[1], splits.validation, made[2].preprocessing, workers=0),
    )
    assert len(found.history) == 2
    assert found.summary["fit_seconds"] == pytest.approx(sum(epoch.seconds for epoch in found.history), abs=0.06)


def test_a_training_is_named_by_its_start_and_taken_up(splits: Splits, sample: Photos, tmp_path: Path) -> None:
    found, printed = tuned(network(), splits, sample, tmp_path)
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    assert found.name == module.FINE_TUNED
    assert "Going on" not in printed
    assert [line[:22] for line in printed.splitlines()] == ["fine-tuned, epoch 1/2:", "fine-tuned, epoch 2/2:"]
    again, printed = tuned(network(), splits, sample, tmp_path)
    assert printed.startswith("Going on from ")
    assert checkpoint.name in printed
    assert again.history == found.history
    np.testing.assert_array_equal(again.validation_logits, found.validation_logits)
    scratch, _ = tuned(network(pretrained=False), splits, sample, tmp_path)
    assert scratch.name == module.SCRATCH


def test_a_checkpoint_is_named_by_everything_that_the_result_depends_on(
    splits: Splits, sample: Photos, tmp_path: Path
) -> None:
    built = network()[2]

    def digest(backbone=built, parts=splits, settings=SETTINGS, **others: object) -> str:
        return module._digest(backbone, parts, planned(sample, settings), config(tmp_path, **others))

    first, last = splits.train[0], splits.validation[-1]
    different = [
        digest(),
        digest(seed=1),
        digest(settings=SETTINGS.model_copy(update={"epochs": 3})),
        digest(settings=SETTINGS.model_copy(update={"augmentation": "basic"})),
        digest(replace(built, digest="other weights")),
        digest(replace(built, name="other")),
        digest(replace(built, preprocessing=Preprocessing(40, 32))),
        digest(parts=replace(splits, train=splits.train[1:])),
        digest(parts=replace(splits, train=(replace(first, label=first.label + 1), *splits.train[1:]))),
        digest(parts=replace(splits, train=(replace(first, key="other bytes"), *splits.train[1:]))),
        digest(parts=replace(splits, validation=splits.validation[:-1])),
        digest(parts=replace(splits, train=(*splits.train, last), validation=splits.validation[:-1])),
    ]
    assert len(set(different)) == len(different)
    # None of these changes the result: where the pictures lie, the test split, and how many processes help.
    elsewhere = tuple(replace(photo, path=Path("elsewhere")) for photo in splits.train)
    assert digest(parts=replace(splits, train=elsewhere, test=()), workers=3) == digest()


def test_the_order_is_that_of_the_loss() -> None:
    how = Preprocessing(32, 32)
    made = [
        Candidate(name, np.empty(0), {"log_loss": loss}, None, how, (), list) for name, loss in (("a", 2.0), ("b", 0.5))
    ]
    assert [one.name for one in by_loss(made)] == ["b", "a"]


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == torch.device("cpu")
    for wrong in ("cuda:99", "gpu", ""):
        with pytest.raises(ValueError, match=rf"device='{wrong}': expected auto, cpu or one that torch can use here"):
            pick_device(wrong)
    for found, expected in ((None, "cpu"), (torch.device("cuda"), "cuda")):
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda answer=found, **_: answer)
        assert pick_device("auto") == torch.device(expected)
