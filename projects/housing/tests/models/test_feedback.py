"""What is made of feedback: sales at today's prices, houses sold since, nothing that frozen figures may not see."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from housing.config import ModelSettings, TreeSettings
from housing.data.columns import columns
from housing.data.house import EXAMPLE, house_key, sparsely
from housing.data.load import Sales, Split
from housing.models.feedback import (
    beyond_usual,
    from_feedback,
    parcels,
    places,
    price_levels,
    showing,
    sold_since,
    taught,
)
from housing.models.fit import fit_members
from housing.models.price_index import LEAST

QUICK = ModelSettings(trees=TreeSettings(iterations=15, depth=3, learning_rate=0.2))


@pytest.fixture(scope="module")
def parts(some_sales) -> Split:
    """400 sales to learn from, 200 that are frozen."""
    sales = some_sales(600)
    frozen = np.arange(600) % 3 == 0
    return Split(sales.take(~frozen), np.arange(400) % 2, sales.take(frozen))


def test_a_house_is_learned_with_the_fields_that_were_given_as_they_were_put_right(lesson):
    sold = sold_since([lesson(EXAMPLE | {"year_remod_add": 1999, "lot_frontage": "80,5"}, 210_000)])

    given = {name: value for name, value in sold.records[0].items() if value is not None}
    assert given == EXAMPLE | {"year_remod_add": 2003, "lot_frontage": 80.5}
    assert list(sold.records[0]) == list(columns())
    assert sold.prices.tolist() == [210_000]
    assert sold.frame["garage_area"].isna().all()
    assert sold_since([]).records == []


def test_old_sales_are_brought_to_todays_prices_and_stand_before_houses_that_were_sold_since(parts, lesson):
    taught_parts = taught(parts, sold_since([lesson(EXAMPLE, 210_000)] * 3), {"NAmes": np.log(1.25)})

    before, after = parts.train, taught_parts.train
    level = np.where(np.array(places(before)) == "NAmes", 1.25, 1.0)
    np.testing.assert_allclose(after.prices, [*before.prices * level, 210_000, 210_000, 210_000])
    assert after.records[:-3] == before.records
    assert taught_parts.validation.tolist() == [*parts.validation, 0, 1, 0]
    assert taught_parts.test is parts.test
    assert from_feedback(after).prices.tolist() == [210_000] * 3
    assert taught(parts, sold_since([]), {}).train.prices.tolist() == before.prices.tolist()


def test_a_house_that_is_known_is_held_out_together_with_its_old_sale(parts, lesson):
    known = [0, 3, 7]
    said = [lesson(parts.train.records[i], 210_000) for i in known]
    after = taught(parts, sold_since(said), {})
    assert after.validation[-3:].tolist() == parts.validation[known].tolist() != [0, 1, 0]
    assert parcels(after.train, parts.train)[-3:] == [parts.train.keys[i] for i in known]
    unknown = sold_since([lesson(EXAMPLE, 210_000)])
    assert parcels(unknown, parts.train) == list(unknown.keys)
    assert from_feedback(after.train, others=True).keys == parts.train.keys


@pytest.mark.parametrize("every", [1, 2], ids=["all", "every second one"])
def test_prices_have_not_moved_because_houses_have_few_fields(parts, every):
    """Without regard to that, those of ten fields would seem 4 % more expensive than the same houses with all."""
    few = [dict.fromkeys(record) | sparsely(record) for record in parts.test.records]
    mixed = [few[i] if i % every == 0 else record for i, record in enumerate(parts.test.records)]
    full, some = (
        beyond_usual(parts, replace(parts.test, records=records), QUICK, seed=0, threads=1)
        for records in (parts.test.records, mixed)
    )
    assert abs(np.mean((some - full)[::every])) < 0.015


def test_no_house_of_the_frozen_split_is_learned_whatever_else_a_caller_says_of_it(parts, lesson):
    frozen = parts.test.records[0]
    said = [lesson({**frozen, "mo_sold": 1 if frozen["mo_sold"] != 1 else 2}, 210_000), lesson(EXAMPLE, 200_000)]
    assert from_feedback(taught(parts, sold_since(said), {}).train).prices.tolist() == [200_000]


@pytest.fixture(scope="module")
def moved(parts) -> Callable[[np.ndarray, list[str]], dict[str, float]]:
    """Return which levels move when houses sell for what a model of the old sales says, some for a quarter more."""
    members = fit_members(parts.train.records, parts.train.prices, QUICK, threads=1)
    usual = members.log_prices(parts.test.records).blend(QUICK.linear_weight)
    usual += np.random.default_rng(0).normal(0, 0.1, len(usual))

    def levels_of(pricier: np.ndarray, clients: list[str]) -> dict[str, float]:
        sold = replace(parts.test, frame=parts.test.frame.assign(sale_price=np.exp(usual + np.log(1.25) * pricier)))
        found = price_levels(parts, sold, clients, QUICK, seed=0, threads=1)
        return {place: level.log for place, level in found.items() if level.moved}

    return levels_of


@pytest.mark.long
def test_a_boom_is_measured_where_it_is_and_one_client_moves_no_level(parts, moved):
    names = np.array(places(parts.test)) == "NAmes"
    assert names.sum() >= 20
    everybody = [f"client {i}" for i in range(len(names))]
    assert moved(names, everybody) == {"NAmes": pytest.approx(np.log(1.25), abs=0.05)}
    assert moved(names, ["liar" if lie else client for lie, client in zip(names, everybody, strict=True)]) == {}
    assert moved(~names & names, everybody) == {}


def test_neighborhoods_of_few_sales_move_together(parts, moved):
    few = np.array([places(parts.train).count(place) < LEAST for place in places(parts.test)])
    found = moved(few, [f"client {i}" for i in range(len(few))])
    assert {"GrnHill", "Landmrk", "Blueste"} < set(found)
    assert len(set(found.values())) == 1
    assert found["GrnHill"] == pytest.approx(np.log(1.25), abs=0.05)


def test_callers_see_no_house_of_feedback_and_no_price_that_was_not_paid(parts, predictor, trained):
    sales: Sales = trained.split.train
    shown = showing(predictor, sales.take(np.arange(len(sales.records)) < 300), {"NAmes": 0.2})
    assert shown.comparables.price.tolist() == sales.prices[:300].tolist()
    assert shown.comparables.contributions.shape == (300, predictor.comparables.contributions.shape[1])
    assert shown.moved == {"NAmes": 0.2}


def test_the_ten_required_fields_tell_houses_apart(dataset):
    records = dataset.sales.records
    assert len(set(map(house_key, records))) > 0.98 * len(records)
