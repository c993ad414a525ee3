import pytest

from housing.data.columns import columns
from housing.data.consistency import violations
from housing.data.house import EXAMPLE, House
from housing.data.repair import QUANTITIES, Repaired, repair, repairs
from housing.data.values import MANY, change_many, stacked, value_of, values_of

BUILT = "remodeled before it was built: remodeled when built"
FUTURE = "garage built after the sale (2207): year unknown"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"year_remod_add": 1999}, [Repaired("year_remod_add", 1999, 2003.0, BUILT)]),
        ({"year_remod_add": 2003}, []),
        ({"garage_yr_blt": 2207, "yr_sold": 2007}, [Repaired("garage_yr_blt", 2207, None, FUTURE)]),
        ({"garage_yr_blt": "2207"}, [Repaired("garage_yr_blt", "2207", None, FUTURE)]),
        ({"garage_yr_blt": 2008, "yr_sold": 2007}, []),
        (
            {"exterior_2nd": "CmentBd"},
            [Repaired("exterior_2nd", "CmentBd", "CemntBd", "a code spelled in a second way")],
        ),
        *(
            ({name: "None", quantity: 2}, [Repaired(name, "None", None, rule)])
            for name, (quantity, rule) in QUANTITIES.items()
        ),
        ({"pool_qc": "None", "pool_area": 0}, []),
        ({"pool_qc": "None", "pool_area": "many"}, []),  # the check of the fields says what is wrong
    ],
)
def test_what_contradicts_itself_is_put_right_and_told(changes, expected):
    fields = {**EXAMPLE, **changes}
    assert repair(fields) == expected
    assert {it.field: fields[it.field] for it in expected} == {it.field: it.value for it in expected}
    assert repair(fields) == []


def test_a_house_of_the_api_is_repaired_before_it_is_checked():
    house = House.model_validate({**EXAMPLE, "year_remod_add": 1999, "garage_yr_blt": 2207})
    assert (house.year_remod_add, house.garage_yr_blt) == (2003, None)
    assert [it.field for it in house.repaired] == ["garage_yr_blt", "year_remod_add"]
    assert violations(house.model_dump(exclude_none=True)) == []
    assert House.model_validate(EXAMPLE).repaired == []


def test_no_word_of_a_basement_means_none_where_each_of_its_columns_could_have_said_so():
    silent = {name: None for name in columns() if "bsmt" in name}
    fields = {**EXAMPLE, **silent}
    assert {it.field for it in repair(fields)} == set(silent)
    assert (fields["total_bsmt_sf"], fields["bsmt_qual"], fields["bsmt_full_bath"]) == (0, "None", 0)
    assert repair({**EXAMPLE, "total_bsmt_sf": None}) == []
    assert repair({**EXAMPLE, **silent, "bsmt_qual": "Gd"}) == []


def test_a_table_is_repaired_as_each_of_its_houses_is():
    changes = [{}, {"year_remod_add": 1999}, {"garage_yr_blt": 2207}, {"pool_qc": "None", "pool_area": 5}]
    silent = {name: None for name in columns() if "bsmt" in name}
    houses = [{**EXAMPLE, **dict.fromkeys(columns().keys() - EXAMPLE.keys()), **each} for each in (*changes, silent)]
    table = stacked([values_of(house) for house in houses])
    made = change_many(table, repairs(table, MANY, columns()))
    for i, house in enumerate(houses):
        told = {(it.field, it.rule) for it in repair(house)}
        assert told == {(name, rule) for name, rule, rows in made if rows[i]}
        assert {name: value_of(name, table[name][i]) for name, _ in told} == {name: house[name] for name, _ in told}
