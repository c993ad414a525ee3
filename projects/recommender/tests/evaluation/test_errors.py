import numpy as np
import pytest

from recommender.evaluation.errors import by_group
from recommender.evaluation.errors import group as measured_group


def test_groups_cover_everybody_once(trained):
    evaluation = trained.evaluation
    users, groups = evaluation.task.users, by_group(evaluation)
    for kind in {group.by for group in groups}:
        of_kind = [group for group in groups if group.by == kind]
        assert sum(group.users for group in of_kind) == len(users)
        mean = sum(group.users * group.ndcg.estimate for group in of_kind) / len(users)
        assert mean == pytest.approx(evaluation.metric("ndcg").estimate)
    lengths = evaluation.task.before.user_counts()[users]
    short = next(group for group in groups if group.name == "30 to 59")  # nobody in the slice has fewer
    assert short.users == (lengths < 60).sum()
    assert short.ndcg.estimate == pytest.approx(evaluation.per_user["ndcg"][lengths < 60].mean())
    assert short.ndcg.low < short.ndcg.estimate < short.ndcg.high


def test_of_a_single_person_there_is_no_interval(trained):
    evaluation = trained.evaluation
    first = np.arange(len(evaluation.task.users)) == 0
    one = measured_group(evaluation, "people", "the first", first)
    assert (one.users, set(one.ndcg)) == (1, {evaluation.per_user["ndcg"][0]})
