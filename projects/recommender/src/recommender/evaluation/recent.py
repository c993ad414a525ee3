"""Two models on what people of the prediction log watched: those whom neither of the models learned from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.evaluation.ranking import EMPTY, judge, ndcg_at_k
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor


@dataclass(frozen=True)
class Watched:
    """What somebody had seen when they asked, and ids of films: those that they were shown, those watched since."""

    history: Sequence[Seen]
    shown: frozenset[int]
    films: frozenset[int]

    @property
    def judges(self) -> bool:
        """Whether it says something of lists that were not shown: films of the shown one alone do not."""
        return bool(self.new - self.shown)

    @property
    def new(self) -> frozenset[int]:
        """The films that they had not seen before: a list has no others."""
        return self.films - {seen.film_id for seen in self.history}


def shortfalls(predictor: Predictor, people: Sequence[Watched], *, k: int) -> NDArray[np.float64]:
    """Return 1 - nDCG@k of the list for each history, shape (n_people,): lower is better."""
    histories = [person.history for person in people]
    lists = np.full((len(people), k), EMPTY, dtype=np.int64)
    for row, prediction in zip(lists, predictor.predict(histories, k=k, n_reasons=0, chances=False), strict=True):
        films = prediction.ids
        row[: len(films)] = films
    pairs = [(row, film) for row, person in enumerate(people) for film in person.new]
    rows, films_watched = np.array(pairs, dtype=np.int64).T
    return 1.0 - ndcg_at_k(judge(lists, rows, films_watched), k)
