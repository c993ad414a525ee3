"""The same seed gives the same weights to the last bit, also through a kill; rates, averages and the end by hand."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from image_classifier.config import FineTuneSettings
from image_classifier.data.load import Photos
from image_classifier.models import finetune
from image_classifier.models.backbones import build_backbone
from image_classifier.models.batches import labels_of
from image_classifier.models.checkpoint import CheckpointError, load_checkpoint
from image_classifier.models.finetune import Epoch, Job, fine_tune, logits_of
from image_classifier.models.network import Classifier, Normalize
from portfolio_shared.evaluation.classification import accuracy_score, log_loss_error, softmax

SETTINGS = FineTuneSettings(epochs=3, patience=3, crop=32, batch=8, rate=3e-3, averaging=0.9)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of random weights of a network with convolutions in groups."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(get_model("mobilenet_v2", weights=None).state_dict(), path)
    return str(path)


def network(backbone: str = "small_cnn", weights: str = "none", *, seed: int = 0) -> tuple[Classifier, Normalize]:
    torch.manual_seed(seed)
    built = build_backbone(backbone, weights, crop=32)
    return Classifier(built, 5, dropout=0.2), Normalize(built.mean, built.std)


def job(sample: Photos, *, settings: FineTuneSettings = SETTINGS, seed: int = 0, digest: str = "a" * 64) -> Job:
    step = len(sample.photos) // 36
    photos = sample.photos[::step][:36]
    how = build_backbone("small_cnn", "none", crop=32).preprocessing
    return Job(photos[:26], photos[26:], how, settings, seed, torch.device("cpu"), 0, digest)


def trained(work: Job, made: tuple[Classifier, Normalize], **options) -> tuple[dict[str, Tensor], list[Epoch]]:
    """Return the weights that a fine-tuning ends with, and its epochs without their seconds."""
    history = fine_tune(*made, work, **options)
    weights = {name: tensor.clone() for name, tensor in made[0].state_dict().items()}
    return weights, [replace(epoch, seconds=0) for epoch in history]


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0, msg=name)


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


def kill_in(number: int) -> Callable[[Epoch], None]:
    """Return a function that ends the training after an epoch, before its checkpoint is written."""

    def told(epoch: Epoch) -> None:
        if epoch.number == number:
            raise Killed

    return told


# The same result


def test_a_seed_gives_the_same_weights_to_the_last_bit(sample: Photos) -> None:
    first, history = trained(job(sample), network())
    again, history_again = trained(job(sample), network())
    assert_same(again, first)
    assert history_again == history
    other, _ = trained(job(sample, seed=1), network())
    assert not torch.equal(other["head.weight"], first["head.weight"])


@pytest.mark.parametrize("backbone", ["small_cnn", "mobilenet_v2"])
def test_a_training_that_was_stopped_ends_as_if_it_was_not(
    backbone: str, sample: Photos, pretrained: str, tmp_path: Path
) -> None:
    weights = "none" if backbone == "small_cnn" else pretrained
    settings = SETTINGS if backbone == "small_cnn" else SETTINGS.model_copy(update={"epochs": 2, "rate": 3e-4})
    expected, history = trained(job(sample, settings=settings), network(backbone, weights))

    path = tmp_path / "run.safetensors"
    with pytest.raises(Killed):
        trained(job(sample, settings=settings), network(backbone, weights), checkpoint=path, told=kill_in(2))
    found = load_checkpoint(path)
    assert found is not None
    assert len(found[1]["history"]) == 1
    told: list[Epoch] = []
    # Another start and another state of torch's generator: everything that counts is in the checkpoint.
    made = network(backbone, weights, seed=5)
    weights_then, history_then = trained(job(sample, settings=settings), made, checkpoint=path, told=told.append)
    assert history_then == history
    assert [epoch.number for epoch in told] == list(range(1, settings.epochs + 1))
    assert_same(weights_then, expected)


SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import torch
from image_classifier.models import finetune
from image_classifier.models.backbones import build_backbone
from image_classifier.config import FineTuneSettings
from image_classifier.data.load import Photo
from image_classifier.models.finetune import Job, fine_tune
from image_classifier.models.network import Classifier, Normalize

told = json.loads(sys.stdin.read())
torch.set_num_threads(1)
torch.manual_seed(0)
built = build_backbone("small_cnn", "none", crop=32)
photos = [Photo(Path(path), name, label, key, group) for path, name, label, key, group in told["photos"]]
settings = FineTuneSettings(**told["settings"])
job = Job(photos[:26], photos[26:], built.preprocessing, settings, 0, torch.device("cpu"), 0, "a" * 64)
steps, average = [], finetune._average

def killed_in_epoch_2(*arguments):
    steps.append(average(*arguments))
    if len(steps) == 5:  # of 3 steps an epoch
        os.kill(os.getpid(), signal.SIGKILL)

finetune._average = killed_in_epoch_2
fine_tune(Classifier(built, 5, dropout=0.2), Normalize(built.mean, built.std), job, checkpoint=Path(told["checkpoint"]))
"""


@pytest.mark.slow
def test_a_process_that_was_killed_in_its_second_epoch_is_taken_up(sample: Photos, tmp_path: Path) -> None:
    work, path = job(sample), tmp_path / "run.safetensors"
    photos = [
        [str(photo.path), photo.name, photo.label, photo.key, photo.group]
        for photo in (*work.training, *work.validation)
    ]
    told = {"photos": photos, "settings": SETTINGS.model_dump(mode="json"), "checkpoint": str(path)}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], input=json.dumps(told).encode(), capture_output=True, check=False
    )
    assert ended.returncode == -9, ended.stderr.decode()
    found = load_checkpoint(path)
    assert found is not None
    assert [epoch["number"] for epoch in found[1]["history"]] == [1]
    expected, history = trained(work, network())
    resumed, history_then = trained(work, network(seed=7), checkpoint=path)
    assert history_then == history
    assert_same(resumed, expected)


def test_a_finished_training_is_not_run_again(sample: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.safetensors"
    first, history = trained(job(sample), network(), checkpoint=path)

    def step(*_: object) -> None:
        raise AssertionError("a step was made")

    monkeypatch.setattr(finetune, "_average", step)
    again, history_again = trained(job(sample), network(seed=9), checkpoint=path)
    assert history_again == history
    assert_same(again, first)


def test_the_checkpoint_of_another_job_and_a_damaged_one_are_refused_by_name(sample: Photos, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    one = SETTINGS.model_copy(update={"epochs": 1})
    trained(job(sample, settings=one), network(), checkpoint=path)
    whole = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"run\.safetensors belongs to a training with other data or settings"):
        trained(job(sample, settings=one, digest="b" * 64), network(), checkpoint=path)
    assert path.read_bytes() == whole
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"run\.safetensors cannot be read"):
        trained(job(sample, settings=one), network(), checkpoint=path)


def test_the_scale_of_half_precision_is_taken_up(sample: Photos, tmp_path: Path) -> None:
    """Only an accelerator uses it; its scaler keeps books on any device."""

    def state(scale: float) -> finetune._State:
        made = finetune._State(*network(), job(sample))
        made.half, made.scaler = True, torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=7)
        return made

    before = state(32.0)
    before.best = before.average.state_dict()
    after = state(65536.0)
    after.restore(before.tensors(), before.facts(), path=tmp_path)
    loss = nn.Parameter(torch.ones(1)).sum()
    assert after.scaler.scale(loss).item() == 32.0
    assert after.scaler.get_growth_interval() == 7
    plain = finetune._State(*network(), job(sample)).facts()
    after.restore(before.tensors(), plain, path=tmp_path)  # a checkpoint of a training without it


# The end


def test_the_weights_are_the_averaged_ones_of_the_best_epoch(sample: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 0.5, 0.6, 0.7, 0.1])
    averages: list[dict[str, Tensor]] = []
    validate = finetune._State.validate

    def watched(state: finetune._State, loss: float, begun: float) -> Epoch:
        averages.append({name: tensor.clone() for name, tensor in state.average.state_dict().items()})
        return validate(state, loss, begun)

    monkeypatch.setattr(finetune, "log_loss_error", lambda labels, found: next(losses))
    monkeypatch.setattr(finetune._State, "validate", watched)
    settings = SETTINGS.model_copy(update={"epochs": 8, "patience": 2})
    made = network()
    found, history = trained(job(sample, settings=settings), made)
    assert [epoch.validation_loss for epoch in history] == [1.0, 0.5, 0.6, 0.7]  # two epochs without a better one
    assert_same(found, averages[1])
    assert not torch.equal(found["head.weight"], averages[3]["head.weight"])
    assert not made[0].training


def test_the_history_is_what_the_final_network_says(sample: Photos) -> None:
    work, made = job(sample), network()
    _, history = trained(work, made)
    found = softmax(logits_of(*made, work.validation, work.preprocessing, workers=0))
    labels = labels_of(work.validation)
    best = min(history, key=lambda epoch: epoch.validation_loss)
    assert log_loss_error(labels, found) == pytest.approx(best.validation_loss, abs=1e-9)
    assert accuracy_score(labels, found) == best.validation_accuracy
    assert [epoch.number for epoch in history] == [1, 2, 3]


def test_it_learns(sample: Photos) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 8, "patience": 8, "augmentation": "none", "head_rate": 3e-3})
    _, history = trained(job(sample, settings=settings), network())
    assert history[-1].training_loss < 0.8 * history[0].training_loss


def test_the_validation_part_teaches_nothing(sample: Photos) -> None:
    """With other pictures to validate, the same epochs give the same weights."""
    once = SETTINGS.model_copy(update={"epochs": 1})
    work = job(sample, settings=once)
    turned = replace(work, validation=[replace(photo, label=0) for photo in reversed(work.validation)][:4])
    assert_same(trained(turned, network())[0], trained(work, network())[0])


# The steps


def state_of(sample: Photos, **changes: object) -> finetune._State:
    settings = SETTINGS.model_copy(update=changes)
    return finetune._State(*network(), job(sample, settings=settings))


def test_rates_warm_up_and_fall_to_zero(sample: Photos) -> None:
    state = state_of(sample, epochs=4, batch=8, warm_up=0.25, rate=1.0, depth_decay=1.0, head_rate=10.0)
    assert state.per_epoch == 3  # 26 pictures: 12 steps in all, 3 of them to warm up
    shares = []
    for step in range(13):
        state._set_rate(step)
        rates = [group["lr"] for group in state.optimizer.param_groups]
        assert rates[-1] == pytest.approx(10 * rates[0])
        shares.append(rates[0])
    cosine = [0.5 * (1 + np.cos(np.pi * i / 9)) for i in range(10)]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1, *cosine], abs=1e-12)
    assert shares[-1] == pytest.approx(0, abs=1e-12)


def test_every_step_of_the_training_gets_its_rate(sample: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    plain = finetune._State._set_rate
    monkeypatch.setattr(finetune._State, "_set_rate", lambda state, step: (seen.append(step), plain(state, step)))
    trained(job(sample), network())
    assert seen == list(range(9))


def test_first_layers_learn_slower_and_only_weights_decay(sample: Photos) -> None:
    state = state_of(sample, rate=1.0, depth_decay=0.01, head_rate=7.0, weight_decay=0.5)
    *trunk, head = state.optimizer.param_groups
    rates = [group["lr"] for group in trunk]
    assert rates[0] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(1.0)
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(100) / (len(rates) - 1))
    assert (head["lr"], head["weight_decay"], len(head["params"])) == (7.0, 0.5, 2)
    for group in trunk:
        assert group["weight_decay"] == (0.5 if group["params"][0].ndim == 4 else 0.0)
    tuned = {id(parameter) for group in state.optimizer.param_groups for parameter in group["params"]}
    assert tuned == {id(parameter) for parameter in state.classifier.parameters()}


def test_averages_by_hand() -> None:
    def module(value: float, count: int) -> nn.Module:
        made = nn.BatchNorm1d(2)
        nn.init.constant_(made.weight, value)
        made.running_mean.fill_(value)
        made.num_batches_tracked.fill_(count)
        return made

    average, current = module(1.0, 3), module(2.0, 8)
    finetune._average(average, current, 0.75)
    assert average.weight.tolist() == average.running_mean.tolist() == [1.25, 1.25]
    assert average.num_batches_tracked.item() == 8
    finetune._average(average, current, 0.75)
    assert average.weight.tolist() == [1.4375, 1.4375]
    assert current.weight.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(("averaging", "share"), [(0.99, 10 / 11), (0.0, 1.0)])
def test_the_first_average_is_hardly_the_start(averaging: float, share: float, sample: Photos) -> None:
    """However long the memory, the random start is forgotten soon; without averaging the weights are the last."""
    state = state_of(sample, averaging=averaging, batch=26)
    start = state.classifier.head.weight.detach().clone()
    state.train_epoch()  # one step
    moved = state.classifier.head.weight.detach() - start
    assert moved.abs().max() > 1e-4
    torch.testing.assert_close(state.average.head.weight, start + share * moved, rtol=0, atol=1e-6)


def test_a_pretrained_trunk_has_no_statistics_to_lose(sample: Photos, pretrained: str) -> None:
    classifier, _ = network("mobilenet_v2", pretrained)
    assert not [one for one in classifier.modules() if isinstance(one, nn.BatchNorm2d)]
    learning = [parameter.requires_grad for parameter in classifier.parameters() if parameter.ndim > 1]
    assert learning == [True] * 53  # 52 convolutions and the head


def test_logits_are_those_of_each_picture_alone(sample: Photos) -> None:
    """Neither the batch nor dropout has a say."""
    made, work = network(), job(sample)
    made[0].train()
    together = logits_of(*made, work.validation, work.preprocessing, workers=0)
    alone = [logits_of(*made, [photo], work.preprocessing, workers=0)[0] for photo in work.validation]
    assert together.dtype == np.float64
    np.testing.assert_allclose(together, alone, atol=1e-5)
