import numpy as np
import pytest

from housing.data.columns import columns
from housing.models.comparables import ELSEWHERE, HALF, Comparables, fit_comparables

NAMES = list(columns()["neighborhood"].choices).index("NAmes")


def house(place: str = "NAmes", **changes) -> dict[str, float | str]:
    usual = {"year_built": 1970, "gr_liv_area": 1500, "overall_qual": 6, "lot_area": 9000, "yr_sold": 2008}
    return {"neighborhood": place, **usual, **changes}


@pytest.fixture
def sold() -> Comparables:
    """Four sales on a line: contributions 0, 0.1, 0.2 and 0.13 (the last elsewhere)."""
    houses = [house(), house(year_built=1980), house(), house("OldTown")]
    contributions = np.array([[0.0, 1.0], [0.1, 1.0], [0.2, 1.0], [0.13, 1.0]])
    return fit_comparables(houses, np.array([100e3, 110e3, 120e3, 130e3]), contributions)


def test_the_nearest_sale_comes_first_and_another_neighborhood_is_further_away(sold):
    nearest = sold.nearest(NAMES, np.array([0.12, 1.0]), k=4)
    assert [sale.price for sale in nearest] == [110e3, 130e3, 120e3, 100e3]
    distance = [0.02, 0.01 + ELSEWHERE, 0.08, 0.12]
    assert [sale.similarity for sale in nearest] == [round(0.5 ** (d / HALF), 3) for d in distance]


def test_a_sale_is_described_in_full(sold):
    sale, other = sold.nearest(NAMES, np.array([0.1, 1.0]), k=2)
    assert (sale.similarity, other.similarity) == (1.0, round(0.5 ** ((0.03 + ELSEWHERE) / HALF), 3))
    assert (sale.neighborhood, sale.year_built, sale.gr_liv_area) == ("NAmes", 1980, 1500)
    assert (sale.overall_qual, sale.lot_area, sale.yr_sold) == (6, 9000, 2008)


@pytest.mark.parametrize("k", [1, 3, 4, 5, 100])
def test_there_are_never_more_sales_than_houses_sold(sold, k):
    nearest = sold.nearest(NAMES, np.zeros(2), k=k)
    assert len(nearest) == min(k, 4)
    assert [sale.similarity for sale in nearest] == sorted((sale.similarity for sale in nearest), reverse=True)


def test_distances_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    parts = rng.normal(0, 0.3, (300, 16))
    houses = [house("NAmes" if i % 3 else "Gilbert") for i in range(300)]
    sold = fit_comparables(houses, np.arange(300.0), parts)
    for asked in (parts[7], rng.normal(0, 0.3, 16)):
        elsewhere = np.array([ELSEWHERE * (other["neighborhood"] != "NAmes") for other in houses])
        distance = np.linalg.norm(parts - asked, axis=1) + elsewhere
        expected = np.argsort(distance)[:5]
        nearest = sold.nearest(NAMES, asked)
        assert [sale.price for sale in nearest] == expected.tolist()
        assert [sale.similarity for sale in nearest] == pytest.approx(0.5 ** (distance[expected] / HALF), abs=6e-4)


def test_a_sold_house_finds_itself(trained):
    """Asked about a house that it learned from, the model's first comparable is that very sale."""
    training = trained.split.train
    for i in (0, 99, 300):
        (answer,) = trained.predictor.predict([training.records[i]], explain=True)
        first = answer.explanation.comparables[0]
        assert first.similarity == 1.0
        assert first.price == training.prices[i]
