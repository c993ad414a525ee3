import numpy as np
import pytest

from recommender.evaluation.toy import FILMS, PENALTY, X, people, toy_table, weights


def test_the_toy_is_the_formula_of_the_readme():
    P = np.linalg.inv(X.T @ X + PENALTY * np.eye(len(FILMS)))
    B = np.eye(len(FILMS)) - P / np.diag(P)
    assert weights() == pytest.approx(B, abs=1e-2)  # the served arithmetic has 32 bits
    assert np.diag(B) == pytest.approx(np.zeros(len(FILMS)))


def test_what_the_readme_says_of_the_toy():
    """Somebody saw both Aliens and Amélie, but Alien explains that: the weight of the pair is negative."""
    B, together = weights(), X.T @ X
    alien, aliens, amelie, _ = range(4)
    assert together[aliens, amelie] == 1
    assert B[aliens, amelie] < 0 < B[alien, amelie]
    assert toy_table().count("\n") == 1 + len(FILMS)


def test_the_people_of_the_toy_are_named_by_what_they_saw():
    assert people().split("; ")[2:4] == ["Alien + Aliens + Amélie", "Alien"]
    assert len(people().split("; ")) == len(X)
