import pytest
from pydantic import ValidationError

from housing.data.columns import columns
from housing.data.consistency import violations
from housing.serving.schemas import EXAMPLE, MAX_HOUSES, House, PredictionRequest


def field(name: str) -> dict:
    schema = House.model_json_schema()["properties"][name]
    return next((one for one in schema.get("anyOf", []) if one.get("type") != "null"), {}) | schema


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
    with pytest.raises(ValidationError, match="explian"):
        PredictionRequest.model_validate({"houses": [EXAMPLE], "explian": True})


@pytest.mark.parametrize(("n", "accepted"), [(0, False), (1, True), (MAX_HOUSES, True), (MAX_HOUSES + 1, False)])
def test_a_request_holds_one_to_a_thousand_houses(n, accepted):
    if accepted:
        assert len(PredictionRequest.model_validate({"houses": [EXAMPLE] * n}).houses) == n
    else:
        with pytest.raises(ValidationError, match="houses"):
            PredictionRequest.model_validate({"houses": [EXAMPLE] * n})


def test_the_requests_own_example_is_accepted():
    (example,) = PredictionRequest.model_json_schema()["properties"]["houses"]["examples"]
    request = PredictionRequest.model_validate({"houses": example})
    assert request.explain is False


@pytest.mark.parametrize("name", ["full_bath", "lot_area", "half_bath", "lot_frontage"])
@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_numbers(name, value):
    with pytest.raises(ValidationError) as error:
        House.model_validate({**EXAMPLE, name: value})
    assert [item["loc"] for item in error.value.errors()] == [(name,)]
