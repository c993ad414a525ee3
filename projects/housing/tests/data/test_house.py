import pytest
from pydantic import ValidationError

from housing.data.columns import columns
from housing.data.consistency import violations
from housing.data.house import EXAMPLE, House, ImpossibleHouseError, InvalidHouseError, validated


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


def field(name: str) -> dict:
    schema = House.model_json_schema()["properties"][name]
    return next((kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"), {}) | schema


def test_a_house_has_the_fields_of_the_column_table():
    assert list(House.model_fields) == list(columns())
    required = {name for name, info in House.model_fields.items() if info.is_required()}
    assert required == {name for name, column in columns().items() if column.required} == set(EXAMPLE)


def test_the_example_is_a_possible_house():
    assert House.model_validate(EXAMPLE).model_dump(exclude_none=True) == EXAMPLE
    assert violations(EXAMPLE) == []


@pytest.mark.parametrize("name", [name for name, column in columns().items() if column.is_numeric])
def test_bounds_are_those_of_the_column_table_and_are_allowed_themselves(name):
    column = columns()[name]
    for value in (column.minimum, column.maximum):
        assert getattr(House.model_validate({**EXAMPLE, name: value}), name) == value
    for value in (column.minimum - 1, column.maximum + 1):
        with pytest.raises(ValidationError) as error:
            House.model_validate({**EXAMPLE, name: value})
        assert [item["loc"] for item in error.value.errors()] == [(name,)]
    assert (field(name)["minimum"], field(name)["maximum"]) == (column.minimum, column.maximum)


@pytest.mark.parametrize("name", [name for name, column in columns().items() if not column.is_numeric])
def test_codes_are_those_of_the_column_table(name):
    for code in columns()[name].choices:
        assert getattr(House.model_validate({**EXAMPLE, name: code}), name) == code
    with pytest.raises(ValidationError):
        House.model_validate({**EXAMPLE, name: "no such code"})
    assert field(name)["enum"] == list(columns()[name].choices)


@pytest.mark.parametrize("name", list(columns()))
def test_every_field_is_described_with_its_unit(name):
    column = columns()[name]
    described = field(name)["description"]
    assert column.label in described
    if column.unit:
        assert f"In {column.unit}" in described


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_are_finite(value):
    with pytest.raises(ValidationError, match="lot_area"):
        House.model_validate({**EXAMPLE, "lot_area": value})


def test_a_misspelt_field_is_not_taken_for_a_missing_one():
    with pytest.raises(ValidationError, match="kitchen_quality"):
        House.model_validate({**EXAMPLE, "kitchen_quality": "Ex"})


@pytest.mark.parametrize("name", ["full_bath", "lot_area", "half_bath", "lot_frontage"])
@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_numbers(name, value):
    with pytest.raises(ValidationError) as error:
        House.model_validate({**EXAMPLE, name: value})
    assert [item["loc"] for item in error.value.errors()] == [(name,)]
