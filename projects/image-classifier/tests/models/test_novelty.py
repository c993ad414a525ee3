"""How far from the training pictures: numbers worked out by hand, and a file without pickle."""

from dataclasses import replace

import numpy as np
import pytest

from image_classifier.models.neighbors import Neighbors
from image_classifier.models.novelty import Novelty

# Features (x, y, z): x counts double, z nothing. Training pictures at (0, 0) and (10, 0) in these terms.
HAND = Novelty(
    np.array([[2, 0], [0, 1], [0, 0]], dtype=np.float32), np.array([[0, 0], [10, 0]], dtype=np.float32), 5.0, 0.0
)


def test_the_distance_is_to_the_nearest_picture():
    rows = [[0, 0, 7], [5, 0, 0], [0, 3, 0], [7, 3, 99], [1.5, 4, 0], [2.5, 0, 0]]
    np.testing.assert_allclose(HAND.distance(rows), [0, 0, 3, 5, 5, 5])


def test_the_score_is_the_distance_over_the_threshold():
    np.testing.assert_allclose(HAND.score([[0, 0, 0], [0, 5, 0], [-5, 0, 0]], [0, 0, 0]), [0, 1, 2])


def test_the_distance_is_divided_by_a_power_of_the_length():
    rows = np.array([[1.5, 4, 0], [0, 9, 5], [2, 0, 0]])  # 5, 9 and 4 long in these terms
    plain = HAND.distance(rows)
    np.testing.assert_allclose(plain, [5, 9, 4])
    np.testing.assert_allclose(replace(HAND, power=0.5).distance(rows), np.sqrt([5, 9, 4]), rtol=1e-6)
    np.testing.assert_allclose(replace(HAND, power=1.0).distance(rows), [1, 1, 1], rtol=1e-6)
    assert replace(HAND, power=0.5).distance([[0, 0, 3]]) == 0


def test_with_neighbors_the_score_is_in_standard_deviations_of_the_kind_that_is_named():
    near = Neighbors(
        np.zeros(3, dtype=np.float32),
        np.eye(3, 2, dtype=np.float32),
        np.array([[1, 0], [0, 1]], dtype=np.float32),
        np.array([0, 1]),
    )
    means, deviations = np.array([[1, 0.5, 0], [0, 0, 0]]), np.array([[2, 0.25, 1], [1, 1, 1]])
    fitted = replace(HAND, threshold=1.0, neighbors=near, means=means, deviations=deviations)
    # At (10, 0): at no distance; cosines 1 and 0, of its own kind 1.
    np.testing.assert_allclose(fitted.measures([[5, 0, 0]], [0]), [[0, 0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(fitted.standardized([[0, 0.5, 0]], [0]), [-0.5 / 3], rtol=1e-6)
    np.testing.assert_allclose(fitted.score([[5, 0, 0]], [0]), [np.exp(-0.5 / 3 - 1)], rtol=1e-6)
    # Far away one distance counts for no more than eight.
    np.testing.assert_allclose(
        fitted.standardized(fitted.measures([[0, 900, 0]], [1]), [1]), [(8 + 0.5 + 0) / 3], rtol=1e-6
    )


def test_a_model_without_a_power_is_read_as_it_was_written(tmp_path):
    np.savez(tmp_path / "novelty.npz", directions=HAND.directions, known=HAND.training, threshold=np.float64(5))
    read = Novelty.load(tmp_path / "novelty.npz")
    np.testing.assert_allclose(read.distance([[0, 3, 0], [7, 3, 99]]), [3, 5])


def test_what_was_saved_reads_back_and_holds_no_object(tmp_path):
    rng = np.random.default_rng(0)
    directions, training = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    near = Neighbors(directions[:, 0], directions, training, np.array([0, 1, 1]))
    means, deviations = rng.normal(size=(2, 3)).astype(np.float32), np.ones((2, 3), dtype=np.float32)
    fitted = Novelty(directions, training, 1 / 3, neighbors=near, means=means, deviations=deviations)
    fitted.save(tmp_path / "novelty.npz")
    read = Novelty.load(tmp_path / "novelty.npz")
    rows, named = rng.normal(size=(9, 6)), np.arange(9) % 2
    assert read.threshold == fitted.threshold
    np.testing.assert_array_equal(read.score(rows, named), fitted.score(rows, named))
    with np.load(tmp_path / "novelty.npz", allow_pickle=False) as arrays:
        assert {array.dtype.kind for array in arrays.values()} == {"f", "i"}
        assert {"directions", "known", "threshold", "power", "means", "neighbors.labels"} < set(arrays)


def test_a_pickle_is_not_read(tmp_path):
    np.savez(tmp_path / "novelty.npz", directions=np.array([{}], dtype=object), known=HAND.training, threshold=1.0)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Novelty.load(tmp_path / "novelty.npz")
