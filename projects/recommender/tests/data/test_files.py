"""Which files are meant, and that no film is read otherwise than it is written: failures name file and line."""

import gzip
from pathlib import Path

import pytest
from rating_files import FILMS, READ, ROWS, rows_of, write

from portfolio_shared.data.checks import DataError
from recommender.data.files import find_files
from recommender.data.load import load


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
