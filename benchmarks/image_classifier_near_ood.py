"""Rules that tell a kind of flower which the probe did not learn, on the validation part: each kind left out in turn.

The threshold of each rule refuses 5 % of the validation pictures of the kinds that were learned. The kind left out is
asked for with its training and validation pictures, of which the probe saw none. No test picture is looked at.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from record import RESULTS, finish
from rich.console import Console

from image_classifier.config import Compute, TrainConfig
from image_classifier.data.load import load, split
from image_classifier.data.photos import labels_of
from image_classifier.evaluation.near_out_of_distribution import without
from image_classifier.models.calibrate import fit_novelty
from image_classifier.models.neighbors import unit
from image_classifier.models.plan import plan
from image_classifier.models.probe import Head, fit_probe
from image_classifier.models.trunk import Features, features_of, trunk_of
from portfolio_shared.evaluation.classification import softmax
from portfolio_shared.evaluation.tables import terminal_table

Floats = NDArray[np.floating]
KNOWN = 0.05


class Learned(NamedTuple):
    """Training features [n, n_features] of the kinds that were learned, their label numbers, and the probe."""

    x: Features
    y: NDArray[np.int64]
    head: Head


Rule = Callable[[Learned, Features], Floats]
"""Features [m, n_features] -> how strange they are [m]."""


def energy(of: Learned, x: Features) -> Floats:
    """Return the negative log-sum-exp of the logits (Liu et al. 2020)."""
    return np.asarray(-np.logaddexp.reduce(of.head.logits(x), axis=1))


def mahalanobis(of: Learned, x: Features) -> Floats:
    """Return the least squared distance to a kind's mean, by the covariance that all share (Lee et al. 2018)."""
    means = np.stack([of.x[of.y == kind].mean(axis=0) for kind in np.unique(of.y)])
    return np.asarray(_squared(x[:, None] - means, of.x - means[of.y]).min(axis=1))


def relative_mahalanobis(of: Learned, x: Features) -> Floats:
    """Return it less the distance to the mean of all (Ren et al. 2021)."""
    middle = of.x.mean(axis=0)
    return np.asarray(mahalanobis(of, x) - _squared(x - middle, of.x - middle))


def vim(of: Learned, x: Features, *, kept: int = 256) -> Floats:
    """Return the residual beyond the main directions, scaled to the logits, less their energy (Wang et al. 2022)."""
    origin = -np.linalg.pinv(of.head.weight) @ of.head.bias
    _, directions = np.linalg.eigh((of.x - origin).T @ (of.x - origin))
    rest = directions[:, :-kept]
    of_training = np.linalg.norm((of.x - origin) @ rest, axis=1)
    scale = of.head.logits(of.x).max(axis=1).mean() / of_training.mean()
    return np.asarray(scale * np.linalg.norm((x - origin) @ rest, axis=1) + energy(of, x))


RULES: dict[str, Rule] = {
    "largest probability": lambda of, x: -softmax(of.head.logits(x)).max(axis=1),
    "energy of the logits": energy,
    "Mahalanobis distance": mahalanobis,
    "relative Mahalanobis distance": relative_mahalanobis,
    "ViM": vim,
    "cosine to the nearest picture": lambda of, x: -(unit(x) @ unit(of.x).T).max(axis=1),
    "the same, from the center": lambda of, x: -(unit(x - of.x.mean(axis=0)) @ unit(of.x - of.x.mean(axis=0)).T).max(1),
}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="full", help="as of train (default: %(default)s)")
    parser.add_argument("--weights", default="shipped", help="as of train (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "image-classifier_near_ood.json")
    options = parser.parse_args()
    config = TrainConfig(data=options.data, weights=options.weights, tracking_uri="")
    settings, dataset = plan(config, Console()), load(config.data)
    whole = split(dataset)
    trunk, compute = trunk_of(settings, whole.train), Compute(work=config.work)
    shares: dict[str, list[float]] = {}
    for label in range(len(whole.labels)):
        parts = without(whole, label)
        x, held_out = (features_of(part, trunk, compute=compute).rows for part in (parts.train, parts.validation))
        y, truth = labels_of(parts.train), labels_of(parts.validation)
        head, _ = fit_probe(x, y, held_out, truth)
        learned = Learned(x, y, head)
        unknown = [photo for photo in (*whole.train, *whole.validation) if photo.label == label]
        strange = features_of(unknown, trunk, compute=compute).rows
        scores = {name: (rule(learned, held_out), rule(learned, strange)) for name, rule in RULES.items()}
        named, guessed = (head.logits(rows).argmax(axis=1) for rows in (held_out, strange))
        novelty = fit_novelty(x, y, held_out, named, n_classes=len(parts.labels), frozen=True)
        scores["distance of the first models"] = (novelty.distance(held_out), novelty.distance(strange))
        scores["served"] = (novelty.score(held_out, named), novelty.score(strange, guessed))
        for name, (known, far) in scores.items():
            shares.setdefault(name, []).append(float((far > np.quantile(known, 1 - KNOWN)).mean()))
    order = sorted(shares, key=lambda name: -np.mean(shares[name]))
    cells = [[name, f"{np.mean(shares[name]):.0%}", *(f"{share:.0%}" for share in shares[name])] for name in order]
    title = f"Unknown kinds refused at 5 % of the known ones, validation part of {dataset.name}"
    Console().print(terminal_table(title, ["rule", "mean", *whole.labels], cells))
    rows = [{"rule": name, "refused": dict(zip(whole.labels, shares[name], strict=True))} for name in order]
    return finish(Console(), options.output, {"data": dataset.name, "known_refused": KNOWN, "rows": rows}, [])


def _squared(x: Floats, residuals: Floats, *, floor: float = 0.3) -> Floats:
    """Return squared lengths of x [..., n_features] in units of the residuals' covariance, with a floor under it."""
    variances, directions = np.linalg.eigh(residuals.T @ residuals / len(residuals))
    scaled = x @ (directions / np.sqrt(variances + floor * variances.mean()))
    return np.asarray((scaled**2).sum(axis=-1))


if __name__ == "__main__":
    sys.exit(main())
