import pytest

from housing.data.columns import NONE, column_name, columns


def test_the_table_has_the_79_inputs_of_the_published_file():
    # 82 columns, less the order, the parcel number and the price.
    assert len(columns()) == 79


def test_ten_columns_are_required():
    required = [name for name, column in columns().items() if column.required]
    assert required == [
        "lot_area",
        "neighborhood",
        "overall_qual",
        "overall_cond",
        "year_built",
        "total_bsmt_sf",
        "gr_liv_area",
        "full_bath",
        "bedroom_abv_gr",
        "garage_cars",
    ]


@pytest.mark.parametrize("name", columns())
def test_every_column_is_complete(name):
    column = columns()[name]
    assert column.label
    assert column.group
    if column.is_numeric:
        assert column.minimum is not None
        assert column.maximum is not None
        assert column.minimum < column.maximum
        assert not column.choices
    else:
        assert len(column.choices) >= 2
        assert all(column.choices.values())


def test_ordinals_run_from_worst_to_best():
    assert list(columns()["bsmt_qual"].choices) == [NONE, "Po", "Fa", "TA", "Gd", "Ex"]
    assert list(columns()["functional"].choices)[-1] == "Typ"


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("MS SubClass", "ms_subclass"),
        ("MSSubClass", "ms_subclass"),
        ("Year Remod/Add", "year_remod_add"),
        ("YearRemodAdd", "year_remod_add"),
        ("threeSsn Porch", "three_ssn_porch"),
        ("3SsnPorch", "three_ssn_porch"),
        ("second Flr SF", "second_flr_sf"),
        ("bedroom_abv_gr", "bedroom_abv_gr"),
        ("color", None),
    ],
)
def test_headings_are_known_by_letters_and_digits(heading, name):
    assert column_name(heading) == name
