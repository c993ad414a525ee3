"""The linear probe: the head predicts what scikit-learn predicts, at the strength that is best on held-out pictures."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from image_classifier.models.probe import FLOOR, STRENGTHS, fit_probe
from portfolio_shared.evaluation.classification import log_loss_error, softmax


def clusters(n_classes: int, *, seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centers = np.random.default_rng(9).normal(0, 1.5, (n_classes, 8))
    return (centers[labels] + rng.normal(0, 1, (n, 8))).astype(np.float32), labels


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_strength_is_the_best_on_the_held_out_pictures(n_classes: int) -> None:
    (features, labels), (held_out, held_out_labels) = clusters(n_classes), clusters(n_classes, seed=1)
    head, strength = fit_probe(features, labels, held_out, held_out_labels)
    scales = features.std(axis=0) + FLOOR * features.std(axis=0).mean()
    scales /= scales.mean()
    theirs = {c: LogisticRegression(C=c, max_iter=3000).fit(features / scales, labels) for c in STRENGTHS}
    losses = {c: log_loss_error(held_out_labels, each.predict_proba(held_out / scales)) for c, each in theirs.items()}
    assert strength == min(losses, key=lambda c: losses[c])
    assert head.weight.shape == (n_classes, 8)
    expected = theirs[strength].predict_proba(held_out / scales)
    np.testing.assert_allclose(softmax(head.logits(held_out)), expected, atol=0.01)
    np.testing.assert_allclose(head.logits(held_out)[3], head.weight @ held_out[3] + head.bias, atol=1e-6)
