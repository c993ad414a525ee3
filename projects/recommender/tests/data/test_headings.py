"""Which column is which, by what people call it."""

from pathlib import Path

import pytest

from portfolio_shared.data.tables import FileError, open_table
from recommender.data.headings import RATING_COLUMNS, columns_of, meaning


@pytest.mark.parametrize(
    ("headings", "expected"),
    [
        ("userId,movieId,rating,timestamp", [0, 1, 2, 3]),
        ("timestamp,rating,movie_id,user_id", [3, 2, 1, 0]),
        (",User ID,item,Stars,unix_timestamp", [1, 2, 3, 4]),
        ("user;film;score;time;note", [0, 1, 2, 3]),
    ],
)
def test_known_spellings_are_read_in_any_order(tmp_path: Path, headings: str, expected: list[int]) -> None:
    (tmp_path / "ratings.csv").write_text(f"{headings}\n")
    with open_table(tmp_path / "ratings.csv", known=lambda heading: meaning(heading) in RATING_COLUMNS) as table:
        assert list(columns_of(table, RATING_COLUMNS).values()) == expected


@pytest.mark.parametrize(
    ("headings", "message"),
    [
        ("userId,movieId,raiting,timestamp", r"no column rating; found .*; rename 'raiting' if that is it"),
        (
            "userId,movieId,rating",
            "no column timestamp .seconds since 1970, or dates.: the last ratings of each person",
        ),
        ("user_id,item_id,movie_id,rating,timestamp", "item_id and movie_id are both taken for movieId"),
        ("1,31,2.5,1260759144", "no column userId; found 1, 31, 2.5, 1260759144"),
    ],
)
def test_a_column_that_is_missing_or_there_twice_is_named(tmp_path: Path, headings: str, message: str) -> None:
    (tmp_path / "ratings.csv").write_text(f"{headings}\n")
    with open_table(tmp_path / "ratings.csv") as table, pytest.raises(FileError, match=message):
        columns_of(table, RATING_COLUMNS)
