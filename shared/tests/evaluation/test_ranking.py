"""Ranking metrics against answers worked out by hand, and against trec_eval on random lists."""

import numpy as np
import pytest

from portfolio_shared.evaluation.ranking import (
    average_precision_at_k,
    hit_rate_at_k,
    judge,
    ndcg_at_k,
    precision_at_k,
    ranking_metrics,
    recall_at_k,
    reciprocal_rank_at_k,
)

# Three users, lists of four. Relevant: 1 and 3 of the first user, 9 of the second, 0 to 4 of the third.
LISTS = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [4, 3, 2, 1]])
USERS = np.array([0, 0, 1, 2, 2, 2, 2, 2])
ITEMS = np.array([3, 1, 9, 0, 1, 2, 3, 4])


@pytest.fixture
def judged():
    return judge(LISTS, USERS, ITEMS)


def test_judge_marks_positions_and_counts_relevant_items_that_were_not_recommended(judged):
    np.testing.assert_array_equal(judged.hits, [[True, False, True, False], [False] * 4, [True] * 4])
    np.testing.assert_array_equal(judged.n_relevant, [2, 1, 5])


def test_precision_divides_by_k_and_recall_by_all_relevant_items(judged):
    np.testing.assert_allclose(precision_at_k(judged, 4), [2 / 4, 0, 4 / 4])
    np.testing.assert_allclose(precision_at_k(judged, 1), [1, 0, 1])
    np.testing.assert_allclose(recall_at_k(judged, 4), [1, 0, 4 / 5])
    np.testing.assert_allclose(recall_at_k(judged, 1), [1 / 2, 0, 1 / 5])


def test_ndcg_by_hand(judged):
    first = (1 + 1 / 2) / (1 + 1 / np.log2(3))  # hits at 1 and 3; ideal hits at 1 and 2
    np.testing.assert_allclose(ndcg_at_k(judged, 4), [first, 0, 1])
    np.testing.assert_allclose(ndcg_at_k(judged, 2), [1 / (1 + 1 / np.log2(3)), 0, 1])


def test_average_precision_by_hand(judged):
    np.testing.assert_allclose(average_precision_at_k(judged, 4), [(1 + 2 / 3) / 2, 0, 1])
    np.testing.assert_allclose(average_precision_at_k(judged, 1), [1, 0, 1])


def test_reciprocal_rank_and_hit_rate_by_hand():
    judged = judge([[5, 6, 7], [5, 6, 7], [5, 6, 7]], [0, 1, 2], [7, 5, 8])
    np.testing.assert_allclose(reciprocal_rank_at_k(judged, 3), [1 / 3, 1, 0])
    np.testing.assert_allclose(reciprocal_rank_at_k(judged, 2), [0, 1, 0])
    np.testing.assert_allclose(hit_rate_at_k(judged, 2), [0, 1, 0])


def test_a_short_list_counts_its_free_positions_as_misses():
    judged = judge([[3, -1, -1]], [0], [3])
    assert precision_at_k(judged, 3) == pytest.approx(1 / 3)
    assert ndcg_at_k(judged, 3) == pytest.approx(1)


@pytest.mark.parametrize(
    ("lists", "users", "items", "message"),
    [
        ([[1], [2]], [0], [1], "1 of 2 users have no relevant item"),
        ([[1, 1]], [0], [1], "twice in a list"),
        ([[1, 2]], [0, 0], [1, 1], "given twice"),
        ([[-1, 2]], [0], [1], "end of a list"),
        ([[-2, 2]], [0], [1], "start at 0"),
        ([[1.0]], [0], [1], "whole numbers"),
        ([1], [0], [1], "shape"),
        ([[1]], [1], [1], "from 0 to 0"),
        ([[1]], [0], [-1], "from 0 to"),
        ([[1]], [0, 0], [1], "differ in length"),
        ([[1]], [], [], "relevant_users"),
    ],
)
def test_impossible_input_is_refused_with_its_reason(lists, users, items, message):
    with pytest.raises(ValueError, match=message):
        judge(lists, users, items)


@pytest.mark.parametrize("k", [0, -1, 5])
def test_k_outside_the_lists_is_refused(judged, k):
    with pytest.raises(ValueError, match="k must lie from 1 to the length of the lists \\(4\\)"):
        ranking_metrics(judged, k)


def random_case(seed):
    rng = np.random.default_rng(seed)
    n_users, n_items, length = 60, 80, 20
    lists = np.argsort(rng.random((n_users, n_items)), axis=1)[:, :length]
    relevant = rng.random((n_users, n_items)) < rng.uniform(0.01, 0.6, (n_users, 1))
    relevant[:, 0] |= ~relevant.any(axis=1)
    users, items = np.nonzero(relevant)
    return lists, users, items


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_agrees_with_trec_eval(seed, k):
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier has no wheel for this machine")
    lists, users, items = random_case(seed)
    wanted: dict[str, dict[str, int]] = {}
    for user, item in zip(users, items, strict=True):
        wanted.setdefault(str(user), {})[str(item)] = 1
    run = {str(u): {str(item): -float(position) for position, item in enumerate(row)} for u, row in enumerate(lists)}
    cut = {user: dict(list(scores.items())[:k]) for user, scores in run.items()}
    names = {f"P.{k}", f"recall.{k}", f"ndcg_cut.{k}", f"map_cut.{k}", f"success.{k}"}
    theirs = pytrec_eval.RelevanceEvaluator(wanted, names).evaluate(run)
    ranks = pytrec_eval.RelevanceEvaluator(wanted, {"recip_rank"}).evaluate(cut)

    judged = judge(lists, users, items)
    ours = ranking_metrics(judged, k)
    # trec_eval divides average precision by all relevant items, here it is min(k, n): see its docstring.
    ours["map"] = ours["map"] * np.minimum(judged.n_relevant, k) / judged.n_relevant
    for name, key in {
        "precision": f"P_{k}",
        "recall": f"recall_{k}",
        "ndcg": f"ndcg_cut_{k}",
        "map": f"map_cut_{k}",
        "hit_rate": f"success_{k}",
    }.items():
        expected = [theirs[str(user)][key] for user in range(len(lists))]
        np.testing.assert_allclose(ours[name], expected, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(ours["mrr"], [ranks[str(user)]["recip_rank"] for user in range(len(lists))])
