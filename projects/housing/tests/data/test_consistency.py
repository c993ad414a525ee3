import pytest

from housing.data.consistency import broken_rules, violations
from housing.data.house import EXAMPLE
from housing.data.values import table_of


def broken(**changes):
    return {(violation.field, violation.limit) for violation in violations({**EXAMPLE, **changes})}


def test_the_example_breaks_nothing():
    assert violations(EXAMPLE) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"year_built": 2009, "yr_sold": 2007}, ("year_built", 2008)),
        ({"year_built": 2008, "yr_sold": 2007}, None),
        ({"full_bath": 6, "tot_rms_abv_grd": 5}, ("full_bath", 5)),
        ({"full_bath": 5, "half_bath": 1, "tot_rms_abv_grd": 5}, ("full_bath", 4)),
        ({"full_bath": 7, "bedroom_abv_gr": 3}, ("full_bath", 6)),
        ({"bedroom_abv_gr": 8, "tot_rms_abv_grd": 6}, ("bedroom_abv_gr", 6)),
        ({"first_flr_sf": 1000, "second_flr_sf": 800}, ("first_flr_sf", 910.5)),
        ({"bsmtfin_sf_1": 900, "bsmt_unf_sf": 100}, ("bsmtfin_sf_1", 756.5)),
        ({"bsmtfin_sf_2": 5000.0}, ("bsmtfin_sf_2", 856.5)),  # a part is not larger than the whole
        ({"low_qual_fin_sf": 2000.0}, ("low_qual_fin_sf", 1710.5)),
        ({"garage_cars": 0, "garage_area": 400}, ("garage_area", 0)),
    ],
)
def test_impossible_houses(changes, expected):
    assert (expected in broken(**changes)) if expected else not broken(**changes)


def test_rows_of_a_table_break_the_rules_that_each_breaks_alone():
    houses = [EXAMPLE, {**EXAMPLE, "garage_cars": 0, "garage_area": 400}, {**EXAMPLE, "full_bath": 7}]
    broken_in = {(rule.field, rule.text): rows.tolist() for rule, rows in broken_rules(table_of(houses))}
    alone = [{(it.field, it.rule) for it in violations(house)} for house in houses]
    assert broken_in == {it: [it in each for each in alone] for it in set.union(*alone)}
    assert len(broken_in) == 2


def test_unknown_columns_break_nothing():
    assert violations({}) == []
    assert violations({"year_built": 2010, "yr_sold": None, "garage_type": None}) == []


@pytest.mark.long
def test_every_sale_is_possible(dataset):
    assert [violation for record in dataset.sales.records for violation in violations(record)] == []
