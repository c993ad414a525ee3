import time

import pytest

from recommender.config import AlsSettings, EaseSettings, HistorySettings, ModelSettings
from recommender.data.load import split
from recommender.evaluation.candidates import choose, compare, describe_settings, evaluate_baselines
from recommender.evaluation.evaluate import LONGEST
from recommender.evaluation.task import lists_for, make_task
from recommender.models import fit as fit_module
from recommender.models.fit import ALS, ALS_RECENT, EASE, FULL, POPULARITY, SERVABLE, recipes

WAIT = 0.5  # seconds in which a fit of the fixture only sleeps
SMALL = ModelSettings(als=AlsSettings(n_factors=4, iterations=2), ease=EaseSettings(rank=16, min_raters=3))


@pytest.fixture(scope="module")
def parts(sample):
    return split(sample)


@pytest.fixture(scope="module")
def task(parts):
    return make_task(parts.train, parts.validation, parts.catalogue, max_users=60)


@pytest.fixture(scope="module")
def compared(parts):
    fits, logged, steps = [], [], []
    with pytest.MonkeyPatch.context() as patch:
        whole = fit_module.fit_full
        patch.setattr(
            fit_module,
            "fit_full",
            lambda *args, **options: fits.append(args) or time.sleep(WAIT) or whole(*args, **options),
        )
        candidates = compare(parts, SMALL, k=5, max_users=60, advance=steps.append, log=logged.append)
    assert len(fits) == 1
    assert {candidate.name: candidate for candidate in logged} == candidates
    assert steps == [candidate.name for candidate in logged]
    return candidates


def test_every_candidate_is_compared_and_the_best_stands_first(compared):
    assert set(compared) == {POPULARITY, "user neighbors", "item neighbors", ALS, ALS_RECENT, EASE, FULL}
    scores = [candidate.metrics["ndcg"] for candidate in compared.values()]
    assert scores == sorted(scores, reverse=True)
    for candidate in compared.values():
        assert candidate.metrics["ndcg_low"] <= candidate.metrics["ndcg"] <= candidate.metrics["ndcg_high"]
        assert candidate.servable == (candidate.name in SERVABLE)


def test_a_list_never_holds_what_the_user_rated_before(compared, task):
    tried = recipes(SMALL, task.before, task.catalogue)
    for name, candidate in compared.items():
        lists = lists_for(candidate.model, task, k=LONGEST, weigh=tried[name].weigh)
        for user, row in zip(task.users, lists, strict=True):
            assert not set(row) & set(task.history(user)[0])


def test_what_can_be_served_holds_nothing_of_films_that_few_rated(compared, task):
    """The baseline ALS is fitted on all films; the one that is served leaves the rare ones out."""
    few = task.before.item_counts() < SMALL.ease.min_raters
    assert (task.before.item_counts()[few] > 0).any()
    for name in SERVABLE:
        assert not compared[name].model.recommendable[few].any()
    assert not compared[ALS_RECENT].model.factors[few].any()
    assert compared[ALS].model.factors[few].any()


def test_costs_are_of_the_model_and_seconds_those_of_the_clock(compared, task):
    for candidate in compared.values():
        assert candidate.metrics["fit_seconds"] > 0
        assert candidate.metrics["score_milliseconds"] > 0
    assert compared[FULL].metrics["fit_seconds"] > WAIT
    assert compared[POPULARITY].metrics["model_megabytes"] == len(task.catalogue) * 4 / 1e6
    assert compared[FULL].metrics["model_megabytes"] == len(task.catalogue) * (16 * 4 + 1) / 1e6


def test_the_best_that_can_be_served_is_chosen(compared):
    scores = {name: compared[name].metrics["ndcg"] for name in SERVABLE}
    assert choose(compared) == max(scores, key=scores.get)
    without_full = {name: candidate for name, candidate in compared.items() if name != FULL}
    with pytest.raises(ValueError, match=r"popular films .* nothing is worth serving"):
        choose(without_full)  # so few factors lose to popularity
    del without_full[POPULARITY]
    assert choose(without_full) == ALS_RECENT
    with pytest.raises(ValueError, match="popularity can be served"):
        choose({POPULARITY: compared[POPULARITY]})


def test_baselines_are_measured_on_the_test(parts, compared):
    popularity = {POPULARITY: compared[POPULARITY]}
    (evaluation,) = evaluate_baselines(parts, SMALL, popularity, k=5, max_users=30).values()
    assert len(evaluation.task.users) == 30
    most_rated = parts.before_test.item_counts().max()
    assert max(parts.before_test.item_counts()[evaluation.lists[:, 0]]) == most_rated


def test_the_settings_of_each_candidate_are_in_words():
    flat = SMALL.model_copy(update={"history": HistorySettings(half_life_share=0, rating_slope=0)})
    assert describe_settings(FULL, SMALL).endswith(
        "films of 3 people, rank 16; half-life 15% of the history, at least 3 films, 0.3 a star"
    )
    assert describe_settings(FULL, flat).endswith("rank 16; not weighted by recency, no stars")
    assert describe_settings(ALS, SMALL) == "4 factors, regularization 10, alpha 1"
    assert describe_settings(ALS_RECENT, SMALL).startswith(describe_settings(ALS, SMALL) + ", films of 3 people; half")
    assert describe_settings(EASE, SMALL) == "penalty 200"
    assert describe_settings(POPULARITY, SMALL) == "none"
    assert describe_settings("user neighbors", SMALL) == "40 neighbors"
    assert describe_settings("item neighbors", SMALL) == "50 neighbors"
