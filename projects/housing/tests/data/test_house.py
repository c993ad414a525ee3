import pytest
from pydantic import ValidationError

from housing.data.columns import columns
from housing.data.house import EXAMPLE, House, InvalidHouseError, validated


def test_text_is_read_as_numbers():
    record = validated({name: str(value) for name, value in EXAMPLE.items()} | {"lot_frontage": "65.5"})
    assert record == {**EXAMPLE, "lot_frontage": 65.5}
    assert isinstance(record["full_bath"], int)
    assert isinstance(record["gr_liv_area"], float)


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        *(("ms_subclass", given, "020") for given in ("020", "20", "20.0", 20, 20.0)),
        ("exterior_2nd", "CmentBd", "CemntBd"),
        ("alley", "NA", "None"),
        ("electrical", "NA", None),
        ("lot_frontage", "80,5", 80.5),
        ("lot_frontage", "NA", None),
        ("garage_yr_blt", "2003.0", 2003),
        ("kitchen_qual", " Gd ", "Gd"),
        ("kitchen_qual", "", None),
    ],
)
def test_every_spelling_of_a_value_is_one_value(name, given, meant):
    """In files, in the API, in MLflow's table: all of them come through here."""
    assert validated({**EXAMPLE, name: given}).get(name) == meant


def test_unknown_values_are_left_open():
    assert validated({**EXAMPLE, "kitchen_qual": None, "lot_frontage": None}) == EXAMPLE


@pytest.mark.parametrize("name", [name for name, column in columns().items() if column.required])
def test_each_required_field_is_missed_by_name(name):
    rest = {key: value for key, value in EXAMPLE.items() if key != name}
    with pytest.raises(InvalidHouseError, match=rf"^{name} is missing$"):
        validated(rest)
    if columns()[name].nullable:  # where a file does not know it, a person may not either
        assert validated({**EXAMPLE, name: None}) == rest
    else:
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
        ({"kitchen_qual": "poor"}, "kitchen_qual = 'poor': Input should be 'Po', 'Fa', 'TA', 'Gd' or 'Ex'"),
        ({"lot_area": "8,450"}, "lot_area = '8,450': Value error, a comma or a point may stand between thousands"),
        ({"lot_area": "-inf"}, "lot_area = '-inf': Input should be a finite number"),
        ({"lot_frontage": True}, "lot_frontage = True: Value error, Input should be a number, not true or false"),
        ({"full_bath": False}, "full_bath = False: Value error, Input should be a number, not true or false"),
        *(({"ms_subclass": code}, f"ms_subclass = {code}: Input should be '020', ") for code in (20.6, -20, 10**400)),
        ({"bathrooms": 2}, "bathrooms = 2: Extra inputs are not permitted"),
        ({"overall_qual": 0, "bathrooms": 2}, "; bathrooms = 2: Extra inputs are not permitted"),
        ({"year_built": 2010, "yr_sold": 2008}, "year_built = 2010: expected at most a year after the sale, here at "),
        (
            {"bedroom_abv_gr": 8, "tot_rms_abv_grd": 6, "garage_area": 5, "garage_cars": 0},
            "; garage_area = 5.0: expected 0 without",
        ),
    ],
)
def test_what_is_refused_is_named_with_its_value_and_the_bound(changes, expected):
    with pytest.raises(InvalidHouseError) as error:
        validated({**EXAMPLE, **changes})
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def field(name: str) -> dict:
    schema = House.model_json_schema()["properties"][name]
    return next((kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"), {}) | schema


def test_a_house_has_the_fields_of_the_column_table():
    assert list(House.model_fields) == list(columns())
    required = {name for name, info in House.model_fields.items() if info.is_required()}
    assert required == {name for name, column in columns().items() if column.required} == set(EXAMPLE)


@pytest.mark.parametrize("name", [name for name, column in columns().items() if column.is_numeric])
def test_bounds_are_those_of_the_column_table_and_are_allowed_themselves(name):
    column, old = columns()[name], {**EXAMPLE, "year_built": 1800}
    for value in (column.minimum, column.maximum):
        assert getattr(House.model_validate({**old, name: value}), name) == value
    repaired = {"garage_yr_blt": column.maximum + 1, "year_remod_add": column.minimum - 1}.get(name)
    for value in {column.minimum - 1, column.maximum + 1} - {repaired}:
        with pytest.raises(ValidationError) as error:
            House.model_validate({**old, name: value})
        assert [item["loc"] for item in error.value.errors()] == [(name,)]
    assert (field(name)["minimum"], field(name)["maximum"]) == (column.minimum, column.maximum)


@pytest.mark.parametrize("name", [name for name, column in columns().items() if not column.is_numeric])
def test_codes_are_those_of_the_column_table(name):
    bare = {**EXAMPLE, "garage_cars": 0, "total_bsmt_sf": 0}
    for code in columns()[name].choices:
        assert getattr(House.model_validate({**bare, name: code}), name) == code
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
