"""Kinds that resemble those the model knows: leave one out of the linear probe, and ask it for that one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from image_classifier.config import DEFAULT_COMPUTE, Compute
from image_classifier.data.load import Split
from image_classifier.data.photos import Photo, labels_of
from image_classifier.evaluation.candidates import linear_probe
from image_classifier.models.calibrate import AMBIGUOUS, fit_novelty
from image_classifier.models.trunk import Features, Trunk, features_of
from portfolio_shared.evaluation.classification import fit_temperature, softmax
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval

Unsure = Callable[[Features], NDArray[np.float64]]


@dataclass(frozen=True)
class LeftOut:
    """A kind that the probe did not learn: shares of its test pictures, and of those of the others, called unsure."""

    name: str
    pictures: int
    unknown: Interval
    known: Interval


def leave_each_out(
    split: Split, trunk: Trunk, *, compute: Compute = DEFAULT_COMPUTE, seed: int = 0
) -> tuple[LeftOut, ...]:
    """Fit the probe and its thresholds without each kind in turn, and look at the test part; of two kinds at none."""
    near = []
    for label, name in enumerate(split.labels if len(split.labels) > 2 else ()):
        unsure = _fitted(without(split, label), trunk, compute, seed)
        rows = unsure(features_of(split.test, trunk, compute=compute).rows)
        left_out = labels_of(split.test) == label
        unknown, known = (bootstrap_interval(np.mean, rows[part], seed=seed) for part in (left_out, ~left_out))
        near.append(LeftOut(name, int(left_out.sum()), unknown, known))
    return tuple(near)


def without(split: Split, label: int) -> Split:
    """Return the split without a label; the numbers of those behind it move up."""

    def rest(photos: tuple[Photo, ...]) -> tuple[Photo, ...]:
        kept = (photo for photo in photos if photo.label != label)
        return tuple(replace(photo, label=photo.label - (photo.label > label)) for photo in kept)

    labels = tuple(name for number, name in enumerate(split.labels) if number != label)
    return Split(rest(split.train), rest(split.validation), rest(split.test), labels)


def _fitted(split: Split, trunk: Trunk, compute: Compute, seed: int) -> Unsure:
    """Return which features [n, n_features] a probe is unsure of, by the rules of what is served [n]."""
    candidate, head = linear_probe(split, trunk, compute=compute)
    training, validation = (features_of(part, trunk, compute=compute).rows for part in (split.train, split.validation))
    logits = candidate.model.validation_logits
    temperature = fit_temperature(labels_of(split.validation), logits)
    least = np.quantile(softmax(logits / temperature).max(axis=1), AMBIGUOUS)
    novelty = fit_novelty(
        training,
        labels_of(split.train),
        validation,
        logits.argmax(axis=1),
        n_classes=len(split.labels),
        frozen=True,
        seed=seed,
    )

    def unsure(features: Features) -> NDArray[np.float64]:
        seen = head.logits(features)
        ambiguous = softmax(seen / temperature).max(axis=1) < least
        return np.asarray((novelty.score(features, seen.argmax(axis=1)) > 1) | ambiguous, dtype=np.float64)

    return unsure
