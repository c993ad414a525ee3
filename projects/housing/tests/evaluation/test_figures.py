"""Titles state what the numbers say, whatever they are."""

import numpy as np
import pytest

from housing.evaluation.candidates import BLEND, LINEAR
from housing.evaluation.figures import draw_candidates, draw_coverage, draw_prices
from housing.evaluation.study_figures import draw_areas, draw_bias_and_variance, draw_staircase
from housing.models.fit import OutOfFold
from portfolio_shared.results import Candidate

PAID = np.linspace(100_000, 600_000, 60)


def title(figure) -> str:
    return " ".join(figure.get_suptitle().replace("\N{NO-BREAK SPACE}", " ").split())


def candidate(name: str, log_error, *, servable: bool = True) -> Candidate:
    return Candidate(name, {}, OutOfFold(np.log(PAID) + log_error, (), PAID), servable=servable)


def test_the_candidates_title_counts_those_that_are_worse_by_more_than_chance() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 60)
    worse, equal = candidate("ridge", 0.2, servable=False), candidate(LINEAR, -noise)
    models = {each.name: each for each in (candidate(BLEND, noise), equal, worse)}
    assert title(draw_candidates(models)).startswith("1 of 2 other models err more than the blend")
    del models[LINEAR]
    assert title(draw_candidates(models)).startswith("Each of 1 other models errs more")


@pytest.mark.parametrize(("factor", "low"), [(0.9, 12), (1.1, 0)])
def test_the_expensive_houses_that_are_priced_too_low_are_counted(evaluation_of, factor, low) -> None:
    expensive = int((PAID > 500_000).sum())
    said = title(draw_prices(evaluation_of(PAID, PAID * factor)))
    assert expensive == 12
    assert f"{low} of the {expensive} houses above $500k are priced too low" in said


def test_the_coverage_of_both_ends_is_in_the_title(evaluation_of) -> None:
    cheap = np.arange(60) < 6  # half of the cheapest fifth lies far outside
    said = title(draw_coverage(evaluation_of(PAID, PAID * np.where(cheap, 2.0, 1.0))))
    assert said == (
        "90 % intervals hold 50 % to 100 % at the two ends of the price range, and 100 % between; "
        "1 fifth is off by more than chance"
    )


def interval(value: float) -> dict[str, float]:
    return {"estimate": value, "low": value - 0.01, "high": value + 0.01}


def test_the_study_titles_are_made_of_the_numbers() -> None:
    spreads = [
        {"name": BLEND, "bias": interval(0.9), "variance": interval(0.1)},
        {"name": "one decision tree", "bias": interval(1.0), "variance": interval(1.0)},
    ]
    said = title(draw_bias_and_variance(spreads))
    assert "one decision tree says something else: 50 % of its error is variance. Of the blend's it is 10 %" in said
    steps = {"median": 50_000.0, "rule": 30_000.0, "ridge": 16_000.0, "blend (served)": 12_000.0}
    assert title(draw_staircase(steps)).startswith("From $50k to $12k of mean error")
    thirds = ("cheapest third of the neighborhoods", "middle third", "most expensive third")
    areas = [{"name": name, "houses": 9, "mean_error": interval(0.02)} for name in (*thirds, "A")]
    areas.append({"name": "B", "houses": 9, "mean_error": interval(0.001)})
    assert "priced 2.0 % too high on average; 1 of 2 neighborhoods alone" in title(draw_areas(areas))
