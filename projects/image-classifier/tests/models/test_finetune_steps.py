"""The steps of a fine-tuning by hand: rates that rise and fall, groups of weights, averaged weights, processes."""

import numpy as np
import pytest
import torch
from torch import nn

from image_classifier.config import Compute, FineTuneSettings
from image_classifier.data.load import Dataset, Split
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models import finetune
from image_classifier.models.backbones import Backbone
from image_classifier.models.finetune import fine_tune
from image_classifier.models.job import Job
from image_classifier.models.network import Classifier

SETTINGS = FineTuneSettings(epochs=3, patience=3, crop=32, batch=8, rate=3e-3, averaging=0.9)
HALF = (0.5, 0.5, 0.5)


def state_of(sample: Dataset, **changes: object) -> finetune._State:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.BatchNorm2d(8))
    backbone = Backbone("tiny", trunk, 8, Preprocessing(32, 32), HALF, HALF, digest="abc")
    photos = sample.photos[:: len(sample.photos) // 36][:36]
    split = Split(photos[:26], photos[26:], (), sample.labels)
    job = Job(split, backbone, SETTINGS.model_copy(update=changes), 0, Compute(device="cpu"))
    return finetune._State(Classifier(backbone, 5), job)


def test_rates_warm_up_and_fall_to_zero(sample: Dataset) -> None:
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


def test_every_step_of_the_training_gets_its_rate(sample: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    plain = finetune._State._set_rate
    monkeypatch.setattr(finetune._State, "_set_rate", lambda state, step: (seen.append(step), plain(state, step)))
    state = state_of(sample)
    fine_tune(state.classifier, state.job)
    assert seen == list(range(9))


def test_first_layers_learn_slower_and_only_weights_decay(sample: Dataset) -> None:
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
def test_the_first_average_is_hardly_the_start(averaging: float, share: float, sample: Dataset) -> None:
    """However long the memory, the random start is forgotten soon; without averaging the weights are the last."""
    state = state_of(sample, averaging=averaging, batch=26)
    start = state.classifier.head.weight.detach().clone()
    state.train_epoch()  # one step
    moved = state.classifier.head.weight.detach() - start
    assert moved.abs().max() > 1e-4
    torch.testing.assert_close(state.average.head.weight, start + share * moved, rtol=0, atol=1e-6)
