"""Neighbors by hand, and directions in which a kind's own pictures differ."""

import numpy as np

from image_classifier.models.neighbors import Neighbors, fit_neighbors

# Two kinds at right angles around a centre; the third feature is left out.
HAND = Neighbors(
    np.array([1, 1, 0], dtype=np.float32),
    np.array([[1, 0], [0, 1], [0, 0]], dtype=np.float32),
    np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], dtype=np.float32),
    np.array([0, 0, 1, 1]),
)


def test_distances_are_means_of_one_minus_the_cosine() -> None:
    found = HAND.distances([[3, 1, 99], [1, 2, 0], [1, 1, 5]], [0, 1, 0])
    np.testing.assert_allclose(found[0], [1 - (1 + 0.6 + 0) / 3, 1 - 1.6 / 2], rtol=1e-6)
    np.testing.assert_allclose(found[1], [1 - (1 + 0.8 + 0) / 3, 1 - 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(found[2], [1, 1])  # the centre itself points nowhere


def test_a_kind_without_training_pictures_is_as_far_as_can_be() -> None:
    np.testing.assert_allclose(HAND.distances([[3, 1, 0]], [7])[0, 1], 2)


def test_a_row_does_not_depend_on_its_batch() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 3))
    together = HAND.distances(rows, np.zeros(9, dtype=int))
    np.testing.assert_array_equal(together[4:5], HAND.distances(rows[4:5], [0]))


def test_what_pictures_of_one_kind_differ_in_counts_less() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    training = np.column_stack([labels * 4.0, np.zeros(400), np.zeros(400)]) + rng.normal(size=(400, 3)) * [1, 10, 0.1]
    fitted = fit_neighbors(training, labels)
    scales = np.linalg.norm(fitted.directions, axis=1)
    assert scales[1] < scales[0] < scales[2]
    np.testing.assert_allclose(np.linalg.norm(fitted.training, axis=1), 1, rtol=1e-5)
    assert fit_neighbors(training[:4], labels[:4]).directions.shape[1] == 3
