import numpy as np
import pytest

from recommender.config import AlsSettings, EaseSettings, HistorySettings, ModelSettings
from recommender.data.splits import split_by_user_time
from recommender.evaluation import candidates as module
from recommender.evaluation.candidates import (
    ALS,
    ALS_FADING,
    EASE,
    FULL,
    POPULARITY,
    SERVABLE,
    by_score,
    choose,
    compare,
    describe_settings,
    fit_full,
    left_out,
    recipes,
    to_predictor,
)
from recommender.evaluation.evaluate import lists_for, make_task
from recommender.models.ease import fit_ease
from recommender.models.fold_in import FoldIn
from recommender.models.item_factors import ItemFactors

SMALL = ModelSettings(als=AlsSettings(n_factors=4, iterations=2), ease=EaseSettings(rank=16, min_raters=3))


@pytest.fixture(scope="module")
def task(sample):
    split = split_by_user_time(sample.ratings)
    return make_task(split.train, split.validation, sample.catalogue, max_users=60)


@pytest.fixture(scope="module")
def compared(task):
    called = []
    found = compare(task, recipes(SMALL, task.before, task.catalogue), k=5, n_resamples=20, advance=called.append)
    assert called == list(found)
    return found


def test_every_candidate_is_measured_on_the_same_users(compared, task):
    assert set(compared) == {POPULARITY, "user neighbours", "item neighbours", ALS, ALS_FADING, EASE, FULL}
    assert {len(candidate.evaluation.lists) for candidate in compared.values()} == {len(task.users)}


def test_a_list_never_holds_what_the_user_rated_before(compared, task):
    for candidate in compared.values():
        for user, row in zip(task.users, candidate.evaluation.lists, strict=True):
            assert not set(row) & set(task.before.items[task.before.users == user])


def test_what_can_be_served_holds_nothing_of_films_that_few_rated(compared, task):
    """The peer ALS is fitted on all films; the one that is served leaves the rare ones out."""
    few = task.before.item_counts() < SMALL.ease.min_raters
    assert (task.before.item_counts()[few] > 0).any()
    for name in SERVABLE:
        assert not compared[name].model.recommendable[few].any()
    assert not compared[ALS_FADING].model.factors[few].any()
    assert compared[ALS].model.factors[few].any()


def test_costs_are_of_the_model(compared, task):
    for candidate in compared.values():
        assert candidate.fit_seconds > 0
        assert candidate.score_milliseconds > 0
    assert compared[POPULARITY].model_megabytes == len(task.catalogue) * 4 / 1e6
    assert compared[FULL].model_megabytes == len(task.catalogue) * (16 * 4 + 1) / 1e6
    # Exact EASE holds the users x users matrix in doubles, and the factors of all films.
    assert compared[EASE].fit_megabytes > task.before.n_users**2 * 8 / 1e6


def test_the_full_model_is_ease_with_what_the_settings_say(task):
    X = task.before.matrix()
    bare = EaseSettings(penalty=50, genre_weight=0, year_weight=0, length_exponent=0, min_raters=1, rank=None)
    np.testing.assert_array_equal(fit_full(X, task.catalogue, bare).factors, fit_ease(X, penalty=50).factors)
    with_genres = bare.model_copy(update={"genre_weight": 1.0})
    assert not np.allclose(fit_full(X, task.catalogue, with_genres).own, fit_ease(X, penalty=50).own)


def test_the_best_that_can_be_served_is_chosen(compared):
    scores = {name: compared[name].evaluation.metrics["ndcg"].estimate for name in SERVABLE}
    assert choose(compared) == max(scores, key=scores.get)
    with pytest.raises(ValueError, match=r"popular films .* nothing is worth serving"):
        choose({name: one for name, one in compared.items() if name != FULL})  # so few factors lose to popularity
    assert choose({name: one for name, one in compared.items() if name not in (FULL, POPULARITY)}) == ALS_FADING
    with pytest.raises(ValueError, match="popularity can be served"):
        choose({POPULARITY: compared[POPULARITY]})


def test_what_is_chosen_is_served_as_it_was_measured(compared, task):
    for name, kind in ((FULL, ItemFactors), (ALS_FADING, FoldIn)):
        predictor = to_predictor(compared[name], task.catalogue, SMALL)
        assert isinstance(predictor.model, kind)
        lists = lists_for(predictor.model, task.before, task.users, k=50, weigh=predictor.weigh)
        np.testing.assert_array_equal(lists, compared[name].evaluation.lists)
    with pytest.raises(TypeError, match="popularity cannot be served"):
        to_predictor(compared[POPULARITY], task.catalogue, SMALL)


def test_the_best_stands_first(compared):
    scores = [candidate.evaluation.metrics["ndcg"].estimate for candidate in by_score(compared)]
    assert scores == sorted(scores, reverse=True)


def test_the_choice_falls_to_als_above_the_stated_size(task):
    """At the limit EASE is still fitted; one rating above it is not, and the reason is said."""
    ratings = task.before
    at = SMALL.model_copy(update={"most_ratings": len(ratings)})
    above = SMALL.model_copy(update={"most_ratings": len(ratings) - 1})
    assert FULL in recipes(at, ratings, task.catalogue)
    assert left_out(at, ratings) == []
    tried = recipes(above, ratings, task.catalogue)
    assert [name for name in SERVABLE if name in tried] == [ALS_FADING]
    assert left_out(above, ratings) == [
        f"{FULL}: {len(ratings):,} ratings, and it ends at {len(ratings) - 1:,}; ALS serves"
    ]


def test_exact_ease_ends_where_its_eigenproblem_is_too_large(task, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_EIGENPROBLEM", 399)
    tried = recipes(SMALL, task.before, task.catalogue)
    assert EASE not in tried
    assert FULL in tried  # a rank of 16 is found without it
    assert left_out(SMALL, task.before) == [f"{EASE}: the smaller side has 400 rows, and exact EASE ends at 399"]


def test_the_settings_of_each_candidate_are_told_apart():
    flat = SMALL.model_copy(update={"history": HistorySettings(half_life_share=0, rating_slope=0)})
    assert describe_settings(FULL, SMALL).endswith(
        "films of 3 people, rank 16; half-life 15% of the history, at least 3 films, 0.3 a star"
    )
    assert describe_settings(FULL, flat).endswith("rank 16; nothing fades, no stars")
    assert describe_settings(ALS, SMALL) == "4 factors, regularization 10, alpha 1"
    assert describe_settings(ALS_FADING, SMALL).startswith(describe_settings(ALS, SMALL) + ", films of 3 people; half")
    assert describe_settings(EASE, SMALL) == "penalty 200"
    assert describe_settings(POPULARITY, SMALL) == "none"
    assert describe_settings("user neighbours", SMALL) == "40 neighbours"
    assert describe_settings("item neighbours", SMALL) == "50 neighbours"


def test_nothing_fades_where_the_settings_say_so(task):
    flat = SMALL.model_copy(update={"history": HistorySettings(half_life_share=0, rating_slope=0)})
    stars = np.array([0.5, 5.0, 3.0])
    assert recipes(flat, task.before, task.catalogue)[FULL].weigh(stars).tolist() == [1, 1, 1]
    assert recipes(SMALL, task.before, task.catalogue)[ALS].weigh(stars).tolist() == [1, 1, 1]
    faded = recipes(SMALL, task.before, task.catalogue)[ALS_FADING].weigh(np.full(3, 3.5))
    assert faded[0] < faded[1] < faded[2] == 1
