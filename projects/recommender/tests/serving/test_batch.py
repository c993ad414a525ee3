import csv

import pytest

from portfolio_shared.data.tables import FileError
from portfolio_shared.serving.batch import BatchResult
from recommender.serving.batch import predict_file
from recommender.serving.history_text import parse_history


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
        assert row["films"] == answer.film_ids
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
    assert errors[3] == errors[4] == "the row has more or fewer cells than the heading"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "expected a heading with the column history"), ("films\n1\n", "films"), ("history,error\n1,2\n", "error")],
)
def test_a_file_that_cannot_be_answered_leaves_nothing(predictor, tmp_path, text, message):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text)
    target.write_text("of last week")
    with pytest.raises(FileError, match=message):
        predict_file(source, target, predictor)
    assert target.read_text() == "of last week"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]
