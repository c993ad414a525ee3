"""Declining the least confident first: what is left, and how much of it is wrong."""

import numpy as np
import pytest

from image_classifier.evaluation.selective import risk_coverage


def test_the_least_confident_are_declined_first() -> None:
    confidence = np.array([0.9, 0.6, 0.8, 0.7])
    probabilities = np.column_stack([confidence, 1 - confidence])
    half, whole = risk_coverage(np.array([0, 1, 0, 1]), probabilities, (0.5, 1.0))
    assert (half.coverage, half.error, half.least_confidence) == (0.5, 0.0, pytest.approx(0.8))
    assert (whole.coverage, whole.error, whole.least_confidence) == (1.0, 0.5, pytest.approx(0.6))
    assert half.low == pytest.approx(0)
    assert half.high > 0.5  # of two answers nothing is sure
    assert whole.low < 0.5 < whole.high
