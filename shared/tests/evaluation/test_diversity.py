"""Coverage, novelty, diversity and popularity bias against answers worked out by hand."""

import numpy as np
import pytest

from portfolio_shared.evaluation import diversity
from portfolio_shared.evaluation.diversity import (
    catalogue_coverage,
    intra_list_diversity,
    novelty,
    popularity_lift,
)


def test_coverage_counts_distinct_items_once():
    assert catalogue_coverage([[0, 1], [1, 2], [2, -1]], n_items=12) == 3 / 12
    with pytest.raises(ValueError, match="holds item 2, but there are 2 items"):
        catalogue_coverage([[0, 1], [1, 2]], n_items=2)


def test_novelty_is_information_in_bits():
    counts = [16, 4, 1, 0]
    values = novelty([[0, 1, 2], [3, -1, -1]], counts, n_users=16)
    np.testing.assert_allclose(values, [(0 + 2 + 4) / 3, 4])  # nobody chose item 3: it counts as chosen once


def test_novelty_refuses_what_has_no_meaning():
    with pytest.raises(ValueError, match="1 of 2 lists are empty"):
        novelty([[0], [-1]], [1], n_users=2)
    with pytest.raises(ValueError, match="from 0 to n_users"):
        novelty([[0]], [3], n_users=2)
    with pytest.raises(ValueError, match="holds item 1"):
        novelty([[1]], [3], n_users=3)


def pairwise_diversity(lists, features):
    """The definition, pair by pair."""
    result = []
    for row in lists:
        items = [item for item in row if item >= 0]
        distances = []
        for position, item in enumerate(items):
            for other in items[position + 1 :]:
                length = float(np.linalg.norm(features[item]) * np.linalg.norm(features[other]))
                distances.append(1 - (float(features[item] @ features[other]) / length if length else 0.0))
        result.append(float(np.mean(distances)))
    return result


def test_diversity_is_the_mean_over_pairs(monkeypatch):
    monkeypatch.setattr(diversity, "USERS_AT_ONCE", 7)  # several blocks
    rng = np.random.default_rng(3)
    features = (rng.random((40, 6)) < 0.3).astype(float)
    features[5] = 0
    lists = np.argsort(rng.random((30, 40)), axis=1)[:, :5]
    lists[3, 3:] = -1
    lists[4] = [5, 1, 2, 3, 4]
    np.testing.assert_allclose(intra_list_diversity(lists, features), pairwise_diversity(lists, features), atol=1e-12)


def test_diversity_needs_a_pair():
    with pytest.raises(ValueError, match="1 of 1 lists have fewer than two items"):
        intra_list_diversity([[0, -1]], np.ones((1, 2)))
    with pytest.raises(ValueError, match="features"):
        intra_list_diversity([[0, 1]], [[np.nan], [1.0]])


def test_popularity_lift_by_hand():
    counts = [10, 5, 1]
    values = popularity_lift([[0, 1], [2, -1]], counts, 10, profile_users=[0, 1, 1], profile_items=[1, 1, 0])
    np.testing.assert_allclose(values, [0.75 / 0.5 - 1, 0.1 / 0.75 - 1])
    with pytest.raises(ValueError, match="1 of 2 users have no profile"):
        popularity_lift([[0], [1]], counts, 10, profile_users=[0], profile_items=[1])
