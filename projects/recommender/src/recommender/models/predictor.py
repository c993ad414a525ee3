"""The predictor: from what somebody has seen to films worth watching. Training and serving use the same one."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, Film, Filters, load_catalogue, save_catalogue
from recommender.models.fold_in import FoldIn
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.search import FilmSearch
from recommender.models.top_k import best, diversify

CATALOGUE_FILE, FACTORS_FILE, WEIGHTS_FILE = "films.json", "factors.npz", "weights.json"
NO_FILTERS = Filters()


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
    """A film, its score (comparable within one answer only) and the films of the history that speak most for it."""

    film: Film
    score: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one history: recommendations and what they rest on.

    Attributes
    ----------
    recommendations
        Best first, or in the order of `diversify`; fewer than asked for if the filters leave fewer.
    basis
        ``history``, or ``popularity`` where the history is empty or nothing is known about its films: then the
        score is the number of ratings and there are no reasons.
    unknown
        Film ids of the history that are in no catalogue, in their order.
    """

    recommendations: tuple[Recommendation, ...]
    basis: Literal["history", "popularity"]
    unknown: tuple[int, ...]

    @property
    def film_ids(self) -> str:
        """Ids of the films in their order, between spaces: for files and tables."""
        return " ".join(str(recommendation.film.id) for recommendation in self.recommendations)


@dataclass(frozen=True)
class Predictor:
    """Everything that is needed to recommend; it holds films, and no row of any user."""

    catalogue: Catalogue
    model: ItemFactors | FoldIn
    weigh: HistoryWeights

    def __post_init__(self) -> None:
        if len(self.catalogue) != len(self.model.factors):
            raise ValueError(f"{len(self.catalogue)} films, but factors of {len(self.model.factors)}")

    @cached_property
    def search(self) -> FilmSearch:
        """Index over the films' titles; made once, which takes about a second on 60,000 films."""
        return FilmSearch(self.catalogue)

    def predict(
        self,
        inputs: Sequence[Sequence[Seen]],
        *,
        k: int = 10,
        filters: Filters = NO_FILTERS,
        diversity: float = 0.0,
        n_reasons: int = 3,
    ) -> list[Prediction]:
        """Recommend for several histories, each as `recommend` does."""
        return [
            self.recommend(history, k=k, filters=filters, diversity=diversity, n_reasons=n_reasons)
            for history in inputs
        ]

    def recommend(
        self,
        history: Sequence[Seen],
        *,
        k: int = 10,
        filters: Filters = NO_FILTERS,
        diversity: float = 0.0,
        n_reasons: int = 3,
    ) -> Prediction:
        """Recommend films that are not in the history.

        Parameters
        ----------
        history
            Oldest first, because later films count more; of a film that stands there twice, the last one counts.
        k
            How many films.
        filters
            Which films are admitted.
        diversity
            From 0 to 1, see `recommender.models.top_k.diversify`.
        n_reasons
            At most so many films of the history per recommendation, those that add most; never one that takes
            something away.

        Raises
        ------
        ValueError
            If k is below 1 or no film has a genre of the filters.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        items, stars, unknown = self._read(history)
        admitted = self.catalogue.admitted(filters) & self.model.recommendable
        admitted[items] = False
        weights = self.weigh(stars)
        informative = bool(weights @ self.model.own[items] > 0)
        scores = self.model.scores(items, weights) if informative else self.catalogue.n_ratings.astype(np.float32)
        np.copyto(scores, -np.inf, where=~admitted)
        chosen = diversify(scores, self.model.factors, k=k, diversity=diversity)
        reasons = self._reasons(chosen, items, weights, n_reasons if informative else 0)
        films = [self.catalogue.films[item] for item in chosen.tolist()]
        return Prediction(
            tuple(map(Recommendation, films, scores[chosen].tolist(), reasons)),
            "history" if informative else "popularity",
            unknown,
        )

    def similar(self, film_id: int, *, k: int = 10) -> list[tuple[Film, float]]:
        """Return the films most like one film, most similar first, with the cosine of their factors.

        Raises
        ------
        KeyError
            If no film has this id.
        """
        item, model = self.catalogue.position[film_id], self.model
        lengths, similarity = np.sqrt(model.own * model.own[item]), model.factors @ model.factors[item]
        similarity = np.divide(similarity, lengths, out=np.zeros_like(similarity), where=lengths > 0)
        similarity[~model.recommendable] = similarity[item] = -np.inf
        return [(self.catalogue.films[other], float(similarity[other])) for other in best(similarity, k)]

    def save(self, folder: Path) -> None:
        """Write the three files of the model into a folder: films, factors and how a history is weighed."""
        folder.mkdir(parents=True, exist_ok=True)
        save_catalogue(self.catalogue, folder / CATALOGUE_FILE)
        arrays = {field.name: np.asarray(getattr(self.model, field.name)) for field in fields(self.model)}
        np.savez(folder / FACTORS_FILE, allow_pickle=False, **arrays)
        (folder / WEIGHTS_FILE).write_text(json.dumps(asdict(self.weigh), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read what `save` wrote; nothing in it can run code."""
        with np.load(folder / FACTORS_FILE, allow_pickle=False) as arrays:
            factors, recommendable = arrays["factors"], arrays["recommendable"]
            model: ItemFactors | FoldIn
            if "alpha" in arrays:
                model = FoldIn(factors, recommendable, float(arrays["regularization"]), float(arrays["alpha"]))
            else:
                model = ItemFactors(factors, recommendable)
        weigh = HistoryWeights(**json.loads((folder / WEIGHTS_FILE).read_text(encoding="utf-8")))
        return cls(load_catalogue(folder / CATALOGUE_FILE), model, weigh)

    def _read(self, history: Sequence[Seen]) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[int, ...]]:
        """Return positions and stars of the films of the catalogue, and the ids of the others."""
        last: dict[int, float] = {}
        for seen in history:
            last.pop(seen.film_id, None)  # a second mention also moves the film to its later place
            last[seen.film_id] = np.nan if seen.stars is None else seen.stars
        position = self.catalogue.position
        stars = {position[film]: value for film, value in last.items() if film in position}
        unknown = tuple(film for film in last if film not in position)
        return np.array(list(stars), dtype=np.int64), np.array(list(stars.values()), dtype=np.float64), unknown

    def _reasons(
        self, chosen: NDArray[np.int64], items: NDArray[np.int64], weights: NDArray[np.float32], n_reasons: int
    ) -> list[tuple[Reason, ...]]:
        if n_reasons == 0 or len(chosen) == 0:
            return [()] * len(chosen)
        films = [self.catalogue.films[item] for item in items]
        rows = self.model.contributions(items, weights, chosen)
        strongest = np.argsort(-rows, axis=1, kind="stable")[:, :n_reasons]
        added = np.take_along_axis(rows, strongest, axis=1)
        return [
            tuple(Reason(films[i], share) for i, share in zip(columns, row, strict=True) if share > 0)
            for columns, row in zip(strongest.tolist(), added.tolist(), strict=True)
        ]
