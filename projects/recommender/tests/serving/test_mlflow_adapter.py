"""What the file that MLflow runs makes of a table; test_project_mlflow.py tests for all projects that it runs."""

import pandas as pd
import pytest

from recommender.models.predictor import Seen

pytestmark = pytest.mark.slow


def films(learned, predictor, rows):
    return learned.adapter.predict(predictor, pd.DataFrame(rows))["films"].tolist()


def expected(predictor, history, k=10):
    return " ".join(str(each.film.id) for each in predictor.recommend(history, k=k).recommendations)


def test_every_history_gets_the_films_of_the_predictor(learned, predictor):
    ids = [film.id for film in predictor.catalogue.films]
    assert films(learned, predictor, [{"history": f"{ids[3]}:4.5 {ids[8]}", "k": 5.0}, {"history": "", "k": None}]) == [
        expected(predictor, [Seen(ids[3], 4.5), Seen(ids[8])], k=5),
        expected(predictor, []),
    ]
    assert films(learned, predictor, [{"history": f'[{ids[1]}, {{"film_id": {ids[2]}, "stars": 1}}]'}]) == [
        expected(predictor, [Seen(ids[1]), Seen(ids[2], 1.0)])
    ]


def test_half_a_film_is_refused(learned, predictor):
    with pytest.raises(ValueError, match=r"k = 2\.5: expected a whole number"):
        films(learned, predictor, [{"history": "", "k": 2.5}])
