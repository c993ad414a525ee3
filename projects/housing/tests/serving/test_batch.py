import csv
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from housing.data.cells import meaning
from housing.data.columns import column_name, columns
from housing.data.house import EXAMPLE
from housing.data.load import clean
from housing.models.predictor import Prediction, PriceRange
from housing.serving import batch
from housing.serving.batch import ADDED, predict_file
from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.tables import FileError
from portfolio_shared.serving.batch import BatchResult

HEADING = ",".join(EXAMPLE)


def line(**changes) -> str:
    return ",".join(str(value) for value in {**EXAMPLE, **changes}.values())


class Flat:
    """A predictor that knows one thing: the price is a hundred dollars a square foot."""

    def predict(self, records):
        return [
            Prediction(round(100.0 * house["gr_liv_area"], 2), PriceRange(1.0, 2.0, 0.9), [], [], None)
            for house in records
        ]


@pytest.fixture
def priced(tmp_path):
    """Return a function: text of a file -> (result, heading, rows as lists)."""

    def run(text: str, predictor=None, **options):
        source, target = tmp_path / "houses.csv", tmp_path / "prices.csv"
        source.write_text(text, encoding="utf-8", newline="")
        result = predict_file(source, target, predictor or Flat(), **options)
        with target.open(newline="", encoding="utf-8") as file:
            heading, *rows = list(csv.reader(file))
        assert all(len(row) == len(heading) for row in rows)
        return result, heading, rows

    return run


def test_prices_are_those_of_the_predictor(priced, predictor):
    houses = [{**EXAMPLE, "gr_liv_area": 1200}, EXAMPLE]
    result, heading, rows = priced(f"{HEADING}\n{line(gr_liv_area=1200)}\n{line()}\n", predictor)
    assert result == BatchResult(done=2, refused=0)
    assert tuple(heading) == (*EXAMPLE, *ADDED)
    for row, house in zip(rows, predictor.predict(houses), strict=True):
        expected = (house.price, house.interval.low, house.interval.high, len(house.filled), "")
        assert row[-5:] == [*(f"{dollars:.2f}" for dollars in expected[:3]), str(expected[3]), ""]


def test_a_bad_row_keeps_its_line_and_says_why(priced):
    text = "\n".join([HEADING, line(), line(overall_qual=11), line(gr_liv_area=2000), line(year_built=2030), line()])
    result, _, rows = priced(text + "\n")
    assert result == BatchResult(done=3, refused=2)
    assert [row[-5] for row in rows] == ["171000.00", "", "200000.00", "", "171000.00"]
    assert rows[1][-1].startswith("overall_qual = '11': ")
    assert rows[3][-1].startswith("year_built = '2030': ")
    assert rows[1][: len(EXAMPLE)] == line(overall_qual=11).split(",")
    assert rows[1][-5:-1] == [""] * 4


def test_a_file_of_bad_rows_alone_is_answered(priced, predictor):
    result, _, rows = priced(f"{HEADING}\n" + f"{line(neighborhood='Atlantis')}\n" * 3, predictor)
    assert result == BatchResult(done=0, refused=3)
    assert all("Atlantis" in row[-1] for row in rows)


def test_order_is_kept_across_chunks(priced, monkeypatch):
    monkeypatch.setattr(batch, "ROWS_AT_ONCE", 7)
    sizes = [1000 + i for i in range(50)]
    lines = [line(gr_liv_area=size) if size % 5 else line(gr_liv_area="?") for size in sizes]
    seen = []
    result, _, rows = priced("\n".join([HEADING, *lines, ""]), advance=seen.append)
    assert sum(seen) == 50
    assert result == BatchResult(done=40, refused=10)
    assert [row[-5] for row in rows] == [f"{size * 100}.00" if size % 5 else "" for size in sizes]


def test_a_row_of_another_shape_is_refused_and_its_cells_are_kept(priced):
    result, _, rows = priced(f"{HEADING}\n{line()},one\n{line().rsplit(',', 2)[0]}\n{line()}\n")
    assert result == BatchResult(done=1, refused=2)
    assert [row[-1] for row in rows] == ["the row has more or fewer cells than the heading"] * 2 + [""]
    assert rows[0][: len(EXAMPLE)] == line().split(",")
    assert rows[1][: len(EXAMPLE) - 2] == line().split(",")[:-2]


def test_other_columns_are_passed_through_cell_for_cell(priced):
    note = '"two\nlines, a comma and ""quotes"""'
    _, heading, rows = priced(f"note,{HEADING},agent\n{note},{line()},Zoë\n")
    assert (heading[0], heading[len(EXAMPLE) + 1]) == ("note", "agent")
    assert rows[0][0] == 'two\nlines, a comma and "quotes"'
    assert rows[0][len(EXAMPLE) + 1] == "Zoë"


@pytest.mark.parametrize("double", ["lot_area", "Lot Area", "LotArea", "note"])
def test_two_headings_for_one_column_are_refused(priced, double):
    """One of the two cells would be lost."""
    with pytest.raises(FileError, match=rf"houses\.csv: two headings .*{double}"):
        priced(f"{HEADING},note,{double}\n{line()},here,9999\n")


@pytest.mark.parametrize("text", ["", "\n", HEADING.replace("lot_area,", "") + "\n", "a;b;c\n1;2;3\n"])
def test_a_file_without_the_required_headings_is_refused_by_name(priced, tmp_path, text):
    with pytest.raises(FileError, match=r"houses\.csv: .*lot_area"):
        priced(text)
    assert not (tmp_path / "prices.csv").exists()


def test_a_heading_alone_gives_a_heading_alone(priced):
    result, heading, rows = priced(f"{HEADING}\n")
    assert result == BatchResult(0, 0)
    assert (tuple(heading), rows) == ((*EXAMPLE, *ADDED), [])


def test_spaces_around_a_cell_and_empty_cells_are_no_values(priced, predictor):
    result, _, rows = priced(f"{HEADING},kitchen_qual,alley\n{line(neighborhood=' CollgCr ')}, , NA\n", predictor)
    assert result == BatchResult(1, 0)
    assert rows[0][-2] == str(len(columns()) - len(EXAMPLE) - 1)  # the alley is given: none


def test_the_datas_own_headings_and_cells_are_priced(some_rows, tmp_path):
    """The published layout goes in as it is; what training repairs by spelling is no reason to refuse a row here."""
    source, target = tmp_path / "sales.csv", tmp_path / "prices.csv"
    raw = some_rows(2930)
    raw.to_csv(source, index=False)
    result = predict_file(source, target, Flat())
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["PID"] for row in rows] == raw["PID"].tolist()
    assert all(float(row["price"]) > 0 for row in rows if not row["error"])
    # Contradictions stay refused, and so does a house without what every caller must know.
    refused = Counter(row["error"].split(" ")[0] for row in rows if row["error"])
    contradicted = {"mas_vnr_area": 7, "garage_yr_blt": 1, "year_built": 1}
    assert refused == {**contradicted, "total_bsmt_sf": 1, "garage_cars": 1}
    assert result == BatchResult(len(raw) - 11, 11)


def test_a_row_means_the_same_to_the_batch_as_to_training(some_rows, dataset):
    """Cell for cell: the record that is priced is the record that training reads."""
    raw = some_rows(2930)
    fields = {heading: name for heading in raw.columns if (name := column_name(heading)) is not None}
    # One house has no basement and no word about bathrooms in it: training writes 0, the batch leaves it to the model.
    no_basement = {"bsmt_full_bath": 0.0, "bsmt_half_bath": 0.0}
    compared = 0
    for row, expected in zip(raw.to_dict("records"), dataset.sales.records, strict=True):
        record = batch._record(row, fields)
        if not isinstance(record, str):
            known = {name: value for name, value in expected.items() if value is not None}
            assert known in (record, record | no_basement)
            compared += 1
    assert compared == len(raw) - 11


def test_na_means_the_same_to_the_batch_as_to_training(some_rows):
    """Row i of the file has NA in the i-th column of codes, and a house all around it."""
    names = [name for name, column in columns().items() if column.choices and not column.required]
    raw = some_rows(120)
    raw = raw[raw["Total Bsmt SF"] != "0"].reset_index(drop=True)
    for i, name in enumerate(names):
        raw.loc[i, columns()[name].source] = "NA"
    frame = clean(raw, DataReport("test", rows_read=len(raw)))
    training = {name: frame.loc[i, name] for i, name in enumerate(names)}
    assert {name: meaning(name, "NA") for name in names} == training
    assert meaning("lot_area", "NA") is None


def test_the_file_itself_may_be_the_target(tmp_path):
    path = tmp_path / "houses.csv"
    path.write_text(f"{HEADING}\n{line()}\n{line(gr_liv_area=900)}\n", encoding="utf-8")
    assert predict_file(path, path, Flat()) == BatchResult(2, 0)
    with path.open(newline="", encoding="utf-8") as file:
        assert [row["price"] for row in csv.DictReader(file)] == ["171000.00", "90000.00"]
    assert list(tmp_path.iterdir()) == [path]


def peak_memory(tmp_path: Path, rows: int) -> int:
    source = tmp_path / f"{rows}.csv"
    with source.open("w", encoding="utf-8") as file:
        file.write(f"{HEADING}\n")
        file.writelines(f"{line()}\n" for _ in range(rows))
    tracemalloc.start()
    predict_file(source, tmp_path / "prices.csv", Flat())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_file(tmp_path):
    peak_memory(tmp_path, 1000)  # caches
    assert peak_memory(tmp_path, 20_000) < 1.3 * peak_memory(tmp_path, 2_000)
