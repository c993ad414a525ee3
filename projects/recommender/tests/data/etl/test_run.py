"""The ETL says the same of the same files as the reader in memory, runs what changed, and survives being killed."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from portfolio_shared.data.checks import DataError
from recommender.data.etl.duckdb_engine import DuckDBEngine
from recommender.data.etl.manifest import Manifest
from recommender.data.etl.run import REASONS, UNREADABLE, run_etl
from recommender.data.load import Dataset, load, split

FILMS = [(1, "Toy Story (1995)", "Animation|Children"), (7, "Étoile, L' (1990)", ""), (9, "No Year", "Drama")]
Etl = Callable[..., tuple[Manifest, list[str]]]
Check = Callable[[Dataset, Dataset], None]


def dirty(seed: int, n: int = 400) -> list[tuple[str, str, str, str]]:
    """Return ratings of few people and films: many pairs twice, many of one second, some off the scale or unlisted."""
    rng = np.random.default_rng(seed)
    stars = ["0.5", "1", "2.0", "3.5", "4", "5", "5.0", "0", "5.5", "-1", ""]
    return [
        (str(user), str(film), stars[star], str(time))
        for user, film, star, time in zip(
            rng.integers(1, 12, n) * 1001,
            rng.choice([1, 7, 9, 9, 99], n),
            rng.integers(0, len(stars), n),
            rng.integers(0, 40, n),
            strict=True,
        )
    ]


def write_table(
    folder: Path,
    rows: list[tuple[str, ...]],
    *,
    separator: str = ",",
    form: str = "{}",
    bytes_of: Callable[[str], bytes] = str.encode,
    name: str = "ratings.csv",
) -> Path:
    folder.mkdir()
    films = "".join(f'{film},"{title}",{genres}\n' for film, title, genres in FILMS)
    (folder / "movies.csv").write_text(f"movieId,title,genres\n{films}", encoding="utf-8")
    lines = [separator.join(map(form.format, row)) for row in [("userId", "movieId", "rating", "timestamp"), *rows]]
    (folder / name).write_bytes(bytes_of("\r\n".join([*lines, ""])))
    return folder


def plain(folder: Path) -> Path:
    return write_table(folder, dirty(0))


def blank_lines_and_a_column_more(folder: Path) -> Path:
    rows = [("userId", "tag", "movieId", "rating", "timestamp")]
    rows += [(user, "x y", film, stars, time) for user, film, stars, time in dirty(1)]
    write_table(folder, [])
    (folder / "ratings.csv").write_text("\n" + "\n\n".join(",".join(row) for row in rows) + "\n")
    return folder


def decimal_commas(folder: Path) -> Path:
    return write_table(
        folder, [(user, film, stars.replace(".", ","), time) for user, film, stars, time in dirty(3)], separator=";"
    )


def a_separator_named_above(folder: Path) -> Path:
    return write_table(folder, dirty(4), separator=";", bytes_of=lambda text: f"sep=;\r\n{text}".encode())


def quoted_dates(folder: Path) -> Path:
    rows = [(*row, f"2005-04-02 23:53:{int(time):02}") for *row, time in dirty(5)]
    return write_table(folder, rows, form='"{}"')


def packed(folder: Path) -> Path:
    return write_table(folder, dirty(6), bytes_of=lambda text: gzip.compress(text.encode()), name="ratings.csv.gz")


def packed_in_secret(folder: Path) -> Path:
    return write_table(folder, dirty(7), bytes_of=lambda text: gzip.compress(text.encode()))


def utf_16(folder: Path) -> Path:
    return write_table(folder, dirty(8), separator="\t", bytes_of=lambda text: text.encode("utf-16"))


def byte_order_mark(folder: Path) -> Path:
    return write_table(folder, dirty(9), bytes_of=lambda text: text.encode("utf-8-sig"))


def movielens_1m(folder: Path) -> Path:
    folder.mkdir()
    films = "".join(f"{film}::{title}::{genres}\n" for film, title, genres in FILMS)
    (folder / "movies.dat").write_bytes(films.encode("latin-1"))
    (folder / "ratings.dat").write_text("".join("::".join(row) + "\n" for row in dirty(10)))
    return folder


def movietweetings(folder: Path) -> Path:
    folder.mkdir()
    films = "".join(f"{film + 1_000_000:07}::{title}::{genres}\n" for film, title, genres in FILMS)
    (folder / "movies.dat").write_text(films, encoding="utf-8")
    whole = [
        (user, f"{int(film) + 1_000_000}", str(len(stars) + 4 * (int(time) % 3)), time)
        for user, film, stars, time in dirty(11)
    ]
    (folder / "ratings.dat").write_text("".join("::".join(row) + "\n" for row in whole))
    return folder


def movielens_100k(folder: Path) -> Path:
    folder.mkdir()
    films = [
        f"{film}|{title}|01-Jan-1995||http://x|" + "|".join("01"[film % 19 == place] for place in range(19))
        for film, title, _ in FILMS
    ]
    (folder / "u.item").write_bytes("\n".join(films).encode("latin-1"))
    (folder / "u.data").write_text("".join("\t".join(row) + "\n" for row in dirty(12)))
    return folder


FORMATS = [
    plain,
    blank_lines_and_a_column_more,
    decimal_commas,
    a_separator_named_above,
    quoted_dates,
    packed,
    packed_in_secret,
    utf_16,
    byte_order_mark,
    movielens_1m,
    movietweetings,
    movielens_100k,
]


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_the_folder_holds_what_the_reader_reads(
    check_equal: Check, etl: Etl, tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    source = write(tmp_path / "source")
    etl(source, tmp_path / "out")
    read = load(str(source))
    assert min(read.report.excluded.values()) > 0, "a test without dirt would show nothing"
    check_equal(load(str(tmp_path / "out")), read)


@pytest.mark.long
def test_the_sample_has_the_same_hash_split_people_and_counts(check_equal: Check, etl: Etl, tmp_path: Path) -> None:
    read, out = load("sample"), tmp_path / "out"
    etl(read.source.path, out)
    check_equal(load(str(out)), read)
    check_tables(out, read)
    run_etl(read.source, out, DuckDBEngine(memory_limit="500MB", temp=tmp_path / "temp"), most_unreadable=0.0)
    assert load(str(out)).source.kind == "sample"  # a model of it is one of the sample to the gate


@pytest.mark.real_data
def test_latest_small_has_the_same_hash_split_people_and_counts(
    check_equal: Check, etl: Etl, tmp_path: Path, latest_small: Dataset
) -> None:
    etl(latest_small.source.path, tmp_path / "out")
    check_equal(load(str(tmp_path / "out")), latest_small)
    check_tables(tmp_path / "out", latest_small)


def check_tables(folder: Path, data: Dataset) -> None:
    """Compare parts, people and counts with `split_by_user_time`."""
    parts, ratings = split(data), data.ratings
    table = pq.read_table(folder / "ratings")
    part = table["part"].to_numpy()
    for number, expected in enumerate((parts.train, parts.validation, parts.test)):
        kept = ratings.where(part == number)
        assert np.array_equal(kept.users, expected.users)
        assert np.array_equal(kept.items, expected.items)
        assert np.array_equal(kept.times, expected.times)
    people = pq.read_table(folder / "people")
    assert people["user_id"].to_pylist() == data.user_ids.tolist()
    for name, of in {
        "n_ratings": ratings,
        "n_train": parts.train,
        "n_validation": parts.validation,
        "n_test": parts.test,
    }.items():
        assert people[name].to_pylist() == of.user_counts().tolist()
    counts = pq.read_table(folder / "counts")
    assert counts["film_id"].to_pylist() == [film.id for film in data.catalogue.films]
    for name, of in {"n_ratings": ratings, "n_train": parts.train, "n_before_test": parts.before_test}.items():
        assert counts[name].to_pylist() == of.item_counts().tolist()


BROKEN = [
    "x,7,4.0,1",
    "5,7.0,4.0,2",
    "5,7,4.0,2005-04-02",
    "5,7,four,3",
    "5,7,4.0",
    "5,7,4.0,4,9",
    "5,7,4.0,4,,",
    "99999999999,7,4.0,5",
    "1_000,7,4.0,6",
    "0x10,7,4.0,7",
    ",7,4.0,8",
    "5,7,4f,9",
    "5,7,1e400000,1e3",
    "5;7;4.0;10",
]


def test_what_is_no_rating_goes_into_quarantine_as_it_stands(etl: Etl, tmp_path: Path) -> None:
    source, good = plain(tmp_path / "source"), dirty(0)
    with (source / "ratings.csv").open("a", newline="") as stream:
        stream.write("\r\n".join([*BROKEN, ""]))
    manifest, _ = etl(source, tmp_path / "out")
    read = load(str(plain(tmp_path / "clean")))
    stored = load(str(tmp_path / "out"))
    assert stored.sha256 == read.sha256
    assert manifest.rows_read == len(good) + len(BROKEN)
    assert manifest.excluded == {UNREADABLE: len(BROKEN), **read.report.excluded}
    assert stored.report.rows_kept == read.report.rows_kept
    quarantine = pq.read_table(tmp_path / "out" / "quarantine").to_pylist()
    assert [row["line"] for row in quarantine if row["reason"] == UNREADABLE] == BROKEN
    assert {row["reason"] for row in quarantine} == {UNREADABLE, *REASONS}
    lines = [row["line"] for row in quarantine if row["reason"] == REASONS[0]]
    assert lines == [",".join(row) for row in good if row[2] in ("0", "5.5", "-1", "")]


def test_of_two_ratings_of_one_second_the_later_line_counts(etl: Etl, tmp_path: Path) -> None:
    write_table(
        tmp_path / "source", [("5", "1", "1", "9"), ("5", "1", "2", "9"), ("5", "1", "3", "8"), ("5", "7", "4", "9")]
    )
    etl(tmp_path / "source", tmp_path / "out")
    ratings = load(str(tmp_path / "out")).ratings
    assert ratings.values.tolist() == [2.0, 4.0]
    left_out = pq.read_table(tmp_path / "out" / "quarantine")
    assert sorted(left_out["stars"].to_pylist()) == [1.0, 3.0]


def test_stars_are_those_of_the_scale_that_the_ids_of_the_films_tell(etl: Etl, tmp_path: Path) -> None:
    """Without their zeros the ids are the same numbers, but no longer those of IMDb."""
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / "ratings.dat").write_text("5::1::4::1\n5::2::3::2\n")
    for zeros, stars in (("000000", [2.0, 1.5]), ("", [4.0, 3.0])):
        (source / "movies.dat").write_text(f"{zeros}1::One (2001)::Drama\n{zeros}2::Two (2002)::Drama\n")
        etl(source, out)
        assert load(str(out)).ratings.values.tolist() == load(str(source)).ratings.values.tolist() == stars


def test_a_file_of_another_format_is_refused_and_nothing_is_there(etl: Etl, tmp_path: Path) -> None:
    source = plain(tmp_path / "source")
    with (source / "ratings.csv").open("a", newline="") as stream:
        stream.write("a,b,c,d\r\n")
    with pytest.raises(DataError, match=r"1 of 401 rows are no ratings.*'a,b,c,d'"):
        etl(source, tmp_path / "out", most_unreadable=0.001)
    assert not (tmp_path / "out").exists()
    write_table(tmp_path / "unlisted", [("5", "99", "4", "1")])
    with pytest.raises(DataError, match="none of 1 rows can be used"):
        etl(tmp_path / "unlisted", tmp_path / "out")


def test_a_folder_of_something_else_is_left_alone(etl: Etl, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not written by"):
        etl(plain(tmp_path / "source"), tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
