"""Neighborhood models against their definition, spelled out."""

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.models import neighbors
from recommender.models.neighbors import fit_item_neighbors, fit_user_neighbors
from recommender.models.popularity import fit_popularity

X = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1], [1, 0, 0, 0, 1]], dtype=np.float32)
ITEMS, WEIGHTS = np.array([0, 2]), np.array([1.0, 0.5], dtype=np.float32)


@pytest.mark.parametrize("n", [2, 99])  # more than there are users: all of them
def test_user_neighbors_vote_with_their_similarity(n: int) -> None:
    query = np.array([1, 0, 0.5, 0, 0])
    similarity = X @ query / np.linalg.norm(X, axis=1)
    nearest = np.argsort(-similarity)[:n]
    expected = similarity[nearest] @ X[nearest]
    model = fit_user_neighbors(sp.csr_array(X), n_neighbors=n)
    np.testing.assert_allclose(model.scores(ITEMS, WEIGHTS), expected, rtol=1e-6)


@pytest.mark.parametrize("at_once", [2, 1000])
def test_item_neighbors_are_pruned_cosines(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "ITEMS_AT_ONCE", at_once)
    weighted = X * np.log(5 / (1 + X.sum(axis=1)))[:, None]
    unit = weighted / np.linalg.norm(weighted, axis=0)
    cosine = unit.T @ unit
    np.fill_diagonal(cosine, 0)
    for row in cosine:
        row[np.argsort(-row, kind="stable")[2:]] = 0
    model = fit_item_neighbors(sp.csr_array(X), n_neighbors=2)
    np.testing.assert_allclose(model.similarity.toarray(), cosine, atol=1e-6)
    np.testing.assert_allclose(model.scores(ITEMS, WEIGHTS), WEIGHTS @ cosine[ITEMS], atol=1e-6)


def test_a_film_that_nobody_rated_has_no_neighbors() -> None:
    wider = sp.csr_array(np.hstack([X, np.zeros((5, 1), dtype=np.float32)]))
    similarity = fit_item_neighbors(wider, n_neighbors=3).similarity.toarray()
    assert similarity[5].sum() == similarity[:, 5].sum() == 0


def test_popularity_ignores_the_history() -> None:
    model = fit_popularity(sp.csr_array(X * 4))
    np.testing.assert_array_equal(model.scores(ITEMS, WEIGHTS), [3, 2, 2, 2, 2])
    model.scores(ITEMS, WEIGHTS)[0] = -1
    assert model.counts[0] == 3  # a caller may write into the scores
