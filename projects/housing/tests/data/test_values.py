import numpy as np

from housing.data.columns import NONE, columns
from housing.data.house import EXAMPLE
from housing.data.values import change_many, change_one, code, code_values, stacked, table_of, value_of, values_of


def test_every_code_is_a_number_and_back():
    for name, numbers in code_values().items():
        assert [value_of(name, number) for number in numbers.values()] == list(columns()[name].choices)
        assert numbers.get(NONE, 0.0) == 0.0


def test_a_record_is_numbers_and_back(dataset):
    for record in dataset.sales.records[::50]:
        assert {name: value_of(name, number) for name, number in values_of(record).items()} == record


def test_both_claddings_have_the_same_numbers():
    """The second one is filled with the number of the first."""
    assert code_values()["exterior_1st"] == code_values()["exterior_2nd"]


def test_changes_to_a_table_are_those_to_each_house():
    """A later change reads what an earlier one made, where that holds."""

    def changes(x):
        yield "lot_area", x["lot_area"] + 1, "one more", x["overall_qual"] > 6
        yield "fence", code("fence", "GdWo"), "a fence", x["lot_area"] > 8450

    records = [EXAMPLE, {**EXAMPLE, "overall_qual": 5}, {**EXAMPLE, "overall_qual": 2, "lot_area": 9000}]
    houses, table = [values_of(record) for record in records], table_of(records)
    alone = [change_one(house, changes(house)) for house in houses]
    made = change_many(table, changes(table))
    np.testing.assert_equal(table, stacked(houses))
    for i, changed in enumerate(alone):
        assert [(name, rule) for name, _, rule in changed] == [(name, rule) for name, rule, rows in made if rows[i]]
    assert [len(changed) for changed in alone] == [2, 0, 1]
