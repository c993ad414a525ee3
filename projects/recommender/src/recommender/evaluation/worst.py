"""The most confident miss: of the people for whom no film of the list was right, the one that was promised most."""

from dataclasses import dataclass

import numpy as np

from recommender.evaluation.evaluate import Evaluation
from recommender.models.prediction import Prediction, Seen
from recommender.models.predictor import Predictor

SHOWN = 5  # last films of the history, and first films that came next


@dataclass(frozen=True)
class Miss:
    """A list without a hit, and what came instead.

    Attributes
    ----------
    misses, users
        How many people got such a list, of how many.
    promised
        Sum of the chances of the list: the films of it that were expected to be watched.
    history
        The last films before the test, oldest first; `films` of them there are in all.
    recommended
        Title, chance, and the film of the history that added most.
    watched
        The first films that came next: title, how many people had rated it, and its place among all films that can be
        recommended, None for a film that too few people rated.
    best_place
        The best place of any hidden film, None where none can be recommended.
    """

    misses: int
    users: int
    promised: float
    films: int
    history: list[str]
    recommended: list[tuple[str, float, str]]
    watched: list[tuple[str, int, int | None]]
    best_place: int | None


def most_confident_miss(predictor: Predictor, evaluation: Evaluation) -> Miss:
    """Ask the predictor again for everybody without a hit, and return the list that promised most.

    Raises
    ------
    ValueError
        If every list has a hit.
    """
    task, k, films = evaluation.task, evaluation.k, evaluation.task.catalogue.films
    missed = task.users[evaluation.per_user["hit_rate"] == 0]
    if not len(missed):
        raise ValueError("every list has a hit: there is no miss to show")
    histories = {user: _history(evaluation, user) for user in missed.tolist()}
    promised = dict(zip(histories, map(_promised, predictor.predict(list(histories.values()), k=k)), strict=True))
    user = max(promised, key=lambda each: promised[each])
    history, answer = histories[user], predictor.recommend(histories[user], k=len(films))
    place = {each.film.id: number for number, each in enumerate(answer.recommendations, 1)}
    rows = task.hidden.users == user
    hidden = [films[item] for item in task.hidden.items[rows].tolist()]
    places = [place[film.id] for film in hidden if film.id in place]
    title = {film.id: _title(film.name, film.year) for film in films}
    return Miss(
        misses=len(missed),
        users=len(task.users),
        promised=promised[user],
        films=len(history),
        history=[title[seen.film_id] for seen in history[-SHOWN:]],
        recommended=[
            (title[each.film.id], float(each.chance or np.nan), title[each.reasons[0].film.id])
            for each in answer.recommendations[:k]
        ],
        watched=[(title[film.id], film.n_ratings, place.get(film.id)) for film in hidden[:SHOWN]],
        best_place=min(places, default=None),
    )


def _history(evaluation: Evaluation, user: int) -> list[Seen]:
    films, (items, stars) = evaluation.task.catalogue.films, evaluation.task.history(user)
    return [Seen(films[item].id, value) for item, value in zip(items.tolist(), stars.tolist(), strict=True)]


def _promised(prediction: Prediction) -> float:
    return sum(each.chance or 0.0 for each in prediction.recommendations)


def _title(name: str, year: int | None) -> str:
    return f"{name} ({year})" if year else name
