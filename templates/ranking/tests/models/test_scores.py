"""The models against what can be computed by hand."""

import numpy as np

from new_project.models.scores import best, ease, item_neighbors

X = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])


def test_ease_is_the_best_linear_prediction_of_each_item_from_the_others() -> None:
    B = ease(X, penalty=2.0)
    for item in range(3):
        others = [other for other in range(3) if other != item]
        fitted = np.linalg.solve(X[:, others].T @ X[:, others] + 2 * np.eye(2), X[:, others].T @ X[:, item])
        np.testing.assert_allclose(B[others, item], fitted, rtol=1e-5)
        assert B[item, item] == 0


def test_neighbors_are_cosines_of_the_nearest() -> None:
    np.testing.assert_allclose(item_neighbors(X, neighbors=1), [[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0]])


def test_the_best_are_in_order_and_those_that_are_left_out_are_none() -> None:
    assert best(np.array([1.0, -np.inf, 3.0]), 5).tolist() == [2, 0]
