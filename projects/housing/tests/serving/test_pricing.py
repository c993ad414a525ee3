"""Whole files against single houses: the same prices to the last cent, however a file is written."""

import csv
from collections import Counter

import pandas as pd
import pytest

from housing.data.cells import meanings
from housing.data.columns import NONE, columns
from housing.data.house import EXAMPLE, InvalidHouseError, validated
from housing.data.load import load
from housing.data.values import table_of
from housing.models.features import groups
from housing.serving.batch import predict_file
from housing.serving.pricing import ADDED, Pricing
from portfolio_shared.data.tables import Columns

ODD = """
1_000 1e400 0x10 ٣ -0 +5 1e3 True 8450.0 8450. 00008450 000008450 12345678 123456789 84:50 8450/ 2003.5 8,5
CollgCr collgcr CollgCrX CollgCrXX Names NA nan Zoë é \U0001f3e0\U0001f3e0\U0001f3e0
"""
REQUIRED = [name for name, column in columns().items() if column.required]
OPEN = [name for name, column in columns().items() if NONE in column.choices]
REPAIRS = {
    "exterior_2nd: a code spelled in a second way": 228,
    "ms_zoning: a code spelled in a second way": 28,
    "ms_zoning, exterior_2nd: a code spelled in a second way": 1,
    "mas_vnr_type: veneer of type None with an area: type unknown": 7,
    "year_remod_add: remodeled before it was built: remodeled when built": 1,
    "garage_yr_blt: garage built after the sale (2207): year unknown": 1,
    "garage_qual, garage_cond: garage with spaces or a type and a code of None: code unknown": 1,
}


@pytest.fixture(scope="module")
def alone(predictor, dataset):
    """What each of the sales that training reads is worth to the predictor alone: price, low, high, fields filled."""
    answers = (predictor.predict([record])[0] for record in dataset.sales.records)
    return [
        [*(f"{dollars:.2f}" for dollars in (it.price, it.interval.low, it.interval.high)), str(len(it.filled))]
        for it in answers
    ]


def kaggles(raw):
    """The published cells as the competition's test.csv has them: one word for unknown and for none, and no price."""
    table = raw.drop(columns=["Order", "SalePrice"]).rename(columns={"PID": "Id"}).replace("", "NA")
    table["MS SubClass"] = table["MS SubClass"].str.lstrip("0")
    table["Sale Type"] = table["Sale Type"].str.strip()
    return table.rename(
        columns=lambda heading: heading.replace(" ", "").replace("first", "1st").replace("second", "2nd")
    )


def as_published(raw, path):
    raw.to_csv(path, index=False, sep="\t")


def as_in_the_competition(raw, path):
    kaggles(raw).to_csv(path, index=False)


def as_after_pandas(raw, path):
    raw.to_csv(path, index=False)
    pd.read_csv(path).to_csv(path)  # with row numbers under an empty heading


def as_a_spreadsheet_writes(raw, path):
    raw.to_csv(path, index=False, sep=";", encoding="utf-16")


@pytest.mark.parametrize("write", [as_published, as_in_the_competition, as_after_pandas, as_a_spreadsheet_writes])
def test_every_sale_is_priced_as_training_reads_it(some_rows, predictor, alone, tmp_path, write):
    """All rows, however the file was written; what was put right is said."""
    source, target = tmp_path / "sales.csv", tmp_path / "prices.csv"
    raw = some_rows(2930)
    write(raw, source)
    notes = []
    result = predict_file(source, target, predictor, note=notes.append)
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.done == 2930
    assert [[row[name] for name in ADDED[:3]] for row in rows] == [prices[:3] for prices in alone]
    counted = Counter(row["repaired"] for row in rows if row["repaired"])
    assert counted.items() >= {rule: n for rule, n in REPAIRS.items() if not differs(write, rule)}.items()
    assert result.repaired == counted.total()
    assert any("as after pandas" in note for note in notes) == (write is as_after_pandas)


def differs(write, rule: str) -> bool:
    """Where pandas has emptied NA and None, nothing contradicts a quantity; where all is NA, more does."""
    return (write is as_after_pandas and "None" in rule) or (write is as_in_the_competition and "garage_qual" in rule)


def test_a_competitions_test_file_of_1459_rows_gets_1459_prices(some_rows, predictor, tmp_path):
    """With the oddities that are known of it, in rows of their own."""
    table = kaggles(some_rows(2930)).iloc[:1459].reset_index(drop=True)
    oddities = (
        *({"PoolArea": "480", "PoolQC": "NA"}, {"MasVnrType": "None", "MasVnrArea": "198"}, {"GarageYrBlt": "2207"}),
        *({"Utilities": "NA"}, {"MSZoning": "NA"}, {"KitchenQual": "NA"}, {"Functional": "NA"}, {"SaleType": "NA"}),
        {"YearBuilt": "2002", "YearRemodAdd": "2001"},
        {"BsmtExposure": "NA", "BsmtCond": "NA"},
        {"BsmtFullBath": "NA", "BsmtHalfBath": "NA"},
        {"GarageFinish": "NA", "GarageCars": "NA", "GarageArea": "NA", "GarageYrBlt": "NA", "GarageType": "Detchd"},
        {heading: "NA" for heading in table.columns if heading.startswith(("Bsmt", "TotalBsmt"))},
    )
    for row, cells in enumerate(oddities):
        for heading, cell in cells.items():
            table.loc[100 * row, heading] = cell
    source, target = tmp_path / "test.csv", tmp_path / "prices.csv"
    table.to_csv(source, index=False)
    result = predict_file(source, target, predictor)
    assert (result.done, result.refused) == (1459, 0)
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["price"]) > 10_000 for row in rows)
    repaired = [row for row in range(len(oddities)) if rows[100 * row]["repaired"].partition("a code spelled")[0]]
    assert {0, 1, 2, 8, 9, 12} <= {*repaired}


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("cell", [*ODD.split(), "", " 8450", "12 ", " CollgCr ", "9" * 5000, "\0", "1\0", "\0001"])
def test_a_table_reads_a_cell_as_the_check_of_one_house_does(predictor, cell, quoted):
    """Whether the cells come as a text in which nothing is quoted, or one by one; seen before or not."""
    names = ("lot_area", "year_built", "neighborhood", "garage_cars")
    rows = [{**EXAMPLE, name: each} for name in names for each in ("", "1", cell, cell)]
    texts = [[str(house[name]) for house in rows] for name in EXAMPLE]
    text = ";".join(each for row in zip(*texts, strict=True) for each in row)
    cells = Columns(len(texts), cells=texts) if quoted else Columns(len(texts), text, ";")
    pricing = Pricing(list(EXAMPLE), predictor, [cells])
    for house, answer in zip(rows, pricing.answer(cells), strict=True):
        reason = ""
        try:
            record = validated(meanings({name: str(value) for name, value in house.items()}))
        except InvalidHouseError as error:
            reason = str(error)
        assert answer[-1] == reason
        if not reason:
            assert answer[0] == f"{predictor.predict([record])[0].price:.2f}"


def test_a_table_has_the_prices_and_the_reasons_of_its_houses_alone(predictor, dataset):
    """To the cent, for full records and for those with the required fields alone."""
    full = dataset.sales.records[::40]
    sparse = [{name: record[name] for name in REQUIRED} for record in full]
    records = [*full, *sparse]
    answer = predictor.predict_table(table_of(records), explain=True)
    for i, record in enumerate(records):
        (alone,) = predictor.predict([record], explain=True)
        dollars = (alone.price, alone.interval.low, alone.interval.high)
        assert [round(float(column[i]), 2) for column in answer[:3]] == list(dollars)
        assert answer.n_filled[i] == len(alone.filled)
        assert answer.average_price == alone.explanation.average_price
        parts = dict(zip(groups(), answer.contributions[i].tolist(), strict=True))
        assert parts == {part.group: part.dollars for part in alone.explanation.contributions}


@pytest.mark.long
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL], ids=["plain", "quoted"])
@pytest.mark.parametrize("emptied", [slice(0, 1000), slice(1930, 2930), slice(0, 2930)])
def test_a_file_is_read_as_training_reads_it_wherever_its_na_is(some_rows, predictor, tmp_path, emptied, quoting):
    """Longer than what is read at once, and without NA in some of its rows or in all of them."""
    raw = some_rows(2930)
    raw.iloc[emptied] = raw.iloc[emptied].replace(["NA", "None"], "")
    source, target, notes = tmp_path / "sales.csv", tmp_path / "prices.csv", []
    raw.to_csv(source, index=False, quoting=quoting)
    read = load(str(source))
    predict_file(source, target, predictor, note=notes.append)
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["price"]) for row in rows] == price_of(predictor, read.sales.records)
    found = [any("as after pandas" in note for note in each) for each in (notes, read.report.notes)]
    assert found == [emptied == slice(0, 2930)] * 2


def price_of(predictor, records):
    return [round(price, 2) for price in predictor.price_and_interval(records)[0].tolist()]


def test_one_house_with_open_codes_is_read_as_the_service_reads_its_nulls(predictor, dataset, tmp_path):
    """A row says nothing of how its file was made: its empty cells are unknown."""
    without_garage = next(house for house in dataset.sales.records if house["garage_type"] == NONE)
    record = {name: None if name in OPEN else value for name, value in without_garage.items()}
    source, target, notes = tmp_path / "house.csv", tmp_path / "prices.csv", []
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(record), ["" if value is None else value for value in record.values()]])
    predict_file(source, target, predictor, note=notes.append)
    with target.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (notes, [float(row["price"])]) == ([], price_of(predictor, [validated(record)]))
