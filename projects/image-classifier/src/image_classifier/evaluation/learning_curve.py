"""How much data helps: the probe fitted on a few pictures of each class, drawn several times, and on all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from image_classifier.config import DEFAULT_COMPUTE, Compute
from image_classifier.data.load import Split
from image_classifier.data.photos import labels_of
from image_classifier.models.probe import fit_probe
from image_classifier.models.trunk import Trunk, features_of
from portfolio_shared.evaluation.uncertainty import Interval

SIZES = (5, 10, 20, 50, 100, 200)
"""Training pictures of each class."""
DRAWS = 5


@dataclass(frozen=True)
class Learned:
    """What the probe reaches on the validation part after learning from so many pictures of each class.

    Attributes
    ----------
    per_class, draws
        Training pictures of a class, on average where all are taken; and how often they were drawn.
    accuracy
        Mean over the draws, and the lowest and highest of them.
    recalls
        By label: share of its validation pictures that are named right, mean over the draws.
    """

    per_class: int
    draws: int
    accuracy: Interval
    recalls: dict[str, float]


def learning_curve(
    split: Split,
    trunk: Trunk,
    *,
    compute: Compute = DEFAULT_COMPUTE,
    sizes: Sequence[int] = SIZES,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Learned]:
    """Fit the probe on drawn training pictures, whole and mirrored, and measure it on the validation part.

    Every other validation picture chooses the strength of the penalty for the rest, and the rest for these, so none is
    measured by a probe that it chose; the test part is not looked at. Sizes that a class does not have are left out;
    the last row has all training pictures.
    """
    views = [features_of(split.train, trunk, mirrored=mirrored, compute=compute).rows for mirrored in (False, True)]
    held_out = features_of(split.validation, trunk, compute=compute).rows
    y, truth = labels_of(split.train), labels_of(split.validation)
    halves = [np.arange(len(truth)) % 2 == half for half in (0, 1)]
    places = [np.flatnonzero(y == label) for label in range(len(split.labels))]
    rng = np.random.default_rng(seed)

    def right(rows: np.ndarray) -> np.ndarray:
        x, labels, answered = np.concatenate([view[rows] for view in views]), np.tile(y[rows], 2), np.empty_like(truth)
        for choosing, measured in (halves, halves[::-1]):
            head, _ = fit_probe(x, labels, held_out[choosing], truth[choosing])
            answered[measured] = head.logits(held_out[measured]).argmax(axis=1)
        return np.asarray(answered == truth)

    curve = []
    for size in sizes:
        if size < min(map(len, places)):
            drawn = [np.concatenate([rng.choice(place, size, replace=False) for place in places]) for _ in range(draws)]
            curve.append(_learned(size, np.stack([right(rows) for rows in drawn]), truth, split.labels))
    everything = right(np.arange(len(y)))[None]
    return [*curve, _learned(round(len(y) / len(split.labels)), everything, truth, split.labels)]


def _learned(per_class: int, right: np.ndarray, truth: np.ndarray, labels: Sequence[str]) -> Learned:
    """Return a row of the curve, from which pictures were named right in each draw [n_draws, n]."""
    shares = right.mean(axis=1)
    accuracy = Interval(float(shares.mean()), float(shares.min()), float(shares.max()))
    recalls = {name: float(right[:, truth == label].mean()) for label, name in enumerate(labels)}
    return Learned(per_class, len(right), accuracy, recalls)
