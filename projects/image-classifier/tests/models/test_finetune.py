"""The same seed gives the same weights to the last bit, also through a kill; rates, averages and the end by hand."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Dataset, Split
from image_classifier.data.photos import labels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models import finetune
from image_classifier.models.backbones import Backbone, build_backbone
from image_classifier.models.checkpoint import CheckpointError, load_checkpoint
from image_classifier.models.finetune import fine_tune, fit_network
from image_classifier.models.fit import Epoch
from image_classifier.models.job import Job
from image_classifier.models.network import Classifier, logits_of
from image_classifier.models.probe import Head
from image_classifier.models.trunk import features_of
from portfolio_shared.evaluation.classification import accuracy_score, log_loss_error, softmax

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = FineTuneSettings(epochs=3, patience=3, crop=32, batch=8, rate=3e-3, averaging=0.9)


def backbone_of(name: str) -> Backbone:
    """Return the network that ships, or one of a single layer, which is the same whenever it is built."""
    if name == "mobilenet_v2":
        return build_backbone(name, "shipped", crop=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = nn.Sequential(nn.Conv2d(3, 16, 4, stride=4), nn.ReLU())
    return Backbone(name, trunk, 16, Preprocessing(32, 32), (0.5,) * 3, (0.5,) * 3, digest="abc")


def network(backbone: str = "tiny", *, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(backbone_of(backbone), 5)


def job(
    sample: Dataset,
    *,
    backbone: str = "tiny",
    settings: FineTuneSettings = SETTINGS,
    seed: int = 0,
    work: Path | None = None,
) -> Job:
    step = len(sample.photos) // 36
    photos = sample.photos[::step][:36]
    split = Split(photos[:26], photos[26:], (), sample.labels)
    return Job(split, backbone_of(backbone), settings, seed, Compute(device="cpu", work=work))


def trained(job: Job, classifier: Classifier, **options) -> tuple[dict[str, Tensor], list[Epoch]]:
    """Return the weights that a fine-tuning ends with, and its epochs without their seconds."""
    history = fine_tune(classifier, job, **options)
    return {name: tensor.clone() for name, tensor in classifier.state_dict().items()}, [
        replace(epoch, seconds=0) for epoch in history
    ]


def assert_same(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=0, msg=name)


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


def kill_in(number: int) -> Callable[[Epoch], None]:
    """Return a function that ends the training after an epoch, before its checkpoint is written."""

    def kill(epoch: Epoch) -> None:
        if epoch.number == number:
            raise Killed

    return kill


# The same result


def test_a_seed_gives_the_same_weights_to_the_last_bit(sample: Dataset) -> None:
    first, history = trained(job(sample), network())
    again, history_again = trained(job(sample), network())
    assert_same(again, first)
    assert history_again == history
    other, _ = trained(job(sample, seed=1), network())
    assert not torch.equal(other["head.weight"], first["head.weight"])


@pytest.mark.parametrize("backbone", ["tiny", "mobilenet_v2"])
@pytest.mark.long
def test_a_training_that_was_stopped_ends_as_if_it_was_not(backbone: str, sample: Dataset, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2, "rate": 3e-4})
    expected, history = trained(job(sample, backbone=backbone, settings=settings), network(backbone))

    kept = job(sample, backbone=backbone, settings=settings, work=tmp_path)
    with pytest.raises(Killed):
        trained(kept, network(backbone), on_epoch=kill_in(2))
    saved = load_checkpoint(kept.checkpoint)
    assert saved is not None
    assert len(saved[1]["history"]) == 1
    epochs: list[Epoch] = []
    # Another start and another state of torch's generator: everything that counts is in the checkpoint.
    weights_then, history_then = trained(kept, network(backbone, seed=5), on_epoch=epochs.append)
    assert history_then == history
    assert [epoch.number for epoch in epochs] == list(range(1, settings.epochs + 1))
    assert_same(weights_then, expected)


SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import torch
from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import Photo
from image_classifier.models import finetune
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.backbones import Backbone, build_backbone
from image_classifier.models.job import Job
from image_classifier.models.network import Classifier

given = json.loads(sys.stdin.read())
torch.set_num_threads(1)
torch.manual_seed(0)
trunk = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 4, stride=4), torch.nn.ReLU())
backbone = Backbone("tiny", trunk, 16, Preprocessing(32, 32), (0.5,) * 3, (0.5,) * 3, digest="abc")
torch.manual_seed(0)
photos = tuple(Photo(Path(path), *others) for path, *others in given["photos"])
settings, compute = FineTuneSettings(**given["settings"]), Compute(device="cpu", work=given["work"])
job = Job(Split(photos[:26], photos[26:], (), tuple(given["labels"])), backbone, settings, 0, compute)
steps, average = [], finetune._average

def killed_in_epoch_2(*arguments):
    steps.append(average(*arguments))
    if len(steps) == 5:  # of 3 steps an epoch
        os.kill(os.getpid(), signal.SIGKILL)

finetune._average = killed_in_epoch_2
finetune.fine_tune(Classifier(backbone, 5), job)
"""


@pytest.mark.long
def test_a_process_that_was_killed_in_its_second_epoch_is_taken_up(sample: Dataset, tmp_path: Path) -> None:
    kept = job(sample, work=tmp_path)
    photos = [
        [str(photo.path), photo.name, photo.label, photo.key, photo.group]
        for photo in (*kept.split.train, *kept.split.validation)
    ]
    given = {"photos": photos, "labels": sample.labels, "settings": SETTINGS.model_dump(), "work": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        input=json.dumps(given).encode(),
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -9, ended.stderr.decode()
    saved = load_checkpoint(kept.checkpoint)
    assert saved is not None
    assert [epoch["number"] for epoch in saved[1]["history"]] == [1]
    expected, history = trained(job(sample), network())
    resumed, history_then = trained(kept, network(seed=7))
    assert history_then == history
    assert_same(resumed, expected)


def test_a_finished_training_is_not_run_again(sample: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = job(sample, work=tmp_path)
    first, history = trained(kept, network())

    def step(*_: object) -> None:
        raise AssertionError("a step was made")

    monkeypatch.setattr(finetune, "_average", step)
    again, history_again = trained(kept, network(seed=9))
    assert history_again == history
    assert_same(again, first)


def test_the_checkpoint_of_another_job_and_a_damaged_one_are_refused_by_name(sample: Dataset, tmp_path: Path) -> None:
    short = SETTINGS.model_copy(update={"epochs": 1})
    kept, other = (job(sample, settings=short, seed=seed, work=tmp_path) for seed in (0, 1))
    trained(kept, network())
    whole = kept.checkpoint.read_bytes()
    other.checkpoint.write_bytes(whole)
    with pytest.raises(CheckpointError, match=rf"{other.checkpoint.name} belongs to a training with other data"):
        trained(other, network())
    kept.checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=rf"{kept.checkpoint.name} cannot be read"):
        trained(kept, network())


def test_the_scale_of_half_precision_is_taken_up(sample: Dataset, tmp_path: Path) -> None:
    """Only an accelerator uses it; its scaler keeps books on any device."""

    def state(scale: float) -> finetune._State:
        made = finetune._State(network(), job(sample))
        made.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=7)
        return made

    before = state(32.0)
    before.best = before.average.state_dict()
    after = state(65536.0)
    after.restore(before.tensors(), before.facts(), path=tmp_path)
    loss = nn.Parameter(torch.ones(1)).sum()
    assert after.scaler.scale(loss).item() == 32.0
    assert after.scaler.get_growth_interval() == 7
    plain = finetune._State(network(), job(sample)).facts()
    after.restore(before.tensors(), plain, path=tmp_path)  # a checkpoint of a training without it


# The end


def test_the_weights_are_the_averaged_ones_of_the_best_epoch(sample: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 0.5, 0.6, 0.7, 0.1])
    averages: list[dict[str, Tensor]] = []
    validate = finetune._State.validate

    def watched(state: finetune._State, loss: float, begun: float) -> Epoch:
        averages.append({name: tensor.clone() for name, tensor in state.average.state_dict().items()})
        return validate(state, loss, begun)

    monkeypatch.setattr(finetune, "log_loss_error", lambda labels, probabilities: next(losses))
    monkeypatch.setattr(finetune._State, "validate", watched)
    settings = SETTINGS.model_copy(update={"epochs": 8, "patience": 2})
    classifier = network()
    weights, history = trained(job(sample, settings=settings), classifier)
    assert [epoch.validation_loss for epoch in history] == [1.0, 0.5, 0.6, 0.7]  # two epochs without a better one
    assert_same(weights, averages[1])
    assert not torch.equal(weights["head.weight"], averages[3]["head.weight"])
    assert not classifier.training


def test_the_history_is_that_of_the_final_network(sample: Dataset) -> None:
    work, classifier = job(sample), network()
    _, history = trained(work, classifier)
    photos = work.split.validation
    probabilities = softmax(logits_of(classifier, photos, work.backbone.preprocessing))
    best = min(history, key=lambda epoch: epoch.validation_loss)
    assert log_loss_error(labels_of(photos), probabilities) == pytest.approx(best.validation_loss, abs=1e-9)
    assert accuracy_score(labels_of(photos), probabilities) == best.validation_accuracy
    assert [epoch.number for epoch in history] == [1, 2, 3]


def test_the_validation_part_teaches_nothing(sample: Dataset) -> None:
    """With other pictures to validate, the same epochs give the same weights."""
    once = SETTINGS.model_copy(update={"epochs": 1})
    work = job(sample, settings=once)
    others = tuple(replace(photo, label=0) for photo in reversed(work.split.validation))[:4]
    turned = replace(work, split=replace(work.split, validation=others))
    assert_same(trained(turned, network())[0], trained(work, network())[0])


def test_the_network_that_ships_has_no_statistics_to_lose() -> None:
    classifier = network("mobilenet_v2")
    assert not [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    learning = [parameter.requires_grad for parameter in classifier.parameters() if parameter.ndim > 1]
    assert learning == [True] * 53  # 52 convolutions and the head


@pytest.mark.long
def test_what_was_fine_tuned_is_exported_with_its_head(sample: Dataset) -> None:
    split, tuning = job(sample).split, SETTINGS.model_copy(update={"epochs": 1})
    settings = ModelSettings(backbone="mobilenet_v2", weights="shipped", crop=32, tuning=tuning)
    start, compute = Head(np.zeros((5, 1280)), np.array([3.0, 0, 0, 0, 0])), Compute(device="cpu")
    quiet = Console(quiet=True)
    tuned, history = fit_network(split, settings, start, seed=0, compute=compute, console=quiet, report=lambda _: None)
    assert tuned.trunk.preprocessing == Preprocessing(33, 32)
    logits = tuned.head.logits(features_of(split.validation, tuned.trunk).rows)
    loss = log_loss_error(labels_of(split.validation), softmax(logits))
    assert loss == pytest.approx(history[0].validation_loss, abs=1e-4)
    assert tuned.head.bias.argmax() == 0  # it started from the head that it was given
