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
        *(("kitchen_qual", given, "Ex") for given in ("ex", "EX", " eX ")),
        *(("exterior_2nd", given, "WdShing") for given in ("Wd Shng", "wd shng", "WDSHING")),
        ("pool_qc", "none", "None"),
        ("central_air", "y", "Y"),
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
    missing = rf"^{name} is missing: expected {columns()[name].expected}$"
    with pytest.raises(InvalidHouseError, match=missing):
        validated(rest)
    if columns()[name].nullable:  # where a file does not know it, a person may not either
        assert validated({**EXAMPLE, name: None}) == rest
    else:
        with pytest.raises(InvalidHouseError, match=missing):
            validated({**EXAMPLE, name: None})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"overall_qual": 11}, "overall_qual = 11: expected a whole number from 1 to 10"),
        ({"overall_qual": "six"}, "overall_qual = 'six': expected a whole number from 1 to 10"),
        ({"full_bath": 1.5}, "full_bath = 1.5: expected a whole number from 0 to 10"),
        ({"lot_area": float("nan")}, "lot_area = nan: expected a number from 500 to 500,000 sq ft"),
        ({"lot_area": "inf"}, "lot_area = 'inf': expected a number from 500 to 500,000 sq ft"),
        ({"neighborhood": "Atlantis"}, "neighborhood = 'Atlantis': expected Blmngtn, "),
        ({"kitchen_qual": "poor"}, "kitchen_qual = 'poor': expected Po, Fa, TA, Gd or Ex"),
        ({"lot_area": "8,450"}, "lot_area = '8,450': a comma or a point may stand between thousands"),
        ({"lot_area": "-inf"}, "lot_area = '-inf': expected a number from 500 to 500,000 sq ft"),
        ({"lot_frontage": True}, "lot_frontage = True: expected a number from 0 to 1,000 ft"),
        ({"full_bath": False}, "full_bath = False: expected a whole number from 0 to 10"),
        *(({"ms_subclass": code}, f"ms_subclass = {code}: expected 020, ") for code in (20.6, -20, 10**400)),
        ({"bathrooms": 2}, "bathrooms = 2: no field of a house"),
        ({"overall_qual": 0, "bathrooms": 2}, "; bathrooms = 2: no field of a house"),
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


def test_a_refused_field_is_called_as_it_is_where_it_comes_from():
    headings = {"gr_liv_area": "Gr Liv Area", "year_built": "Year Built"}
    fields = {**EXAMPLE, "gr_liv_area": None, "year_built": 1700}
    with pytest.raises(InvalidHouseError) as error:
        validated(fields, headings)
    assert str(error.value) == (
        "Year Built = 1700: expected a whole number from 1800 to 2011; "
        "Gr Liv Area is missing: expected a number from 100 to 15,000 sq ft"
    )
    with pytest.raises(InvalidHouseError, match=r"^Year Built = 2010: expected at most a year after the sale"):
        validated({**EXAMPLE, "year_built": 2010, "yr_sold": 2008}, headings)


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
