"""Metrics of regression against answers computed by hand, and against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from portfolio_shared.evaluation.regression import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_log_error,
)

METRICS = [
    root_mean_squared_log_error,
    mean_absolute_error,
    median_absolute_error,
    mean_absolute_percentage_error,
    r2_score,
    mean_error,
]
TRUE, PRED = [1.0, 2.0, 4.0, 8.0], [2.0, 2.0, 1.0, 16.0]  # errors: 1, 0, -3, 8
by_name = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (root_mean_squared_log_error, math.log(2) * math.sqrt((1 + 0 + 4 + 1) / 4)),
        (mean_absolute_error, 12 / 4),
        (median_absolute_error, (1 + 3) / 2),
        (mean_absolute_percentage_error, (1 + 0 + 0.75 + 1) / 4),
        (r2_score, 1 - 74 / 28.75),  # mean 3.75; deviations -2.75, -1.75, 0.25, 4.25
        (mean_error, 6 / 4),
    ],
)
def test_answers_computed_by_hand(metric, expected):
    assert metric(TRUE, PRED) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        (mean_absolute_error, reference.mean_absolute_error),
        (median_absolute_error, reference.median_absolute_error),
        (mean_absolute_percentage_error, reference.mean_absolute_percentage_error),
        (r2_score, reference.r2_score),
        (root_mean_squared_log_error, lambda t, p: reference.root_mean_squared_error(np.log(t), np.log(p))),
    ],
)
def test_an_independent_implementation_agrees(metric, theirs):
    rng = np.random.default_rng(0)
    y_true = np.exp(rng.normal(12, 0.4, 101))
    y_pred = y_true * np.exp(rng.normal(0, 0.1, 101))
    assert metric(y_true, y_pred) == pytest.approx(theirs(y_true, y_pred), rel=1e-12)


@by_name
def test_a_perfect_prediction(metric):
    assert metric(TRUE, TRUE) == (1.0 if metric is r2_score else 0.0)


@by_name
def test_answers_are_plain_floats(metric):
    assert type(metric(np.array(TRUE, dtype=np.float32), PRED)) is float


@by_name
@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([], [], "empty"),
        ([1.0, 2.0], [1.0], r"shapes .*\(2,\).*\(1,\)"),
        ([[1.0, 2.0]], [[1.0, 2.0]], r"1-D arrays of one length, not shapes .*\(1, 2\)"),
        (1.0, 1.0, "1-D arrays"),
        ([1.0, math.nan], [1.0, 2.0], "y_true has 1 values of 2 that are not finite"),
        ([1.0, 2.0], [1.0, math.inf], "y_pred has 1 values of 2 that are not finite"),
    ],
)
def test_input_without_an_answer_is_refused(metric, y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        metric(y_true, y_pred)


@pytest.mark.parametrize(("y_true", "y_pred", "name"), [([0.0], [1.0], "y_true"), ([1.0], [-2.0], "y_pred")])
def test_a_logarithm_needs_positive_values(y_true, y_pred, name):
    with pytest.raises(ValueError, match=f"{name} must be greater than zero"):
        root_mean_squared_log_error(y_true, y_pred)


def test_a_percentage_of_zero_is_refused():
    with pytest.raises(ValueError, match="y_true is zero in 1 of 2 rows"):
        mean_absolute_percentage_error([0.0, 1.0], [1.0, 1.0])


@pytest.mark.parametrize("n", [1, 3, 7])
def test_a_constant_target_has_no_variance_to_explain(n):
    with pytest.raises(ValueError, match="no variance to explain"):
        r2_score([0.1] * n, [0.2] * n)
