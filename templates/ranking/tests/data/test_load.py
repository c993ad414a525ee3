"""What is read of a table, what is left out and counted, and who is tested on what."""

import gzip
from collections.abc import Callable

import pytest

from new_project.data.cut_sample import cut_sample
from new_project.data.load import load, split
from portfolio_shared.data.checks import DataError

Write = Callable[[str], str]


def rows(users: int, items: int) -> str:
    """Return a table in which each user chose all items, one after the other."""
    lines = [f"u{user},i{item:02},{item}" for user in range(users) for item in range(items)]
    return "\n".join(["userId,movieId,timestamp", *lines])


def test_columns_are_found_by_many_names_and_what_is_left_out_is_counted(events: Write) -> None:
    text = (
        "Customer ID;Product;Stars;Date;Name\na;x;5;2020-01-02;X\na;y;4;2020-01-01;Y\nb;x;1;1;X\na;y;5;2021-01-01;Y\n"
    )
    data = load(events(text + "a;;5;3;Z\na;z;5;never;Z\na;z\na;w;n/a;5;W\na;v;;5;V\n"))

    assert [item.title for item in data.items] == ["X", "Y"]
    assert [part.tolist() for part in data.events.histories()] == [[0, 1]]
    assert data.report.excluded == {
        "row of another width than the heading": 1,
        "no user or no item": 1,
        "rating that is no number": 2,
        "rating below 3, the middle of the scale": 1,
        "time that is neither a number nor a date": 1,
        "chosen again later by the same user": 1,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("who,what\na,b\n", "no column of users and items; expected user and item, found who, what"),
        ("user,item\n,\n", "no row is left"),
        ("user,item,stars\na,b,good\na,c,bad\na,d,5\n", "2 of 3 ratings are no numbers, such as 'good'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(events: Write, text: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        load(events(text))


def test_the_last_of_each_user_are_the_test_and_few_events_are_no_test(events: Write) -> None:
    parts = split(load(events(rows(2, 10) + "\nu9,i00,1")))

    assert [part.tolist() for part in parts.test.histories()] == [[8, 9], [8, 9], []]
    assert [part.tolist() for part in parts.validation.histories()] == [[6, 7], [6, 7], []]
    assert len(parts.before_test) == len(parts.train) + len(parts.validation) == 17
    assert parts.excluded == {"users with too few events to be tested": 1}


def test_too_few_people_to_test_are_an_error(events: Write) -> None:
    with pytest.raises(DataError, match="1 users can be tested"):
        split(load(events(rows(1, 10))))


def test_a_sample_of_data_is_read_as_they_are(events: Write, tmp_path) -> None:
    source = events(rows(3, 10))
    target = cut_sample(tmp_path / "events.csv", tmp_path / "cut.csv.gz")

    assert gzip.decompress(target.read_bytes()).startswith(b"user,item,time\n")
    assert load(str(target)).sha256 == load(source).sha256
