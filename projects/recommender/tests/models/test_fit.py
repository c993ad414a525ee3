"""Every model is fitted as its settings say, and what is chosen is served as it was measured."""

import numpy as np
import pytest

from portfolio_shared.results import Candidate
from recommender.config import AlsSettings, EaseSettings, HistorySettings, ModelSettings
from recommender.data.load import split
from recommender.evaluation.task import lists_for, make_task
from recommender.models import fit as module
from recommender.models.ease import fit_ease
from recommender.models.fit import (
    ALS,
    ALS_RECENT,
    EASE,
    FULL,
    POPULARITY,
    SERVABLE,
    fit,
    fit_full,
    recipes,
    refit,
    too_large,
)
from recommender.models.fold_in import FoldIn
from recommender.models.item_factors import ItemFactors

SMALL = ModelSettings(als=AlsSettings(n_factors=4, iterations=2), ease=EaseSettings(rank=16, min_raters=3))


@pytest.fixture(scope="module")
def parts(sample):
    return split(sample)


@pytest.mark.parametrize(("name", "kind"), [(FULL, ItemFactors), (ALS_RECENT, FoldIn)])
def test_what_is_chosen_is_fitted_on_all_but_the_test(parts, name, kind):
    recipe, X = recipes(SMALL, parts.before_test, parts.catalogue)[name], parts.before_test.matrix()
    predictor = fit(parts, SMALL, Candidate(name, {}, recipe.fit(parts.train.matrix())))
    assert isinstance(predictor.model, kind)
    np.testing.assert_array_equal(predictor.catalogue.n_ratings, parts.before_test.item_counts())
    task = make_task(parts.before_test, parts.test, parts.catalogue, max_users=40)
    np.testing.assert_array_equal(
        lists_for(predictor.model, task, k=50, weigh=predictor.weigh),
        lists_for(recipe.fit(X), task, k=50, weigh=recipe.weigh),
    )


def test_a_predictor_is_fitted_on_other_people(parts):
    """Its model is that of their ratings; the films keep their counts."""
    every = recipes(SMALL, parts.before_test, parts.catalogue)
    predictor = fit(parts, SMALL, Candidate(FULL, {}, every[FULL].fit(parts.train.matrix())))
    others = parts.before_test.where(parts.before_test.users % 2 == 0)
    again = refit(predictor, every[FULL], others)
    np.testing.assert_array_equal(again.model.factors, every[FULL].fit(others.matrix()).factors)
    assert again.catalogue is predictor.catalogue
    assert not np.array_equal(again.model.factors, predictor.model.factors)
    with pytest.raises(TypeError, match="a Popularity cannot be served"):
        refit(predictor, every[POPULARITY], others)


def test_a_baseline_cannot_be_served(parts):
    model = recipes(SMALL, parts.before_test, parts.catalogue)[POPULARITY].fit(parts.train.matrix())
    with pytest.raises(TypeError, match="popularity cannot be served"):
        fit(parts, SMALL, Candidate(POPULARITY, {}, model, servable=False))


def test_the_full_model_is_ease_with_what_the_settings_say(parts):
    X = parts.train.matrix()
    bare = EaseSettings(penalty=50, genre_weight=0, year_weight=0, length_exponent=0, min_raters=1, rank=None)
    np.testing.assert_array_equal(fit_full(X, parts.catalogue, bare).factors, fit_ease(X, penalty=50).factors)
    with_genres = bare.model_copy(update={"genre_weight": 1.0})
    assert not np.allclose(fit_full(X, parts.catalogue, with_genres).own, fit_ease(X, penalty=50).own)


def test_the_choice_falls_to_als_above_the_stated_size(parts):
    """At the limit EASE is still fitted; one rating above it is not, and the reason says so."""
    ratings = parts.train
    at = SMALL.model_copy(update={"most_ratings": len(ratings)})
    above = SMALL.model_copy(update={"most_ratings": len(ratings) - 1})
    assert FULL in recipes(at, ratings, parts.catalogue)
    assert too_large(at, ratings) == {}
    tried = recipes(above, ratings, parts.catalogue)
    assert [name for name in SERVABLE if name in tried] == [ALS_RECENT]
    assert too_large(above, ratings) == {
        FULL: f"{len(ratings):,} ratings, and it ends at {len(ratings) - 1:,}; ALS serves"
    }


def test_exact_ease_ends_where_its_eigenproblem_is_too_large(parts, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_EIGENPROBLEM", 299)
    tried = recipes(SMALL, parts.train, parts.catalogue)
    assert EASE not in tried
    assert FULL in tried  # a rank of 16 is computed without it
    assert too_large(SMALL, parts.train) == {EASE: "the smaller side has 300 rows, and exact EASE ends at 299"}


def test_only_what_is_served_weighs_a_history(parts):
    flat = SMALL.model_copy(update={"history": HistorySettings(half_life_share=0, rating_slope=0)})
    stars = np.array([0.5, 5.0, 3.0])
    assert recipes(flat, parts.train, parts.catalogue)[FULL].weigh(stars).tolist() == [1, 1, 1]
    assert recipes(SMALL, parts.train, parts.catalogue)[ALS].weigh(stars).tolist() == [1, 1, 1]
    recent = recipes(SMALL, parts.train, parts.catalogue)[ALS_RECENT].weigh(np.full(3, 3.5))
    assert recent[0] < recent[1] < recent[2] == 1
