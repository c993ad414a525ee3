import pytest

from housing.data.columns import columns
from housing.data.consistency import violations
from housing.data.house import ImpossibleHouseError, InvalidHouseError, validated
from housing.serving.schemas import EXAMPLE


def test_a_possible_house_is_returned_as_it_was_given():
    assert validated(EXAMPLE) == EXAMPLE


def test_text_is_read_as_numbers():
    record = validated({name: str(value) for name, value in EXAMPLE.items()} | {"lot_frontage": "65.5"})
    assert record == {**EXAMPLE, "lot_frontage": 65.5}
    assert isinstance(record["full_bath"], int)
    assert isinstance(record["gr_liv_area"], float)


def test_unknown_values_are_left_open():
    assert validated({**EXAMPLE, "kitchen_qual": None, "lot_frontage": None}) == EXAMPLE


@pytest.mark.parametrize("name", [name for name, column in columns().items() if column.required])
def test_each_required_field_is_missed_by_name(name):
    rest = {key: value for key, value in EXAMPLE.items() if key != name}
    with pytest.raises(InvalidHouseError, match=rf"^{name} is missing$"):
        validated(rest)
    with pytest.raises(InvalidHouseError, match=rf"^{name} = None: "):
        validated({**EXAMPLE, name: None})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"overall_qual": 11}, "overall_qual = 11: Input should be less than or equal to 10"),
        ({"overall_qual": "six"}, "overall_qual = 'six': Input should be a valid integer"),
        ({"full_bath": 1.5}, "full_bath = 1.5: Input should be a valid integer"),
        ({"lot_area": float("nan")}, "lot_area = nan: Input should be a finite number"),
        ({"lot_area": "inf"}, "lot_area = 'inf': Input should be a finite number"),
        ({"neighborhood": "Atlantis"}, "neighborhood = 'Atlantis': Input should be 'Blmngtn', "),
        ({"kitchen_qual": "NA"}, "kitchen_qual = 'NA': Input should be 'Po', 'Fa', 'TA', 'Gd' or 'Ex'"),
        ({"bathrooms": 2}, "bathrooms = 2: Extra inputs are not permitted"),
    ],
)
def test_a_field_is_refused_with_its_name_its_value_and_the_bound(changes, expected):
    with pytest.raises(InvalidHouseError) as error:
        validated({**EXAMPLE, **changes})
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_every_wrong_field_is_named():
    with pytest.raises(InvalidHouseError) as error:
        validated({**EXAMPLE, "overall_qual": 0, "overall_cond": 0, "colour": "red"})
    assert all(name in str(error.value) for name in ("overall_qual = 0", "overall_cond = 0", "colour = 'red'"))


def test_a_contradiction_is_refused_with_field_value_rule_and_limit():
    with pytest.raises(ImpossibleHouseError) as error:
        validated({**EXAMPLE, "year_built": 2010, "yr_sold": 2008})
    assert str(error.value) == "year_built = 2010: expected at most a year after the sale, here at most 2009"
    assert error.value.broken == violations({**EXAMPLE, "year_built": 2010, "yr_sold": 2008})


def test_every_contradiction_is_named():
    with pytest.raises(ImpossibleHouseError) as error:
        validated({**EXAMPLE, "year_remod_add": 1990, "garage_area": 500, "garage_cars": 0})
    assert len(error.value.broken) == 2
    assert "year_built = 2003" in str(error.value)
    assert "garage_area = 500" in str(error.value)


@pytest.mark.parametrize(
    "impossible",
    [
        {"bsmtfin_sf_2": 5000.0},  # in a basement of 856
        {"low_qual_fin_sf": 2000.0},  # in a house of 1,710
    ],
)
def test_a_part_is_not_larger_than_the_whole(impossible):
    with pytest.raises(ImpossibleHouseError):
        validated({**EXAMPLE, **impossible})
