import numpy as np

from recommender.evaluation.experiment import LEAST_WEEKS, people_per_arm, weeks


def test_so_many_people_see_the_difference_as_often_as_planned():
    n = people_per_arm(0.6, 0.05)
    rng = np.random.default_rng(0)
    first, second = (rng.binomial(n, share, 4000) / n for share in (0.6, 0.65))
    error = np.sqrt((first * (1 - first) + second * (1 - second)) / n)
    assert 0.77 < (np.abs(second - first) > 1.96 * error).mean() < 0.83


def test_two_arms_run_for_whole_weeks_and_not_for_one():
    assert weeks(100, a_week=5000) == LEAST_WEEKS
    assert weeks(10_001, a_week=5000) == 5
