"""Which files are meant, and that no row is read otherwise than it is written: each failure names its file and line."""

import gzip
from pathlib import Path

import pytest

from portfolio_shared.data.checks import DataError
from recommender.data import files as module
from recommender.data.files import find_files
from recommender.data.load import load

FILMS = 'movieId,title,genres\n1,Toy Story (1995),Animation\n7,"American President, The (1995)",Drama\n'
HEADING = "userId,movieId,rating,timestamp\n"
ROWS = ["5,7,4.5,100", "5,1,3.5,90", "9,1,5.0,80"]
READ = [(5, 1, 3.5, 90), (5, 7, 4.5, 100), (9, 1, 5.0, 80)]


def write(folder: Path, ratings: str | bytes = HEADING + "\n".join(ROWS) + "\n", films: str | bytes = FILMS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("ratings.csv", ratings), ("movies.csv", films)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def rows_of(folder: Path) -> list[tuple[int, int, float, int]]:
    data = load(str(folder))
    ratings, films = data.ratings, data.catalogue.films
    numbers = zip(ratings.users, ratings.items, ratings.values.tolist(), ratings.times.tolist(), strict=True)
    return [(int(data.user_ids[user]), films[item].id, stars, time) for user, item, stars, time in numbers]


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
    monkeypatch.setattr(module, "ROWS_AT_ONCE", at_once)
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


@pytest.mark.parametrize(
    ("films", "message"),
    [
        (FILMS + "8,Matrix, The (1999),Action\n", "line 4 has 4 cells, expected 3; .* in quotation marks"),
        (FILMS + "8,Heat (1995)\n", "line 4 has 2 cells, expected 3"),
        (FILMS + "x,Heat (1995),Action\n", "line 4: the id of a film is 'x'; expected a whole number from 1"),
        (FILMS + "0,Heat (1995),Action\n", "line 4: the id of a film is '0'"),
        ("movieId,title\n1,Heat (1995)\n", "no column genres; found movieId, title"),
        ("movieId,titel,genres\n", "no column title; .*rename 'titel'"),
        ("movieId,title,title,genres\n", "more than once: title"),
        (FILMS.encode() + "8,Amélie (2001),Drama\n".encode("cp1252"), "movies.csv, line 4: byte 0xe9 is no UTF-8"),
        (b"PK\x03\x04rest", "a workbook of Excel"),
    ],
)
def test_a_wrong_film_is_named(tmp_path: Path, films: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(str(write(tmp_path, films=films)))


@pytest.mark.parametrize(
    "content",
    [b"1::M\x85nage (1995)::Drama\r\n7::x::Drama\n", "\ufeff1::M\x85nage (1995)::Drama\n7::x\u2028::Drama".encode()],
)
def test_a_line_of_films_ends_where_an_editor_ends_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ratings.dat").write_text("\n".join(ROWS).replace(",", "::"))
    (tmp_path / "movies.dat").write_bytes(content)
    assert rows_of(tmp_path) == READ
    assert find_files(tmp_path).out_of_ten is False


def test_a_broken_film_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("5::7::4::100\n")
    (tmp_path / "movies.dat").write_text("1::Toy Story (1995)\n")
    with pytest.raises(DataError, match="line 1: expected id::title::genres"):
        load(str(tmp_path))


def test_no_ratings_are_an_error_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ratings\.csv: no ratings below the heading"):
        load(str(write(tmp_path, HEADING)))


def test_one_folder_below_is_found_with_other_names_and_packed(tmp_path: Path) -> None:
    folder = write(tmp_path / "a" / "b")
    (folder / "ratings.csv").rename(folder / "Rating.csv")
    (folder / "movies.csv").rename(folder / "movie.csv")
    write(tmp_path / "__MACOSX" / "a")
    assert find_files(tmp_path).ratings == folder / "Rating.csv"
    assert rows_of(tmp_path) == READ
    packed = gzip.compress((folder / "movie.csv").read_bytes())
    (folder / "movie.csv").unlink()
    (folder / "movies.csv.gz").write_bytes(packed)
    assert rows_of(tmp_path) == READ


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("old/ratings.csv", "more than one file of ratings: old/ratings.csv, ratings.csv; keep one"),
        ("old/movies.csv", "more than one file of films: movies.csv, old/movies.csv"),
        ("ratings.dat", "more than one file of ratings: ratings.csv, ratings.dat"),
        ("ratings.csv.gz", "more than one file of ratings"),
    ],
)
def test_two_that_could_be_meant_are_refused_by_name(tmp_path: Path, more: str, message: str) -> None:
    write(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / more).write_text("")
    with pytest.raises(DataError, match=message):
        find_files(tmp_path)


def test_ratings_and_films_lie_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (write(tmp_path) / "movies.csv").rename(tmp_path / "old" / "movies.csv")
    with pytest.raises(DataError, match=r"in one folder; found ratings\.csv, old/movies\.csv"):
        find_files(tmp_path)


def test_a_folder_without_the_files_is_refused_by_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "ratings.xlsx").write_text("")
    with pytest.raises(DataError, match=r"expected ratings\.csv and movies\.csv.*; found ratings\.xlsx"):
        find_files(tmp_path)
