import csv
from itertools import pairwise

import pytest

from portfolio_shared.data.tables import FileError
from portfolio_shared.serving.batch import BatchResult
from recommender.models.prediction import Seen
from recommender.serving.app import answers_to
from recommender.serving.batch import predict_file
from recommender.serving.history_text import parse_history
from recommender.serving.schemas import Options


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def popular(predictor) -> list[int]:
    films = sorted(predictor.catalogue.films, key=lambda film: -film.n_ratings)
    return [film.id for film in films[:6]]


def test_a_file_gets_what_the_predictor_says(predictor, popular, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    histories = [f"{popular[0]}:4.5 {popular[1]}", f"[{popular[2]}]", "", f"999999999 {popular[3]}"]
    with source.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["who", "history"], *([f"user {i}", text] for i, text in enumerate(histories))])
    seen = []
    result = predict_file(source, target, predictor, k=4, advance=seen.append)
    assert result == BatchResult(4, 0)
    assert sum(seen) == 4
    rows = rows_of(target)
    assert [row["who"] for row in rows] == [f"user {i}" for i in range(4)]
    for row, text in zip(rows, histories, strict=True):
        answer = predictor.recommend(parse_history(text), k=4)
        assert row["films"] == " ".join(map(str, answer.ids))
        assert row["basis"] == answer.basis
        assert row["error"] == ""
    assert [row["basis"] for row in rows] == ["history", "history", "popularity", "history"]
    assert rows[3]["unknown"] == "999999999"


def test_rows_without_an_answer_say_why_and_none_is_lost(predictor, popular, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    good = str(popular[0])
    source.write_text(f"history,note\n{good},a\nx,b\n{good} {popular[1]} {popular[2]},c\n{good}\n{good},d,e\n")
    assert predict_file(source, target, predictor, max_history=2) == BatchResult(1, 4)
    rows = rows_of(target)
    assert [bool(row["films"]) for row in rows] == [True, False, False, False, False]
    errors = [row["error"] for row in rows]
    assert "found 'x'" in errors[1]
    assert errors[2] == "the history has 3 films, and at most 2 are read"
    assert errors[3:] == ["line 5 has 1 cells, expected 2", "line 6 has 3 cells, expected 2; left over: 'e'"]


def test_a_history_that_is_none_refuses_its_row_and_the_others_are_answered(predictor, popular, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    bad = [" ".join(f"{i}:4.5" for i in range(1, 33_333)), "9" * 5000, f"[{'9' * 5000}]", "[" * 30_000 + "]" * 30_000]
    bad += ['{"a":' * 1000, "1:NaN", "[true]", str(2**63)]
    with source.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["history"], *([text] for text in bad for text in (text, str(popular[0])))])
    assert predict_file(source, target, predictor, k=3) == BatchResult(len(bad), len(bad))
    errors = [row["error"] for row in rows_of(target)]
    assert errors[0] == "the history has 33332 films, and at most 500 are read"
    assert all(errors[::2])
    assert not any(errors[1::2])


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "who;history\nJosé;{0}:4,5 {1}\n"),
        ("utf-8-sig", "who,history\r\nJosé,{0}:4.5 {1}\r\n"),
        ("utf-16", "who\thistory\nJosé\t{0}:4.5 {1}\n"),
        ("utf-8", "sep=|\nHistory|who\n[{0}:4.5 {1}]|José\n"),
    ],
)
def test_however_the_table_is_written_the_answer_is_the_same(predictor, popular, tmp_path, encoding, text):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text.format(*popular), encoding=encoding, newline="")
    assert predict_file(source, target, predictor) == BatchResult(1, 0)
    (row,) = rows_of(target)
    assert row["who"] == "José"
    answer = predictor.recommend([Seen(popular[0], 4.5), Seen(popular[1])])
    assert row["films"] == " ".join(map(str, answer.ids))


def test_many_rows_are_answered_as_each_would_be_by_the_api(predictor, sample, tmp_path):
    """300 histories: rated, disliked, unrated, of unknown films alone, empty."""
    films, ratings, offsets = sample.catalogue.films, sample.ratings, sample.ratings.offsets()
    histories = [
        [
            Seen(films[item].id, float(stars))
            for item, stars in zip(ratings.items[rows], ratings.values[rows], strict=True)
        ]
        for rows in (slice(start, min(end, start + 60)) for start, end in pairwise(offsets.tolist()))
    ]
    histories[::7] = [[Seen(seen.film_id) for seen in history] for history in histories[::7]]
    histories[::11] = [[Seen(seen.film_id, 0.5) for seen in history] for history in histories[::11]]
    histories[::50], histories[3::50] = [[]] * len(histories[::50]), [[Seen(1), Seen(2)]] * len(histories[3::50])
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = [
        " ".join(f"{s.film_id}:{s.stars}" if s.stars else str(s.film_id) for s in history) for history in histories
    ]
    source.write_text("history,n\n" + "".join(f"{line},{n}\n" for n, line in enumerate(lines)), encoding="utf-8")
    assert predict_file(source, target, predictor) == BatchResult(len(histories), 0)
    options = Options()
    for row, history in zip(rows_of(target), histories, strict=True):
        (answer,) = answers_to(predictor, [history], options)
        assert row["films"] == " ".join(map(str, answer.recommendations))
        assert row["unknown"] == " ".join(map(str, answer.unknown))
        assert (row["basis"] == "popularity") == answer.popular


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("films\n1\n", "expected a heading with the column history, found films"),
        ("who,histroy\n1,2\n", "rename 'histroy' if that is it"),
        ("history,History\n1,2\n", "expected one column history, found history, History"),
        ("id,history,id\n1,2,3\n", "line 1: headings that occur more than once: id"),
        ("history,error\n1,2\n", "rename the columns error"),
    ],
)
def test_a_file_that_cannot_be_answered_leaves_nothing(predictor, tmp_path, text, message):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text)
    target.write_text("of last week")
    with pytest.raises(FileError, match=message):
        predict_file(source, target, predictor)
    assert target.read_text() == "of last week"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]
