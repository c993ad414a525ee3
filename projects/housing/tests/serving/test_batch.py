import csv
import os
import threading
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from housing.data.cells import meaning
from housing.data.columns import columns
from housing.data.house import EXAMPLE
from housing.data.load import clean
from housing.models.predictor import TablePrices
from housing.serving import batch
from housing.serving.batch import predict_file
from housing.serving.pricing import ADDED
from portfolio_shared.data import tables
from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.tables import FileError
from portfolio_shared.serving.batch import ERROR, REPAIRED, BatchResult

HEADING = ",".join(EXAMPLE)


def line(**changes) -> str:
    return ",".join(str(value) for value in {**EXAMPLE, **changes}.values())


class Flat:
    """A predictor that knows one thing: the price is a hundred dollars a square foot."""

    def predict_table(self, table, *, explain=False):
        price = 100.0 * table["gr_liv_area"]
        return TablePrices(price, np.ones_like(price), 2 * np.ones_like(price), np.zeros(len(price), int), 1.0, None)


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
    assert ADDED[-2:] == (REPAIRED, ERROR)
    for row, house in zip(rows, predictor.predict(houses), strict=True):
        dollars = (house.price, house.interval.low, house.interval.high)
        assert row[-6:] == [*(f"{each:.2f}" for each in dollars), str(len(house.filled)), "", ""]


def test_a_bad_row_keeps_its_line_and_says_why(priced):
    text = "\n".join([HEADING, line(), line(overall_qual=11), line(gr_liv_area=2000), line(year_built=2030), line()])
    result, _, rows = priced(text + "\n")
    assert result == BatchResult(done=3, refused=2)
    assert [row[-6] for row in rows] == ["171000.00", "", "200000.00", "", "171000.00"]
    assert rows[1][-1].startswith("overall_qual = '11': ")
    assert rows[3][-1].startswith("year_built = '2030': ")
    assert rows[1][-1] == "overall_qual = '11': expected a whole number from 1 to 10"
    assert rows[1][: len(EXAMPLE)] == line(overall_qual=11).split(",")
    assert rows[1][-6:-1] == [""] * 5


def test_a_file_of_bad_rows_alone_is_answered(priced, predictor):
    result, _, rows = priced(f"{HEADING}\n" + f"{line(neighborhood='Atlantis')}\n" * 3, predictor)
    assert result == BatchResult(done=0, refused=3)
    assert all("Atlantis" in row[-1] for row in rows)


def test_order_is_kept_across_chunks(priced, monkeypatch):
    monkeypatch.setattr(batch, "predict_columns", partial(batch.predict_columns, rows_at_once=7))
    sizes = [1000 + i for i in range(50)]
    lines = [line(gr_liv_area=size) if size % 5 else line(gr_liv_area="?") for size in sizes]
    seen = []
    result, _, rows = priced("\n".join([HEADING, *lines, ""]), advance=seen.append)
    assert sum(seen) == 50
    assert result == BatchResult(done=40, refused=10)
    assert [row[-6] for row in rows] == [f"{size * 100}.00" if size % 5 else "" for size in sizes]


def test_a_row_of_another_shape_is_refused_and_its_cells_are_kept(priced):
    result, _, rows = priced(f"{HEADING}\n{line()},one\n{line().rsplit(',', 2)[0]}\n{line()}\n")
    assert result == BatchResult(done=1, refused=2)
    assert [row[-1] for row in rows] == [
        "line 2 has 11 cells, expected 10; left over: 'one'",
        "line 3 has 8 cells, expected 10",
        "",
    ]
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
    with pytest.raises(FileError, match=rf"houses\.csv.*{double}"):
        priced(f"{HEADING},note,{double}\n{line()},here,9999\n")


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        *(("KitchenQul", "kitchen_qual"), ("Overal Cond", "overall_cond"), ("Mas Vnr Aera", "mas_vnr_area")),
        ("GrLivAra", "gr_liv_area"),  # which the file has as well
    ],
)
def test_a_heading_that_resembles_a_column_is_refused_by_name(priced, heading, name):
    """Its cells would say nothing to the model, in silence."""
    text = f"{HEADING},{heading}\n{line()},TA\n".replace(
        "overall_cond,", "" if name == "overall_cond" else "overall_cond,"
    )
    with pytest.raises(FileError, match=rf"houses\.csv: the heading {heading} is unknown and resembles {name}"):
        priced(text)


@pytest.mark.parametrize(
    "heading", ["A1stFlrSF", "X1st.Flr.SF", "X1stFlrSF", "1st.Flr.SF", "1st Flr SF", "first Flr SF"]
)
def test_headings_are_read_as_tools_write_them(priced, predictor, heading):
    _, _, rows = priced(f"{HEADING},{heading}\n{line()},800\n", predictor)
    (house,) = predictor.predict([{**EXAMPLE, "first_flr_sf": 800}])
    assert rows[0][-6] == f"{house.price:.2f}"


def test_what_says_nothing_to_the_model_is_named(priced):
    notes = []
    priced(f"agent,{HEADING},PID\nZoë,{line()},1\n", note=notes.append)
    assert [note.split(": ")[1:] for note in notes] == [
        ["columns that are passed through and say nothing to the model", "agent, PID"]
    ]


def test_decimal_commas_are_read_and_thousands_refused_in_a_file_between_semicolons(priced, predictor):
    heading = HEADING.replace(",", ";") + ";lot_frontage"
    cells = line().replace(",", ";")
    result, _, rows = priced(f"{heading}\n{cells};80,5\n{cells};1.710\n{cells};1,710\n{cells};80.5\n", predictor)
    (house,) = predictor.predict([{**EXAMPLE, "lot_frontage": 80.5}])
    assert [row[-6] for row in rows] == [f"{house.price:.2f}", "", "", f"{house.price:.2f}"]
    assert rows[1][-1].startswith("lot_frontage = '1.710': a comma or a point may stand between thousands")
    assert rows[2][-1].startswith("lot_frontage = '1,710': ")
    assert result == BatchResult(2, 2)


@pytest.mark.parametrize("text", [HEADING.replace("lot_area,", "") + "\n", "a;b;c\n1;2;3\n"])
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
    assert rows[0][-3] == str(len(columns()) - len(EXAMPLE) - 1)  # the alley is given: none


def test_explanations_are_those_of_the_predictor_and_add_up(priced, predictor):
    _, heading, rows = priced(f"{HEADING}\n{line()}\n{line(overall_qual=9)}\n", predictor, explain=True)
    for row, house in zip(rows, (EXAMPLE, {**EXAMPLE, "overall_qual": 9}), strict=True):
        (answer,) = predictor.predict([house], explain=True)
        cells = dict(zip(heading, row, strict=True))
        assert cells["average_price"] == f"{answer.explanation.average_price:.2f}"
        for part in answer.explanation.contributions:
            assert cells[f"adds_{part.group.lower().replace(' ', '_')}"] == f"{part.dollars:.2f}"
        parts = [float(cell) for name, cell in cells.items() if name.startswith("adds_")]
        assert sum(parts) + float(cells["average_price"]) == pytest.approx(float(cells["price"]), abs=0.001)


def test_na_means_the_same_to_the_batch_as_to_training(some_rows):
    """Row i of the file has NA in the i-th column of codes, and a house all around it."""
    names = [name for name, column in columns().items() if column.choices and not column.required]
    raw = some_rows(120)
    absent = ["Total Bsmt SF", "BsmtFin SF 1", "BsmtFin SF 2", "Bsmt Unf SF", "Garage Cars", "Garage Area"]
    raw[[*absent, "Pool Area", "Mas Vnr Area", "Fireplaces"]] = "0"  # so that NA contradicts nothing
    raw["Garage Type"] = "NA"
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


def test_a_pipe_is_priced_though_it_can_be_read_once_alone(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heading = ",".join([*EXAMPLE, "alley", "pool_qc"])  # columns by which it is seen how the file was made
    writer = threading.Thread(target=pipe.write_text, args=(f"{heading}\n{line()},,\n{line()},,\n",))
    writer.start()
    assert predict_file(pipe, tmp_path / "prices.csv", Flat()) == BatchResult(2, 0)
    writer.join(timeout=10)


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


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK", 10_000)  # a file that is shorter than what is read at once says nothing
    peak_memory(tmp_path, 1000)  # caches
    assert peak_memory(tmp_path, 20_000) < 1.3 * peak_memory(tmp_path, 2_000)


def test_codes_in_other_letters_are_put_right_and_told_and_headings_name_what_is_refused(priced, predictor):
    headings = HEADING.replace("gr_liv_area", "Gr Liv Area")
    text = f"{headings},Kitchen Qual\n{line()},ex\n{line(neighborhood='COLLGCR')},Ex\n{line(gr_liv_area='')},Ex\n"
    result, _, rows = priced(text, predictor)
    assert result == BatchResult(done=2, refused=1, repaired=2)
    assert rows[0][-6:-2] == rows[1][-6:-2]
    assert [row[-2] for row in rows] == [
        "kitchen_qual: a code spelled in a second way",
        "neighborhood: a code spelled in a second way",
        "",
    ]
    assert rows[2][-1] == "Gr Liv Area is missing: expected a number from 100 to 15,000 sq ft"
