import numpy as np
import pytest

from housing.data.columns import NONE, columns
from housing.data.consistency import violations
from housing.data.house import EXAMPLE
from housing.data.values import stacked, table_of, values_of
from housing.models.imputation import complete, fill_many, fill_one, fit_typical


@pytest.fixture(scope="module")
def typical(dataset):
    return fit_typical(dataset.sales.records)


def test_a_complete_record_is_left_alone(typical):
    full, _ = complete(EXAMPLE, typical)
    again, filled = complete(full, typical)
    assert again == full
    assert filled == []


def test_every_column_is_filled_and_reported(typical):
    full, filled = complete(EXAMPLE, typical)
    assert set(full) == set(columns())
    assert {entry.field for entry in filled} == set(columns()) - set(EXAMPLE)
    assert all(entry.rule for entry in filled)
    assert all(full[entry.field] == entry.value for entry in filled)


def test_what_was_given_is_never_changed(typical):
    given = {**EXAMPLE, "kitchen_qual": "Po", "lot_frontage": 33, "garage_yr_blt": 2005}
    full, _ = complete(given, typical)
    assert {name: full[name] for name in given} == given


def test_no_garage_and_no_basement_follow_from_the_sizes(typical):
    full, _ = complete({**EXAMPLE, "garage_cars": 0, "total_bsmt_sf": 0}, typical)
    assert full["garage_type"] == full["garage_finish"] == full["bsmt_qual"] == full["bsmtfin_type_1"] == NONE
    assert full["garage_area"] == full["bsmtfin_sf_1"] == full["bsmt_full_bath"] == 0


def test_the_parts_add_up(typical):
    full, _ = complete(EXAMPLE, typical)
    assert full["first_flr_sf"] + full["second_flr_sf"] + full["low_qual_fin_sf"] == EXAMPLE["gr_liv_area"]
    assert full["bsmtfin_sf_1"] + full["bsmtfin_sf_2"] + full["bsmt_unf_sf"] == EXAMPLE["total_bsmt_sf"]
    assert (full["first_flr_sf"], full["house_style"], full["ms_subclass"]) == (856, "2Story", "060")
    flat, _ = complete({**EXAMPLE, "total_bsmt_sf": 1700}, typical)
    assert (flat["second_flr_sf"], flat["house_style"], flat["ms_subclass"]) == (0, "1Story", "020")


def test_a_part_that_is_given_decides_the_other(typical):
    full, _ = complete({**EXAMPLE, "second_flr_sf": 500, "bsmt_unf_sf": 100}, typical)
    assert full["first_flr_sf"] == 1210
    assert full["bsmtfin_sf_1"] == 756


def test_a_house_is_not_given_more_bathrooms_than_rooms(typical):
    few = {**EXAMPLE, "overall_qual": 8, "full_bath": 3, "bedroom_abv_gr": 0}
    assert complete(EXAMPLE | {"overall_qual": 8}, typical)[0]["half_bath"] == 1
    assert complete(few, typical)[0]["half_bath"] == 0


@pytest.mark.parametrize("quality", range(1, 11))
@pytest.mark.parametrize("size", [400, 1500, 3500])
def test_completed_houses_are_possible(typical, quality, size):
    house = {**EXAMPLE, "overall_qual": quality, "gr_liv_area": size, "total_bsmt_sf": size / 2}
    full, _ = complete(house, typical)
    assert violations(full) == []


def test_better_houses_get_better_kitchens(typical):
    levels = list(columns()["kitchen_qual"].choices)
    grades = [levels.index(complete({**EXAMPLE, "overall_qual": q}, typical)[0]["kitchen_qual"]) for q in (4, 9)]
    assert grades[0] < grades[1]


def test_a_column_unknown_everywhere_is_an_error(dataset):
    records = [{**record, "fence": None} for record in dataset.sales.records]
    with pytest.raises(ValueError, match="fence is unknown in all"):
        fit_typical(records)


def test_a_table_is_filled_as_each_of_its_houses_is(dataset, typical):
    """Full records, sparse ones, and those between: the same values in the same number of fields."""
    rng = np.random.default_rng(0)
    records = [
        {name: value for name, value in record.items() if columns()[name].required or rng.random() < share}
        for share, record in zip(np.linspace(0, 1, len(dataset.sales.records)), dataset.sales.records, strict=True)
    ]
    table = table_of(records)
    count = fill_many(table, typical)
    houses = [values_of(record) for record in records]
    assert count.tolist() == [len(fill_one(house, typical)) for house in houses]
    np.testing.assert_equal(table, stacked(houses))


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"garage_cars": None, "garage_type": NONE}, "garage_cars", 0.0),
        ({"total_bsmt_sf": None, "bsmt_qual": NONE}, "total_bsmt_sf", 0.0),
    ],
)
def test_a_size_that_is_unknown_is_none_where_a_code_says_so(typical, changes, name, expected):
    assert complete({**EXAMPLE, **changes}, typical)[0][name] == expected
