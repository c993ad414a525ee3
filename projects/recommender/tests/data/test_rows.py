"""No rating is read otherwise than it is written: each failure names its file and line."""

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from rating_files import FILMS, HEADING, READ, ROWS, rows_of, write

from portfolio_shared.data.checks import DataError
from recommender.data import plain, rows
from recommender.data.load import load


@pytest.mark.parametrize(
    "ratings",
    [
        HEADING + "\r\n".join(ROWS),
        "\ufeff" + HEADING + "\n".join(ROWS),
        (HEADING + "\n".join(ROWS)).encode("utf-16"),
        gzip.compress((HEADING + "\n".join(ROWS)).encode(), mtime=0),
        (HEADING + "\n".join(ROWS)).replace(",", "\t"),
        (HEADING + "\n".join(ROWS)).replace(",", ";").replace(".", ","),  # Excel in most of Europe
        HEADING.replace("\n", ",no\u2028te\n") + "\n".join(f"{row},x" for row in ROWS),
        HEADING.replace("\n", ',"no\n24"""\r\n') + "\n".join(f"{row},x" for row in ROWS),
        HEADING.replace("\n", ',24"\n') + "\n".join(f"{row},x" for row in ROWS),
        "sep=;\r\n" + (HEADING + "\n".join(ROWS)).replace(",", ";"),
        ',rating,item,user_id,timestamp,note\n0,4.5,7,5,100,\n1,3.5,1,5,90,"a, b"\n2,5.0,1,9,80,c\n',
        HEADING + '5,7,4.5,"1970-01-01 00:01:40"\n5,1,3.5,"1970-01-01 00:01:30"\n9,1,5.0,"1970-01-01T00:01:20"\n',
    ],
    ids=[
        "crlf",
        "bom",
        "utf-16",
        "gzip",
        "tabs",
        "semicolons",
        "separators",
        "two-lines",
        "inches",
        "sep",
        "renamed",
        "dates",
    ],
)
def test_ratings_are_the_same_however_the_table_is_written(tmp_path: Path, ratings: str | bytes) -> None:
    assert rows_of(write(tmp_path, ratings)) == READ


def test_columns_that_are_not_read_are_reported(tmp_path: Path) -> None:
    write(tmp_path, HEADING.replace("\n", ",device\n") + "5,7,4.5,100,tv\n", FILMS.replace("\n", ",x\n"))
    notes = load(str(tmp_path)).report.notes
    assert "ratings.csv: columns that are not read: device." in notes
    assert "movies.csv: columns that are not read: x." in notes


@pytest.mark.parametrize("at_once", [1, 2, 1_000_000])
@pytest.mark.parametrize("before", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("5,7,4,5,100", "has 5 cells, expected 4; left over: '100'"),
        ("5,7,4,5,100,1", "has 6 cells, expected 4"),
        ("5,7,4.5", "has 3 cells, expected 4"),
        ("x,7,4.5,100", "user is 'x'; expected a whole number"),
        ("5,7.5,4.5,100", "film is '7.5'; expected a whole number"),
        ("3000000000,7,4.5,100", "user is '3000000000'"),
        ("5,,4.5,100", "film is ''; expected a whole number"),
        ("5,7,four,100", "value is 'four'; expected stars"),
        ('5,7,"4.5,100', "a quotation mark is never closed"),
    ],
)
def test_the_first_row_that_is_no_rating_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: int, before: int, row: str, message: str
) -> None:
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(plain, "BYTES_AT_ONCE", at_once)
    write(tmp_path, HEADING + "\n".join([*ROWS[:before], row, *ROWS[before:]]) + "\n")
    with pytest.raises(DataError, match=f"ratings.csv, line {before + 2}|: line {before + 2} ") as error:
        load(str(tmp_path))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["100", "2000-07-30"], "line 3: time is '2000-07-30'; expected seconds since 1970"),
        (["2000-07-30", "100"], "line 3: time is '100'; expected a date"),
        (["2000-07-30", ""], "line 3: time is ''; expected a date"),
        (["30.07.2000", "31.07.2000"], "line 2: time is '30.07.2000'; expected a date such as 2005-04-02 23:53:47"),
    ],
)
def test_times_are_seconds_or_dates_throughout(tmp_path: Path, times: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(
            str(
                write(
                    tmp_path,
                    HEADING + "".join(f"5,{film},4,{time}\n" for film, time in zip((1, 7), times, strict=True)),
                )
            )
        )


@pytest.mark.parametrize("row", ["5::7::4", "5::7::4::100::1", "5:7:4:100", "5::7::x::100", "5;7;4;100"])
@pytest.mark.parametrize("before", [0, 2])
def test_a_wrong_row_between_colons_is_named(tmp_path: Path, row: str, before: int) -> None:
    rows = [each.replace(",", "::") for each in ROWS]
    (tmp_path / "movies.dat").write_text("1::Toy Story (1995)::Animation\n7::American President, The (1995)::Drama\n")
    (tmp_path / "ratings.dat").write_text("\n".join([*rows[:before], row, *rows[before:]]))
    with pytest.raises(DataError, match=f"ratings.dat(: |, )line {before + 1}"):
        load(str(tmp_path))


def test_no_ratings_are_an_error_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ratings\.csv: no ratings below the heading"):
        load(str(write(tmp_path, HEADING)))


def outcome(folder: Path) -> str:
    try:
        return repr(rows_of(folder))
    except DataError as error:
        return str(error)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.* encountered in cast:RuntimeWarning")  # of pandas, for 3.5e90 stars
@pytest.mark.parametrize("seed", range(2))
def test_plain_rows_are_read_as_careful_reading_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Fifty tables with a few signs changed: the same rows, or the same error, with the fast way and without."""
    rng, outcomes = random.Random(seed), []  # noqa: S311 - nothing secret
    tables = []
    for _ in range(50):
        text = list("\n".join(ROWS * 2) + "\n")
        for _ in range(rng.randint(1, 2)):
            text[rng.randrange(len(text))] = rng.choice(["", *'0159.,-+e" \r\n\tNx', ",,", "\r\n", "0x1", "nan"])
        tables.append(HEADING + "".join(text))
    for block in (1, 30, 1_000_000):
        monkeypatch.setattr(plain, "BYTES_AT_ONCE", block)
        outcomes.append([outcome(write(tmp_path, table)) for table in tables])

    def handed_over(*_: object, skip: int, **__: object) -> Iterator[object]:
        yield from ()
        return skip  # type: ignore[return-value]

    monkeypatch.setattr(rows, "read_plain", handed_over)
    careful = [outcome(write(tmp_path, table)) for table in tables]
    assert outcomes == [careful] * 3
    assert 5 < sum("ratings.csv" in each for each in careful) < 45
