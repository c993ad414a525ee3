"""The numbers of prose that no record has: settings of the code, and what follows from them by arithmetic."""

import math
from collections.abc import Iterator
from fractions import Fraction

from image_classifier.config import ServeSettings, TrainConfig
from image_classifier.data.load import TEST_FRACTION, VALIDATION_FRACTION
from image_classifier.evaluation.bias_variance import REFITS
from image_classifier.evaluation.learning_curve import DRAWS
from image_classifier.models.calibrate import AMBIGUOUS, UNFAMILIAR
from image_classifier.models.export import ACCURACY_LOSS
from portfolio_shared.evaluation.uncertainty import HIGH, LOW
from portfolio_shared.operations.sequences import needed

LOWER_LEVEL = 0.9
"""Coverage of label sets that fewer pictures can be calibrated for, as `docs/calibration.md` says it."""
DEVIATION = 0.5
"""Of clients' differences in the Brier score, as the experiment of `docs/after-deployment.md` supposes it."""
GAINS = {"large": 0.25, "medium": 0.1, "small": 0.05}
"""Gains that this experiment asks for."""


def by_code() -> dict[str, str]:
    """Return the numbers by name."""
    return dict(_of_settings()) | dict(_of_label_sets()) | dict(_of_experiment())


def share(value: float, decimals: int = 1) -> str:
    """Return a share as prose has it.

    >>> share(0.9318), share(0.04, 0)
    ('93.2 %', '4 %')
    """
    return f"{100 * value:.{decimals}f} %"


def least_pictures(coverage: float) -> int:
    """Return by how many pictures label sets of this coverage can be calibrated at least.

    >>> least_pictures(0.95), least_pictures(0.9)
    (19, 9)
    """
    asked = Fraction(str(coverage))
    return math.ceil(asked / (1 - asked))


def dealt(pictures: int, least: int) -> float:
    """Return how often the hashes of so many names give at least `least` of them to the validation part.

    >>> round(dealt(2, 1), 4)  # of two names, neither in 0.88 squared of the cases
    0.2256
    """
    each = (1 - TEST_FRACTION) * VALIDATION_FRACTION
    fewer = (math.comb(pictures, n) * each**n * (1 - each) ** (pictures - n) for n in range(least))
    return 1 - sum(fewer)


def _of_settings() -> Iterator[tuple[str, str]]:
    yield "level", share(HIGH - LOW, 0)
    yield "test_share", share(TEST_FRACTION, 0)
    yield "validation_share", share(VALIDATION_FRACTION, 0)
    yield "unfamiliar", share(UNFAMILIAR, 0)
    yield "ambiguous", share(AMBIGUOUS, 0)
    yield "accuracy_loss", f"{100 * ACCURACY_LOSS:g}"
    yield "draws", str(DRAWS)
    yield "refits", str(REFITS)
    limits = ServeSettings.model_fields
    yield "max_body", f"{limits['max_body_bytes'].default // 1_000_000}"
    yield "max_bodies", f"{limits['max_total_body_bytes'].default // 1_000_000}"


def _of_label_sets() -> Iterator[tuple[str, str]]:
    """Yield how many pictures label sets take, and how often collections of some sizes have so many."""
    levels = {"set": TrainConfig.model_fields["coverage"].default, "lower_set": LOWER_LEVEL}
    for name, level in levels.items():
        yield f"{name}_level", share(level, 0)
        yield f"{name}_pictures", str(least_pictures(level))
    for name, pictures in (("set", 150), ("set", 230), ("lower_set", 120)):
        yield f"{name}_of_{pictures}", share(dealt(pictures, least_pictures(levels[name])), 0)


def _of_experiment() -> Iterator[tuple[str, str]]:
    """Yield how many clients tell each gain from chance."""
    yield "experiment_deviation", f"{DEVIATION:g}"
    for name, gain in GAINS.items():
        yield f"experiment_{name}", f"{gain:g}"
        yield f"experiment_{name}_clients", str(needed(gain, DEVIATION))
