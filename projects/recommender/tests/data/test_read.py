"""Four formats, the same ratings; every defect counted, none hidden."""

import zipfile
from collections.abc import Callable
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


def write_tweets(folder: Path, *, more: str = "") -> Path:
    films = "0114709::Toy Story (1995)::Animation|Children\n10199590::L'Étoile (1990)::\n"
    (folder / "movies.dat").write_text(films, encoding="utf-8")
    (folder / "ratings.dat").write_text(f"5::10199590::8::100\n5::0114709::7::90\n9::0114709::10::80\n{more}")
    return folder


def check(data: Dataset, ids: tuple[int, int] = (1, 7)) -> None:
    first, second = data.catalogue.films
    assert (first.id, first.name, first.year, first.genres, first.n_ratings) == (
        ids[0],
        "Toy Story",
        1995,
        ("Animation", "Children"),
        2,
    )
    assert (second.id, second.name, second.year, second.genres) == (ids[1], "L'Étoile", 1990, ())
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


def test_movietweetings_is_told_by_its_ids_and_halved(tmp_path: Path) -> None:
    data = load(str(write_tweets(tmp_path)))
    check(data, ids=(114709, 10199590))
    assert data.report.repaired == {"rating of 0 of 10, read as half a star": 0}
    assert any("Format: MovieTweetings" in note and "halved" in note for note in data.report.notes)
    # As in later snapshots: an id that somebody mistyped, which stays what it is.
    with (tmp_path / "movies.dat").open("a", encoding="utf-8") as stream:
        stream.write("0443::Hiawatha, the Messiah of the Ojibway (1903)::\n")
    again = load(str(tmp_path))
    assert [film.id for film in again.catalogue.films] == [443, 114709, 10199590]
    assert again.ratings.values.tolist() == data.ratings.values.tolist()


def test_no_rating_of_movietweetings_is_below_half_a_star_and_none_is_lost(tmp_path: Path) -> None:
    """0 of 10 stands in real rows; 11 and -1 do not, and are none of the scale."""
    more = "9::10199590::0::70\n10::0114709::11::60\n10::10199590::-1::50\n10::0114709::1::40\n"
    data = load(str(write_tweets(tmp_path, more=more)))
    assert data.report.repaired == {"rating of 0 of 10, read as half a star": 1}
    assert data.report.excluded["rating outside 0.5 to 5.0 stars"] == 2
    assert sorted(data.ratings.values.tolist()) == [0.5, 0.5, 3.5, 4.0, 5.0]


def test_movielens_1m_keeps_its_stars(tmp_path: Path) -> None:
    data = load(str(write_dat(tmp_path, "latin-1")))
    assert data.report.repaired == {}
    assert not any("MovieTweetings" in note for note in data.report.notes)


@pytest.mark.real_data
def test_the_whole_snapshot_is_read_too(real_data_dir: Path) -> None:
    folder = real_data_dir / "movietweetings-100k"
    if not folder.is_dir():
        pytest.skip(f"no snapshot of MovieTweetings in {real_data_dir}")
    data = load(str(folder))
    assert len(data.ratings) == 100_000
    assert data.report.repaired == {"rating of 0 of 10, read as half a star": 12}
    assert "66 films have no genre." in data.report.notes
    assert all(film.year for film in data.catalogue.films)


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
        (CSV_FILMS, "userId,movieId,rating,timestamp\n1,99,4.0,1\n", "none of 1 rows can be used"),
        (CSV_FILMS + "1,Again (1990),Drama\r\n", CSV_RATINGS, "movies.csv, line 4: .* expected each id once"),
        (CSV_FILMS + "2, (1990),Drama\r\n", CSV_RATINGS, "movies.csv, line 4: a title needs a name"),
        ("movieId,title,genres\n", CSV_RATINGS, "movies.csv: it has no films"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, films: str, ratings: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(str(write_csv(tmp_path, films=films, ratings=ratings)))


def test_what_is_wrong_in_an_archive_is_named_as_it_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as packed:
        packed.writestr("ml/movies.csv", CSV_FILMS)
        packed.writestr("ml/ratings.csv", CSV_RATINGS + "x,7,4.0,100\n")
    with pytest.raises(DataError, match=r"^mine\.zip/ratings\.csv, line 5: user is 'x'"):
        load("mine.zip")


def test_pieces_make_the_same_whole(
    tmp_path: Path, write_slice: Callable[[Path, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of real rows, with ratings off the scale, of no film and of a film rated twice, which they have not."""
    from recommender.data import plain, ratings

    folder = write_slice(tmp_path / "slice", 60)
    with (folder / "ratings.dat").open("a", encoding="utf-8") as stream:
        first, *_ = (folder / "ratings.dat").read_text(encoding="utf-8").splitlines()
        stream.write(f"{first[:-2]}99\n1::0000001::7::1\n{first.split('::')[0]}::{first.split('::')[1]}::12::1\n")
    whole = load(str(folder))
    assert list(whole.report.excluded.values()) == [1, 1, 1]
    monkeypatch.setattr(plain, "BYTES_AT_ONCE", 10_000)
    monkeypatch.setattr(ratings, "ROWS_AT_ONCE", 300)
    again = load(str(folder))
    np.testing.assert_array_equal(again.ratings.items, whole.ratings.items)
    assert again.report.as_dict() == whole.report.as_dict()
