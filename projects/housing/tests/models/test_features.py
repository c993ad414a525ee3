import math

import numpy as np
import pytest

from housing.data.columns import NONE, columns
from housing.models.features import DERIVED, category_names, design, fields_of, group_of, groups, number_names
from housing.models.imputation import complete, fit_typical

HOUSE = {
    **{name: column.minimum if column.is_numeric else next(iter(column.choices)) for name, column in columns().items()},
    "gr_liv_area": 2000,
    "total_bsmt_sf": 1000,
    "low_qual_fin_sf": 100,
    "lot_area": 8000,
    "tot_rms_abv_grd": 8,
    "bsmtfin_sf_1": 300,
    "bsmtfin_type_1": "GLQ",
    "bsmtfin_sf_2": 50,
    "bsmtfin_type_2": "Unf",
    "bsmt_qual": "TA",
    "full_bath": 2,
    "half_bath": 1,
    "bsmt_full_bath": 1,
    "bsmt_half_bath": 1,
    "bedroom_abv_gr": 4,
    "year_built": 1990,
    "year_remod_add": 2000,
    "garage_yr_blt": 1995,
    "yr_sold": 2008,
    "mo_sold": 3,
    "open_porch_sf": 10,
    "enclosed_porch": 20,
    "three_ssn_porch": 30,
    "screen_porch": 40,
    "wood_deck_sf": 200,
    "overall_qual": 7,
    "overall_cond": 5,
    "exter_qual": "Gd",
    "kitchen_qual": "Ex",
    "heating_qc": "Fa",
    "garage_area": 500,
    "garage_finish": "RFn",
    "fireplaces": 2,
    "fireplace_qu": "Gd",
    "sale_type": "New",
    "sale_condition": "Partial",
}

BY_HAND = {
    "total_sf": 3000,  # 2,000 + 1,000
    "finished_sf": 2250,  # 2,000 - 100 + 350
    "basement_finished_sf": 350,
    "basement_finished_share": 0.35,
    "basement_finish_score": 1850,  # 300 x 6 (GLQ, the best of six) + 50 x 1 (unfinished)
    "bathrooms": 4,  # 2 + 1 and two halves
    "baths_per_bedroom": 1,
    "room_size": 250,
    "age": 18,
    "remodel_age": 8,
    "garage_age": 13,
    "was_remodelled": 1,
    "porch_sf": 300,
    "quality_x_total_sf": 21_000,
    "quality_x_living_area": 14_000,
    "quality_x_condition": 35,
    "quality_sum": 4 + 5 + 3 + 2 + 7,
    "months_since_2006": 27,
    "living_to_lot": 0.25,
    "log_living_to_lot": -2 * math.log(2),
    "garage_score": 1000,  # 500 x 2 (rough finished)
    "fireplace_score": 8,  # 2 x 4 (good)
    "is_new": 1,
    "is_partial": 1,
    "is_abnormal": 0,
    "large_and_partial": 0,
}


def numbers(house):
    return dict(zip(number_names(), design([house]).numbers[0].tolist(), strict=True))


@pytest.fixture(scope="module")
def completed(dataset):
    records = dataset.sales.records
    typical = fit_typical(records)
    return [complete(record, typical)[0] for record in records]


def test_derived_features_are_those_worked_out_by_hand():
    values = numbers(HOUSE)
    assert {name: values[name] for name in DERIVED} == pytest.approx(BY_HAND)
    quantities = [name for name, column in columns().items() if column.is_numeric]
    assert {name: values[name] for name in quantities} == {name: HOUSE[name] for name in quantities}
    assert design([HOUSE, {**HOUSE, "gr_liv_area": 4001}]).large_and_partial.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"total_bsmt_sf": 0, "bsmtfin_sf_1": 0, "bsmtfin_sf_2": 0}, {"basement_finished_share": 0, "total_sf": 2000}),
        ({"bedroom_abv_gr": 0}, {"baths_per_bedroom": 4}),
        ({"year_built": 2009, "year_remod_add": 2010, "garage_yr_blt": 2009}, {"age": 0, "garage_age": 0}),
        ({"year_built": 2009, "year_remod_add": 2010}, {"remodel_age": 0}),
        ({"year_remod_add": 1990}, {"was_remodelled": 0, "remodel_age": 18}),
        ({"sale_condition": "Abnorml"}, {"is_abnormal": 1, "is_partial": 0}),
        ({"gr_liv_area": 4001}, {"large_and_partial": 1}),
        ({"gr_liv_area": 4000}, {"large_and_partial": 0}),
        ({"gr_liv_area": 4001, "sale_condition": "Normal"}, {"large_and_partial": 0}),
    ],
)
def test_derived_features_at_the_edges(changes, expected):
    values = numbers({**HOUSE, **changes})
    assert {name: values[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name, column in columns().items() if column.kind == "ordinal"])
def test_ordinals_rise_by_one_from_worst_to_best_and_none_is_zero(name):
    choices = list(columns()[name].choices)
    levels = [numbers({**HOUSE, name: code})[name] for code in choices]
    first = 0 if NONE in choices else 1
    assert levels == list(range(first, first + len(choices)))
    assert NONE not in choices[1:]


@pytest.mark.parametrize("name", [name for name, column in columns().items() if column.kind == "category"])
def test_categories_are_positions_among_the_choices(name):
    column = category_names().index(name)
    codes = [design([{**HOUSE, name: code}]).codes[0, column] for code in columns()[name].choices]
    assert codes == list(range(len(codes)))


def test_the_order_of_the_derived_numbers_is_that_of_stored_bundles():
    """A bundle stores positions: a feature that moves would read another one's coefficient."""
    assert number_names()[-len(BY_HAND) :] == tuple(BY_HAND)


def test_nothing_is_unknown_or_infinite(completed):
    houses = design(completed)
    assert houses.numbers.shape == (len(completed), len(number_names()))
    assert houses.codes.shape == (len(completed), len(category_names()))
    assert np.isfinite(houses.numbers).all()
    assert (houses.codes >= 0).all()


def test_a_served_house_reads_as_it_did_in_training(trained):
    """Completed with the stored typical values, a training record gives the comparables' stored columns."""
    houses = design([complete(record, trained.predictor.typical)[0] for record in trained.split.train.records])
    stored = trained.predictor.comparables
    for name in ("year_built", "gr_liv_area", "overall_qual", "lot_area", "yr_sold"):
        np.testing.assert_array_equal(houses.numbers[:, number_names().index(name)], getattr(stored, name))
    place = category_names().index("neighborhood")
    np.testing.assert_array_equal(houses.codes[:, place], stored.neighborhood)
    ours = trained.predictor.linear.contributions(houses)
    trees = trained.predictor.trees.contributions(trained.predictor.encoding.transform(houses), len(groups()))
    weight = trained.predictor.linear_weight
    np.testing.assert_allclose(weight * ours + (1 - weight) * trees, stored.contributions, atol=1e-9)


def test_every_feature_counts_for_a_group_and_every_column_for_one():
    assert {group_of(name) for name in (*number_names(), *category_names())} <= set(range(len(groups())))
    fields = [name for group in groups() for name in fields_of(group)]
    assert sorted(fields) == sorted(columns())


def test_an_unknown_code_is_an_error():
    with pytest.raises(KeyError):
        design([{**HOUSE, "neighborhood": "Atlantis"}])
