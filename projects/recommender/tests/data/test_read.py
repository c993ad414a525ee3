"""Three formats, the same ratings; every defect counted, none hidden."""

from pathlib import Path

import numpy as np
import pytest

from portfolio_shared.data.checks import DataError
from recommender.data.load import Dataset, load

FLAGS = ["0"] * 19
CSV_FILMS = (
    'movieId,title,genres\r\n1,Toy Story (1995),Animation|Children\r\n7,"Étoile, L\' (1990)",(no genres listed)\r\n'
)
CSV_RATINGS = "userId,movieId,rating,timestamp\r\n5,7,4.0,100\r\n5,1,3.5,90\r\n9,1,5.0,80\r\n"


def write_csv(folder: Path, *, films: str = CSV_FILMS, ratings: str = CSV_RATINGS) -> Path:
    (folder / "movies.csv").write_text(films, encoding="utf-8", newline="")
    (folder / "ratings.csv").write_text(ratings, encoding="utf-8", newline="")
    return folder


def write_dat(folder: Path, encoding: str) -> Path:
    films = "1::Toy Story (1995)::Animation|Children's\n7::Étoile, L' (1990)::\n"
    (folder / "movies.dat").write_bytes(films.encode(encoding))
    (folder / "ratings.dat").write_text("5::7::4::100\n5::1::3.5::90\n9::1::5::80\n")
    return folder


def write_tab(folder: Path) -> Path:
    toy, star = FLAGS.copy(), FLAGS.copy()
    toy[3] = toy[4] = star[0] = "1"
    lines = ["|".join(["1", "Toy Story (1995)", "01-Jan-1995", "", "http://x", *toy])]
    lines.append("|".join(["7", "Étoile, L' (1990)", "", "", "", *star]))
    (folder / "u.item").write_bytes("\n".join(lines).encode("latin-1"))
    (folder / "u.data").write_text("5\t7\t4\t100\n5\t1\t3.5\t90\n9\t1\t5\t80\n")
    return folder


def check(data: Dataset) -> None:
    first, second = data.catalogue.films
    assert (first.id, first.name, first.year, first.genres, first.n_ratings) == (
        1,
        "Toy Story",
        1995,
        ("Animation", "Children"),
        2,
    )
    assert (second.id, second.name, second.year, second.genres) == (7, "L'Étoile", 1990, ())
    assert data.user_ids.tolist() == [5, 9]
    ratings = data.ratings
    assert list(zip(ratings.users, ratings.items, ratings.values, ratings.times, strict=True)) == [
        (0, 0, 3.5, 90),
        (0, 1, 4.0, 100),
        (1, 0, 5.0, 80),
    ]
    assert (data.report.rows_read, data.report.rows_kept) == (3, 3)


def test_csv(tmp_path: Path) -> None:
    check(load(str(write_csv(tmp_path))))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_double_colons(tmp_path: Path, encoding: str) -> None:
    check(load(str(write_dat(tmp_path, encoding))))


def test_tabs_and_bars(tmp_path: Path) -> None:
    check(load(str(write_tab(tmp_path))))


def test_defects_are_excluded_by_their_reason(tmp_path: Path) -> None:
    rows = "5,1,5.5,1\r\n5,1,0,2\r\n5,1,,3\r\n5,99,4.0,4\r\n5,7,2.0,200\r\n"
    data = load(str(write_csv(tmp_path, ratings=CSV_RATINGS + rows)))
    assert data.report.rows_read == 8
    assert data.report.excluded == {
        "rating outside 0.5 to 5.0 stars": 3,
        "rating of a film that the list of films does not have": 1,
        "rating that the user replaced by a later one of the same film": 1,
    }
    assert data.report.rows_kept == len(data.ratings) == 3
    assert data.ratings.values.tolist() == [3.5, 2.0, 5.0]


def test_films_of_one_title_stay_apart_and_are_counted(tmp_path: Path) -> None:
    films = CSV_FILMS + "8,Toy Story (1995),Horror\r\n9,No Year,Drama\r\n"
    data = load(str(write_csv(tmp_path, films=films)))
    assert [film.id for film in data.catalogue.films] == [1, 7, 8, 9]
    notes = "\n".join(data.report.notes)
    assert "1 titles belong to more than one film" in notes
    assert "1 films have no year" in notes
    assert "2 of 4 films have no rating" in notes


@pytest.mark.parametrize(
    ("films", "ratings", "message"),
    [
        (CSV_FILMS, "userId,movieId,rating,timestamp\nx,1,4.0,1\n", "invalid literal|Unable to parse|x"),
        (CSV_FILMS, "user,movie,rating,timestamp\n1,1,4.0,1\n", "userId"),
        (CSV_FILMS, "userId,movieId,rating,timestamp\n1,99,4.0,1\n", "none of 1 rows can be used"),
        ("movieId,name\n1,x\n", CSV_RATINGS, "line 2: expected movieId,title,genres"),
        ("movieId,title,genres\nA,x,y\n", CSV_RATINGS, "'A'"),
        (CSV_FILMS + "1,Again (1990),Drama\r\n", CSV_RATINGS, "each id once"),
        ("movieId,title,genres\n", CSV_RATINGS, "needs films"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, films: str, ratings: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(str(write_csv(tmp_path, films=films, ratings=ratings)))


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no MovieLens folder: expected ratings\.csv and movies\.csv"):
        load(str(tmp_path))


def test_a_broken_film_line_is_named(tmp_path: Path) -> None:
    write_dat(tmp_path, "utf-8")
    (tmp_path / "movies.dat").write_text("1::Toy Story (1995)\n")
    with pytest.raises(DataError, match="line 1: expected id::title::genres"):
        load(str(tmp_path))


def test_pieces_make_the_same_whole(tmp_path: Path, sample: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    from recommender.data import read as module
    from recommender.data.sample import write_sample

    monkeypatch.setattr(module, "ROWS_AT_ONCE", 1_000)
    again = load(str(write_sample(tmp_path / "sample")))
    np.testing.assert_array_equal(again.ratings.items, sample.ratings.items)
    assert again.report.excluded == sample.report.excluded
