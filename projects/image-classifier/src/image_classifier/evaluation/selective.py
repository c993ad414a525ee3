"""What declining buys: how many answers are wrong among those that are given, if the least confident are not given."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.evaluation.uncertainty import wilson_interval

SHARES = tuple(round(0.5 + 0.025 * step, 3) for step in range(21))


@dataclass(frozen=True)
class Answered:
    """The most confident share of the pictures.

    Attributes
    ----------
    coverage
        Share of the pictures that are answered.
    least_confidence
        Of the answers that are given.
    error, low, high
        Share of wrong answers among them, and its 95 % interval (Wilson 1927).
    """

    coverage: float
    least_confidence: float
    error: float
    low: float
    high: float


def risk_coverage(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], shares: tuple[float, ...] = SHARES
) -> list[Answered]:
    """Return the share of wrong answers among the most confident ones, for each share that is answered.

    Parameters
    ----------
    labels, probabilities
        True label numbers [n] and probabilities [n, n_classes].
    """
    confidence, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
    order = np.argsort(-confidence, kind="stable")
    points = []
    for share in shares:
        n = max(1, round(share * len(labels)))
        error = wrong[order[:n]].mean()
        low, high = wilson_interval(np.array([error]), np.array([float(n)]))
        points.append(Answered(n / len(labels), float(confidence[order[n - 1]]), float(error), low.item(), high.item()))
    return points
