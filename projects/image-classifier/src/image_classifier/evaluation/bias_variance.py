"""Bias and variance of the probe: refits on bootstrap samples of the training pictures, by strength of the penalty.

All samples are drawn from one training set and overlap, so variance is that of drawing again and not that of new
pictures. For those it is too small or too large, by how the probe answers to pictures that are drawn twice and to the
third of them that a sample leaves out; which of the two is not measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_classifier.config import DEFAULT_COMPUTE, Compute
from image_classifier.data.load import Split
from image_classifier.data.photos import labels_of
from image_classifier.models.probe import fit_probe
from image_classifier.models.trunk import Trunk, features_of

STRENGTHS = (0.00003, 0.0003, 0.003, 0.03, 0.3, 3.0)
"""Inverse strengths of the penalty, the strongest penalty first."""
REFITS = 10


@dataclass(frozen=True)
class Parts:
    """What the error of a probe on the validation part consists of (Domingos 2000, for 0-1 loss).

    Attributes
    ----------
    strength
        Inverse strength of the penalty: the larger, the freer the model.
    training_error
        Share of wrong answers on the pictures that a refit learned from, mean over the refits.
    error
        Share of wrong answers on the validation part, mean over the refits.
    bias
        Share of validation pictures for which most refits agree on a wrong answer: what more samples would not mend.
    variance
        Share of answers that differ from what most refits say.
    """

    strength: float
    training_error: float
    error: float
    bias: float
    variance: float

    @property
    def added_by_variance(self) -> float:
        """What variance adds to the error; where most refits are wrong, one that differs may be right."""
        return self.error - self.bias


def bias_and_variance(
    split: Split,
    trunk: Trunk,
    *,
    compute: Compute = DEFAULT_COMPUTE,
    strengths: Sequence[float] = STRENGTHS,
    refits: int = REFITS,
    seed: int = 0,
) -> list[Parts]:
    """Refit the probe on bootstrap samples of the training pictures, whole; measure it on the validation part.

    The test part is not looked at: sweeping a penalty over it would choose by it.
    """
    rows, held_out = (features_of(part, trunk, compute=compute).rows for part in (split.train, split.validation))
    y, y_held_out = labels_of(split.train), labels_of(split.validation)
    rng = np.random.default_rng(seed)
    named: dict[float, list[NDArray[np.int64]]] = {strength: [] for strength in strengths}
    training: dict[float, list[float]] = {strength: [] for strength in strengths}
    for _ in range(refits):
        drawn = rng.integers(len(y), size=len(y))
        for strength in strengths:
            head, _ = fit_probe(rows[drawn], y[drawn], rows[drawn], y[drawn], strengths=[strength])
            named[strength].append(head.logits(held_out).argmax(axis=1))
            training[strength].append(float((head.logits(rows[drawn]).argmax(axis=1) != y[drawn]).mean()))
    return [
        _parts(strength, np.stack(named[strength]), y_held_out, float(np.mean(training[strength])))
        for strength in strengths
    ]


def _parts(strength: float, named: NDArray[np.int64], truth: NDArray[np.int64], training_error: float) -> Parts:
    """Return the parts of the error, from what each refit names each picture [n_refits, n]."""
    votes = np.stack([np.bincount(column, minlength=int(named.max()) + 1) for column in named.T])
    most = votes.argmax(axis=1)
    return Parts(
        strength,
        training_error,
        error=float((named != truth).mean()),
        bias=float((most != truth).mean()),
        variance=float((named != most).mean()),
    )
