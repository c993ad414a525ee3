"""The linear probe: the head predicts what scikit-learn predicts; the cache holds the right features and no others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from image_classifier.data.load import Dataset, Split
from image_classifier.data.photos import labels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models import probe as module
from image_classifier.models.backbones import Backbone
from image_classifier.models.checkpoint import CheckpointError
from image_classifier.models.network import Classifier, logits_of
from image_classifier.models.probe import STRENGTHS, enlarged, features_of, fit_head, fit_probe
from portfolio_shared.evaluation.classification import log_loss_error, softmax

HALF = (0.5, 0.5, 0.5)


class Trunk(nn.Sequential):
    """Counts the pictures that it has seen."""

    seen = 0

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        self.seen += len(pictures)
        return super().forward(pictures)


def network(n_classes: int = 5) -> tuple[Classifier, Backbone]:
    torch.manual_seed(0)
    trunk = Trunk(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
    built = Backbone("tiny", trunk, 8, Preprocessing(32, 32), HALF, HALF, pretrained=True, digest="abc")
    return Classifier(built, n_classes, dropout=0.5), built


def clusters(n_classes: int, *, seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centres = np.random.default_rng(9).normal(0, 1.5, (n_classes, 8))
    return (centres[labels] + rng.normal(0, 1, (n, 8))).astype(np.float32), labels


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_strength_is_the_best_on_the_held_out_pictures(n_classes: int) -> None:
    (features, labels), (held_out, held_out_labels) = clusters(n_classes), clusters(n_classes, seed=1)
    probe = fit_probe(features, labels, held_out, held_out_labels)
    theirs = {c: LogisticRegression(C=c, max_iter=3000).fit(features, labels) for c in STRENGTHS}
    losses = {c: log_loss_error(held_out_labels, fitted.predict_proba(held_out)) for c, fitted in theirs.items()}
    assert probe.strength == min(losses, key=lambda c: losses[c])
    assert probe.weight.shape == (n_classes, 8)
    probabilities = softmax(probe.logits(held_out))
    np.testing.assert_allclose(probabilities, theirs[probe.strength].predict_proba(held_out), rtol=1e-3, atol=1e-6)


def test_the_network_with_its_fitted_head_is_the_probe(sample: Dataset) -> None:
    classifier, backbone = network()
    photos, advanced = sample.photos[::4], []
    split = Split(photos[::2], photos[1::2], (), sample.labels)
    head = fit_head(classifier, backbone, split, advance=advanced.append)
    assert sum(advanced) == len(photos)
    train, validation = (features_of(part, classifier, backbone).rows for part in (split.train, split.validation))
    probe = fit_probe(train, labels_of(split.train), validation, labels_of(split.validation))
    np.testing.assert_allclose(head.validation_logits, probe.logits(validation))
    np.testing.assert_allclose(probe.logits(validation)[3], probe.weight @ validation[3] + probe.bias, atol=1e-6)
    assert head.strength == probe.strength
    by_network = logits_of(classifier, split.validation, backbone.preprocessing)
    np.testing.assert_allclose(by_network, head.validation_logits, atol=1e-4)


def test_features_are_those_of_each_picture_in_the_order_asked(sample: Dataset) -> None:
    made, photos = network(), list(sample.photos[::10])
    made[0].train()
    features = features_of(photos, *made).rows
    assert (features.shape, features.dtype) == ((len(photos), 8), np.float32)
    backwards = features_of(photos[::-1], *made).rows
    np.testing.assert_allclose(backwards[::-1], features, atol=1e-6)
    assert len(np.unique(features.round(5), axis=0)) == len(photos)


def test_the_cache_computes_each_picture_once(sample: Dataset, tmp_path: Path) -> None:
    made, photos = network(), list(sample.photos[::10])
    trunk = made[0].trunk
    advanced: list[int] = []
    first, seconds = features_of(photos[:12], *made, cache=tmp_path / "features", advance=advanced.append)
    assert (trunk.seen, advanced) == (12, [0, 12])
    # Known ones, new ones, and one that is there twice under two names.
    twin = replace(photos[15], name="other/name.png")
    more = features_of([*photos[6:16], twin], *made, cache=tmp_path / "features", advance=advanced.append).rows
    assert (trunk.seen, advanced[2:]) == (16, [7, 4])
    np.testing.assert_array_equal(more[:6], first[6:])
    np.testing.assert_array_equal(more[-1], more[-2])
    np.testing.assert_allclose(more, features_of([*photos[6:16], twin], *network()).rows, atol=1e-6)
    again = features_of(photos[:12], *made, cache=tmp_path / "features")
    assert trunk.seen == 16
    np.testing.assert_array_equal(again.rows, first)
    # The seconds are those of when they were computed.
    assert again.seconds == pytest.approx(seconds)
    assert seconds > 0
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_a_cache_belongs_to_weights_and_preprocessing(sample: Dataset, tmp_path: Path) -> None:
    classifier, built = network()
    photos = sample.photos[:4]
    others = (
        built,
        replace(built, digest="other weights"),
        replace(built, preprocessing=Preprocessing(40, 32)),
        replace(built, preprocessing=Preprocessing(32, 32, "bicubic")),
        replace(built, mean=(0.4, 0.5, 0.5)),
    )
    for number, other in enumerate(others, 1):
        features_of(photos, classifier, other, cache=tmp_path)
        assert classifier.trunk.seen == 4 * number
        assert len(list(tmp_path.iterdir())) == number


def test_a_changed_picture_under_the_same_name_is_computed_anew(sample: Dataset, tmp_path: Path) -> None:
    made = network()
    first, other = sample.photos[0], sample.photos[-1]
    features_of([first], *made, cache=tmp_path)
    changed = replace(other, name=first.name)
    features = features_of([changed], *made, cache=tmp_path).rows
    np.testing.assert_array_equal(features, features_of([other], *made).rows)


def test_a_damaged_cache_is_refused_by_name(sample: Dataset, tmp_path: Path) -> None:
    made = network()
    features_of(sample.photos[:4], *made, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=f"{file.name} cannot be read .* delete it to compute"):
            features_of(sample.photos[:4], *made, cache=tmp_path)


def test_a_kill_while_the_cache_is_written_leaves_the_one_before(
    sample: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = network()
    first = features_of(sample.photos[:4], *made, cache=tmp_path).rows

    def killed(file, **_: object) -> None:
        file.write(b"the first half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module.np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        features_of(sample.photos[:6], *made, cache=tmp_path)
    monkeypatch.undo()
    np.testing.assert_array_equal(features_of(sample.photos[:4], *made, cache=tmp_path).rows, first)


def test_larger_pictures_are_whole() -> None:
    built = replace(network()[1], preprocessing=Preprocessing(232, 224, "bicubic"))
    larger = enlarged(built)
    assert larger == replace(built, preprocessing=Preprocessing(288, 288, "bicubic"))
    assert larger.trunk is built.trunk
