"""What prose says by arithmetic is what the code does: the parts of a history, and people of an experiment."""

import re
from pathlib import Path

import numpy as np
import pytest

from portfolio_shared.operations.sequences import needed
from recommender.data.catalogue import Catalogue, Film
from recommender.data.ratings import Ratings
from recommender.data.splits import split_by_user_time
from recommender.evaluation.by_code import by_code
from recommender.evaluation.experiment import PREFERENCES, SIGN_DEVIATION, TIED

DOCS = Path(__file__).parents[2] / "docs"


def test_a_history_is_parted_as_prose_says() -> None:
    n, named = 100, by_code()
    films = tuple(Film(item + 1, f"film {item}", 2000, (), (f"film {item}",), n_ratings=1) for item in range(n))
    numbers = np.arange(n, dtype=np.int32)
    stars = np.full(n, 4.0, dtype=np.float32)
    ratings = Ratings(np.zeros(n, dtype=np.int32), numbers, stars, numbers.astype(np.int64), 1, n)
    parts = split_by_user_time(ratings, Catalogue(films))
    assert f"{len(parts.train)} %" == named["train_share"]
    assert f"{len(parts.validation)} %" == f"{len(parts.test)} %" == named["hidden_share"]
    assert f"{len(parts.before_test)} %" == named["before_test_share"]


def test_the_size_of_the_experiment_is_what_its_command_prints() -> None:
    text = (DOCS / "after-deployment.md").read_text(encoding="utf-8")
    ((preference, deviation),) = re.findall(r"needed\((0\.\d+), (0\.\d+)\)", text)
    assert (float(preference), float(deviation)) == (PREFERENCES["small"], SIGN_DEVIATION)
    assert by_code()["preference_small_people"] == str(needed(float(preference), float(deviation)))


def test_so_many_ties_leave_no_larger_deviation_and_no_larger_preference() -> None:
    shares = np.linspace(0, 1, 101)  # of the lists that do not tie: those that the challenger wins
    means = (1 - TIED) * (2 * shares - 1)
    deviations = np.sqrt((1 - TIED) - means**2)
    assert float(by_code()["sign_deviation_most"]) == pytest.approx(deviations.max(), abs=0.005)
    assert deviations.max() <= SIGN_DEVIATION
    assert max(PREFERENCES.values()) <= means.max()
