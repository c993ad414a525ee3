import pytest

from recommender.data.splits import split_by_pause
from recommender.evaluation.evaluate import accuracy
from recommender.evaluation.pause import EVEN, SERVED, measure_after_pause
from recommender.evaluation.task import lists_for, make_task
from recommender.models.fit import ITEMS, POPULARITY, recipes


@pytest.fixture(scope="module")
def measured(trained):
    return measure_after_pause(trained.data.ratings, trained.data.catalogue, trained.settings, trained.chosen)


def test_the_served_kind_of_model_is_fitted_before_the_pauses_and_measured_after(trained, measured):
    parts = split_by_pause(trained.data.ratings, trained.data.catalogue)
    task = make_task(parts.before_test, parts.test, parts.catalogue)
    recipe = recipes(trained.settings, task.before, task.catalogue)[trained.chosen]
    ndcg = accuracy(lists_for(recipe.fit(task.before.matrix()), task, k=10, weigh=recipe.weigh), task, k=10)["ndcg"]
    assert measured.ndcg[SERVED].estimate == pytest.approx(ndcg.mean())
    assert (measured.users, measured.excluded) == (len(task.users), parts.excluded)


def test_the_differences_are_of_the_same_people(measured):
    assert list(measured.ndcg) == [SERVED, EVEN, ITEMS, POPULARITY]
    assert list(measured.difference) == [EVEN, ITEMS, POPULARITY]
    for name, difference in measured.difference.items():
        assert difference.estimate == pytest.approx(measured.ndcg[SERVED].estimate - measured.ndcg[name].estimate)
        assert difference.low < difference.estimate < difference.high
