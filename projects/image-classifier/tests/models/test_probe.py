"""The linear probe: the head says what scikit-learn says, and the cache holds the right features and no others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from image_classifier.data.images import Preprocessing
from image_classifier.data.load import Photo, Photos
from image_classifier.models import probe as module
from image_classifier.models.backbones import Backbone
from image_classifier.models.checkpoint import CheckpointError
from image_classifier.models.network import Classifier, Normalize
from image_classifier.models.probe import STRENGTHS, Probe, enlarged, features_of, fit_probe, most_frequent, to_head
from portfolio_shared.evaluation.classification import log_loss_error, softmax

HALF = (0.5, 0.5, 0.5)


class Trunk(nn.Sequential):
    """Counts the pictures that it has seen."""

    seen = 0

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        self.seen += len(pictures)
        return super().forward(pictures)


def network(n_classes: int = 5) -> tuple[Classifier, Normalize, Backbone]:
    torch.manual_seed(0)
    trunk = Trunk(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
    built = Backbone("tiny", trunk, 8, Preprocessing(32, 32), HALF, HALF, pretrained=True, digest="abc")
    return Classifier(built, n_classes, dropout=0.5), Normalize(HALF, HALF), built


def clusters(n_classes: int, *, seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centres = np.random.default_rng(9).normal(0, 1.5, (n_classes, 8))
    return (centres[labels] + rng.normal(0, 1, (n, 8))).astype(np.float32), labels


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_strength_is_the_best_on_the_held_out_pictures(n_classes: int) -> None:
    (features, labels), (held_out, held_out_labels) = clusters(n_classes), clusters(n_classes, seed=1)
    found = fit_probe(features, labels, held_out, held_out_labels)
    theirs = {c: LogisticRegression(C=c, max_iter=3000).fit(features, labels) for c in STRENGTHS}
    losses = {c: log_loss_error(held_out_labels, fitted.predict_proba(held_out)) for c, fitted in theirs.items()}
    assert found.strength == min(losses, key=lambda c: losses[c])
    assert found.weight.shape == (n_classes, 8)
    probabilities = softmax(found.logits(held_out))
    np.testing.assert_allclose(probabilities, theirs[found.strength].predict_proba(held_out), rtol=1e-3, atol=1e-6)


def test_little_to_learn_from_takes_a_strong_penalty() -> None:
    rng = np.random.default_rng(0)
    noise, labels = rng.normal(size=(40, 8)).astype(np.float32), np.arange(40) % 2
    assert fit_probe(noise, labels, *clusters(2, seed=1)).strength == min(STRENGTHS)
    assert fit_probe(*clusters(2), *clusters(2, seed=1)).strength == max(STRENGTHS)


def test_the_head_of_the_network_says_what_the_probe_says(sample: Photos) -> None:
    made, photos = network(), sample.photos[::10]
    features = features_of(photos, *made, cache=None).rows
    rng = np.random.default_rng(0)
    probe = Probe(rng.normal(size=(5, 8)), rng.normal(size=5), 1.0)
    to_head(probe, made[0])
    with torch.inference_mode():
        logits = made[0].eval().head(torch.from_numpy(features))
    np.testing.assert_allclose(logits.numpy(), probe.logits(features), atol=1e-5)
    np.testing.assert_allclose(probe.logits(features)[3], probe.weight @ features[3] + probe.bias, atol=1e-6)


def test_features_are_those_of_each_picture_in_the_order_asked(sample: Photos) -> None:
    made, photos = network(), list(sample.photos[::10])
    made[0].train()
    found = features_of(photos, *made, cache=None).rows
    assert (found.shape, found.dtype) == ((len(photos), 8), np.float32)
    backwards = features_of(photos[::-1], *made, cache=None).rows
    np.testing.assert_allclose(backwards[::-1], found, atol=1e-6)
    assert len(np.unique(found.round(5), axis=0)) == len(photos)


def test_the_cache_computes_each_picture_once(sample: Photos, tmp_path: Path) -> None:
    made, photos = network(), list(sample.photos[::10])
    trunk = made[0].trunk
    told: list[int] = []
    first, seconds = features_of(photos[:12], *made, cache=tmp_path / "features", advance=told.append)
    assert (trunk.seen, told) == (12, [0, 12])
    # Known ones, new ones, and one that is there twice under two names.
    twin = replace(photos[15], name="other/name.png")
    more = features_of([*photos[6:16], twin], *made, cache=tmp_path / "features", advance=told.append).rows
    assert (trunk.seen, told[2:]) == (16, [7, 4])
    np.testing.assert_array_equal(more[:6], first[6:])
    np.testing.assert_array_equal(more[-1], more[-2])
    np.testing.assert_allclose(more, features_of([*photos[6:16], twin], *network(), cache=None).rows, atol=1e-6)
    again = features_of(photos[:12], *made, cache=tmp_path / "features")
    assert trunk.seen == 16
    np.testing.assert_array_equal(again.rows, first)
    # The seconds are those of when they were computed.
    assert again.seconds == pytest.approx(seconds)
    assert seconds > 0
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_a_cache_belongs_to_weights_and_preprocessing(sample: Photos, tmp_path: Path) -> None:
    classifier, normalize, built = network()
    photos = sample.photos[:4]
    others = (
        built,
        replace(built, digest="other weights"),
        replace(built, preprocessing=Preprocessing(40, 32)),
        replace(built, preprocessing=Preprocessing(32, 32, "bicubic")),
        replace(built, mean=(0.4, 0.5, 0.5)),
    )
    for number, other in enumerate(others, 1):
        features_of(photos, classifier, normalize, other, cache=tmp_path)
        assert classifier.trunk.seen == 4 * number
        assert len(list(tmp_path.iterdir())) == number


def test_a_changed_picture_under_the_same_name_is_computed_anew(sample: Photos, tmp_path: Path) -> None:
    made = network()
    one, other = sample.photos[0], sample.photos[-1]
    features_of([one], *made, cache=tmp_path)
    changed = replace(other, name=one.name)
    found = features_of([changed], *made, cache=tmp_path).rows
    np.testing.assert_array_equal(found, features_of([other], *made, cache=None).rows)


def test_a_damaged_cache_is_refused_by_name(sample: Photos, tmp_path: Path) -> None:
    made = network()
    features_of(sample.photos[:4], *made, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=f"{file.name} cannot be read .* delete it to compute"):
            features_of(sample.photos[:4], *made, cache=tmp_path)


def test_a_kill_while_the_cache_is_written_leaves_the_one_before(
    sample: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    built = replace(network()[2], preprocessing=Preprocessing(232, 224, "bicubic"))
    larger = enlarged(built)
    assert larger == replace(built, preprocessing=Preprocessing(288, 288, "bicubic"))
    assert larger.trunk is built.trunk


def test_shares_of_the_classes_by_hand() -> None:
    photos = [Photo(Path("x"), "x", label, str(i), str(i)) for i, label in enumerate([0, 2, 2, 2])]
    assert most_frequent(photos, 4).tolist() == [0.25, 0, 0.75, 0]
