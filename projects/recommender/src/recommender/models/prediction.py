"""What a predictor takes and answers: films that somebody has seen, and films worth watching."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, Film

Basis = Literal["history", "popularity"]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Seen:
    """A film of a history: its id, and the stars from 0.5 to 5 that it got, if any."""

    film_id: int
    stars: float | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A film of the history and what it added to a score; over the whole history these add up to the score."""

    film: Film
    contribution: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A film, its score (comparable within one answer only) and the films of the history that speak most for it.

    `chance` is that somebody with such a history watches the film among their next ten, see
    `recommender.models.chance`; None where the predictor has none, and beyond the first films of an unfiltered list.
    """

    film: Film
    score: float
    reasons: tuple[Reason, ...]
    chance: float | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to one history: recommendations and what they rest on.

    It is kept in arrays, because a service that writes it as JSON needs no object of each film and reason.

    Attributes
    ----------
    catalogue
        The films, of which those are meant that stand at the positions below.
    items, scores
        Positions of the films and their scores, shape (n,): best first, or in the order of `diversify`; fewer than
        asked for if the filters leave fewer.
    chances
        See `Recommendation`, of each film.
    named, added
        Positions of the films of the history that speak most for a film, and what they add to its score, shape
        (n, n_reasons): most first. Where that is not above 0, no film is named.
    basis
        ``history``, or ``popularity`` where the history is empty or nothing is known about its films: then the
        score is the number of ratings and there are no reasons.
    unknown
        Film ids of the history that are in no catalogue, in their order.
    """

    catalogue: Catalogue
    items: NDArray[np.int64]
    scores: Floats
    chances: Sequence[float | None]
    named: NDArray[np.int64]
    added: Floats
    basis: Basis
    unknown: tuple[int, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prediction) and self._said == other._said

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @property
    def _said(self) -> tuple[object, ...]:
        return self.recommendations, self.basis, self.unknown

    @cached_property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """The films with what is said of each."""
        films = self.catalogue.films
        reasons = [
            tuple(Reason(films[item], share) for item, share in zip(items, shares, strict=True) if share > 0)
            for items, shares in zip(self.named.tolist(), self.added.tolist(), strict=True)
        ]
        recommended = [films[item] for item in self.items.tolist()]
        return tuple(map(Recommendation, recommended, self.scores.tolist(), reasons, self.chances))

    @property
    def ids(self) -> list[int]:
        """Ids of the films in their order."""
        return [self.catalogue.films[item].id for item in self.items.tolist()]
