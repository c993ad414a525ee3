"""What the file that MLflow runs makes of a table; test_project_mlflow.py tests for all projects that it runs."""

import math

import pandas as pd
import pytest

from recommender.models.prediction import Seen

pytestmark = pytest.mark.slow


def films(learned, predictor, rows):
    return learned.adapter.predict(predictor, pd.DataFrame(rows))["films"].tolist()


def expected(predictor, history, k=10):
    return " ".join(str(each.film.id) for each in predictor.recommend(history, k=k).recommendations)


@pytest.mark.long
def test_every_history_gets_the_films_of_the_predictor(learned, predictor):
    ids = [film.id for film in predictor.catalogue.films]
    assert films(learned, predictor, [{"history": f"{ids[3]}:4.5 {ids[8]}", "k": 5.0}, {"history": "", "k": None}]) == [
        expected(predictor, [Seen(ids[3], 4.5), Seen(ids[8])], k=5),
        expected(predictor, []),
    ]
    assert films(learned, predictor, [{"history": f'[{ids[1]}, {{"film_id": {ids[2]}, "stars": 1}}]'}]) == [
        expected(predictor, [Seen(ids[1]), Seen(ids[2], 1.0)])
    ]


def test_a_row_that_is_refused_says_why_and_the_others_are_answered(learned, predictor):
    ids = [film.id for film in predictor.catalogue.films]
    rows = [
        *({"history": history, "k": 3.0} for history in (float(ids[3]), [ids[3]], "x", None, "9" * 5000, True)),
        *({"history": str(ids[3]), "k": k} for k in (2.5, 0.0, 3.0, math.inf, -math.inf)),
    ]
    answer = learned.adapter.predict(predictor, pd.DataFrame(rows, index=range(7, 7 + len(rows))))
    assert answer.columns.tolist() == ["films", "basis", "unknown", "error"]
    assert answer["error"].map(bool).tolist() == [False, False, True, False, True, True, True, True, False, True, True]
    assert answer["films"][[0, 1, 8]].tolist() == [expected(predictor, [Seen(ids[3])], k=3)] * 3
    assert answer["films"][3] == expected(predictor, [], k=3)
    assert answer["error"][6] == "k = 2.5: expected a whole number from 1 on"
    assert answer["error"][9] == "k = inf: expected a whole number from 1 on"
    mixed = pd.DataFrame({"history": [str(ids[3])] * 3, "k": ["ten", 3, 10**400]})
    assert learned.adapter.predict(predictor, mixed)["error"].map(bool).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="expected a column history, found films"):
        films(learned, predictor, [{"films": "1"}])
