"""The predictor: from what somebody has seen to films worth watching. Training and serving use the same one."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, Film, Filters, load_catalogue, save_catalogue
from recommender.models.chance import LISTED, Chance
from recommender.models.fold_in import FoldIn
from recommender.models.history_weights import History, HistoryWeights, read_histories
from recommender.models.item_factors import ItemFactors
from recommender.models.prediction import Basis, Floats, Prediction, Seen
from recommender.models.search import FilmSearch
from recommender.models.top_k import CANDIDATES, best, contenders, diversify

T = TypeVar("T", bound=np.generic)

CATALOGUE_FILE, FACTORS_FILE = "films.json", "factors.npz"
WEIGHTS_FILE, CHANCE_FILE = "weights.json", "chance.json"
NO_FILTERS = Filters()
HISTORIES_AT_ONCE = 128  # bounds the memory of scores; more are no faster


@dataclass(frozen=True)
class Predictor:
    """Everything that is needed to recommend; it holds films, and no row of any user.

    Without `chance`, as in bundles that are older than it, recommendations have none.
    """

    catalogue: Catalogue
    model: ItemFactors | FoldIn
    weigh: HistoryWeights
    chance: Chance | None = None

    def __post_init__(self) -> None:
        if len(self.catalogue) != len(self.model.factors):
            raise ValueError(f"{len(self.catalogue)} films, but factors of {len(self.model.factors)}")

    @cached_property
    def search(self) -> FilmSearch:
        """Index over the films' titles; made once, which takes about a second on 60,000 films."""
        return FilmSearch(self.catalogue)

    @property
    def live_factors(self) -> int:
        """How many numbers each answer is computed from: those of the films that can be recommended."""
        return self._live.factors.size

    def predict(
        self,
        inputs: Sequence[Sequence[Seen]],
        *,
        k: int = 10,
        filters: Filters = NO_FILTERS,
        diversity: float = 0.0,
        n_reasons: int = 3,
        chances: bool = True,
    ) -> list[Prediction]:
        """Recommend films for each history that are not in it; what is beside a history changes nothing of its answer.

        Parameters
        ----------
        inputs
            Histories, oldest first, because later films count more; of a film that stands there twice, the last one
            counts.
        k
            How many films.
        filters
            Which films are admitted.
        diversity
            From 0 to 1, see `recommender.models.top_k.diversify`.
        n_reasons
            At most so many films of the history per recommendation, those that add most; never one that takes
            something away.
        chances
            Whether the recommendations have their chance; a file has no column for it, and is done a tenth sooner.

        Raises
        ------
        ValueError
            If k is below 1 or no film has a genre of the filters.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        predictions: list[Prediction] = []
        for start in range(0, len(inputs), HISTORIES_AT_ONCE):
            watched = list(map(_last_mentions, inputs[start : start + HISTORIES_AT_ONCE]))
            histories = read_histories(watched, self.catalogue.position, self.weigh)
            choices = self._choose(histories, self._excluded(filters), k, diversity, chances=chances)
            for history, (basis, chosen, scores, floor) in zip(histories, choices, strict=True):
                reasons = self._reasons(chosen, history, n_reasons if basis == "history" else 0)
                sure = self._chances(basis, scores, history, floor) if chances else [None] * len(chosen)
                predictions.append(Prediction(self.catalogue, chosen, scores, sure, *reasons, basis, history.unknown))
        return predictions

    def recommend(
        self,
        history: Sequence[Seen],
        *,
        k: int = 10,
        filters: Filters = NO_FILTERS,
        diversity: float = 0.0,
        n_reasons: int = 3,
    ) -> Prediction:
        """Recommend films for one history as `predict` does."""
        (prediction,) = self.predict([history], k=k, filters=filters, diversity=diversity, n_reasons=n_reasons)
        return prediction

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
        """Write the files of the model into a folder: films, factors, how a history is weighed, and the chances."""
        folder.mkdir(parents=True, exist_ok=True)
        save_catalogue(self.catalogue, folder / CATALOGUE_FILE)
        arrays = {field.name: np.asarray(getattr(self.model, field.name)) for field in fields(self.model)}
        np.savez(folder / FACTORS_FILE, allow_pickle=False, **arrays)
        for name, part in ((WEIGHTS_FILE, self.weigh), (CHANCE_FILE, self.chance)):
            if part is not None:
                (folder / name).write_text(json.dumps(asdict(part), indent=2) + "\n", encoding="utf-8")

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
        chance = None
        if (folder / CHANCE_FILE).is_file():
            stored = json.loads((folder / CHANCE_FILE).read_text(encoding="utf-8"))
            chance = Chance(tuple(stored["history"]), tuple(stored["popularity"]))
        return cls(load_catalogue(folder / CATALOGUE_FILE), model, weigh, chance)

    @cached_property
    def _live(self) -> "_Live":
        items = np.flatnonzero(self.model.recommendable)
        place = np.full(len(self.catalogue), -1)
        place[items] = np.arange(len(items))
        factors = np.asfortranarray(self.model.factors[items])
        return _Live(items, place, factors, self.model.scale[items], self.catalogue.n_ratings[items].astype(np.float32))

    def _excluded(self, filters: Filters) -> NDArray[np.int64]:
        """Return which of the live films do not pass the filters."""
        if filters == NO_FILTERS:
            return _NOTHING
        return np.flatnonzero(~self.catalogue.admitted(filters)[self._live.items])

    def _choose(
        self, histories: Sequence[History], excluded: NDArray[np.int64], k: int, diversity: float, *, chances: bool
    ) -> Iterator[tuple[Basis, NDArray[np.int64], Floats, float]]:
        """Yield for each history its basis, the films chosen, their scores, and the lowest score that has a chance."""
        live, factors = self._live, self.model.factors
        items, weights = (_joined([getattr(each, name) for each in histories]) for name in ("items", "weights"))
        owners = np.repeat(np.arange(len(histories)), [len(each.items) for each in histories])
        by_popularity = np.bincount(owners, weights * self.model.own[items], minlength=len(histories)) <= 0
        tastes = np.array([self.model.fold_in(each.items, each.weights) for each in histories])
        scores = tastes @ live.factors.T  # (n_histories, n_live)
        scores *= live.scale
        if np.count_nonzero(by_popularity):
            scores[by_popularity] = live.n_ratings
        places = live.place[items]
        can_be_listed = places >= 0
        scores[owners[can_be_listed], places[can_be_listed]] = -np.inf
        n = k if diversity == 0 else max(k, CANDIDATES)
        if together := not len(excluded):  # one ranking has both: the list, and the films that have a chance
            n = max(n, LISTED) if chances else n
        listed = self._ranked(scores, tastes, by_popularity, LISTED) if chances and not together else ()
        floors = [values.min(initial=np.inf) for _, values in listed] or [-np.inf] * len(histories)
        if not together:
            scores[:, excluded] = -np.inf
        ranked = self._ranked(scores, tastes, by_popularity, n)
        for popular, floor, (films, values) in zip(by_popularity.tolist(), floors, ranked, strict=True):
            least = values[:LISTED].min(initial=np.inf) if chances and together else floor
            chosen = diversify(values, factors[films], k=k, diversity=diversity) if diversity > 0 else slice(k)
            yield "popularity" if popular else "history", films[chosen], values[chosen], least

    def _ranked(
        self, scores: Floats, tastes: Floats, by_popularity: NDArray[np.bool_], n: int
    ) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Yield the n best films of each row of scores, and their scores; equal ones in order of position."""
        live = self._live
        rows, columns = contenders(scores, n)
        values = np.einsum("ij,ij->i", self.model.factors[live.items[columns]], tastes[rows]) * live.scale[columns]
        if np.count_nonzero(by_popularity):
            values = np.where(by_popularity[rows], live.n_ratings[columns], values)
        order = np.lexsort((columns, -values, rows))
        starts = np.searchsorted(rows, np.arange(len(scores) + 1))
        for start, end in pairwise(starts.tolist()):
            best = order[start:end][:n]
            yield live.items[columns[best]], values[best]

    def _chances(self, basis: Basis, scores: Floats, history: History, floor: float) -> Sequence[float | None]:
        if self.chance is None:
            return [None] * len(scores)
        if basis == "history":
            chances = self.chance.of_history(scores, history.weights)
        else:
            chances = self.chance.of_popularity(scores, float(self._live.n_ratings.max()))
        known = (scores >= floor).tolist()
        return [chance if sure else None for chance, sure in zip(chances.tolist(), known, strict=True)]

    def _reasons(self, chosen: NDArray[np.int64], history: History, n_reasons: int) -> tuple[NDArray[np.int64], Floats]:
        """Return for each film which films of the history add most to its score, most first, and how much."""
        shape = len(chosen), min(n_reasons, len(history.items))
        strongest, added = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        if strongest.size:
            rest, rows = self.model.contributions(history.items, history.weights, chosen), np.arange(len(chosen))
            for n in range(shape[1]):
                best = strongest[:, n] = rest.argmax(axis=1)
                added[:, n] = rest[rows, best]
                rest[rows, best] = -np.inf
        return history.items[strongest], added


_NOTHING = np.empty(0, dtype=np.int64)


def _last_mentions(history: Sequence[Seen]) -> dict[int, float | None]:
    """Return the stars of each film by its id, in order; a second mention moves a film to its later place."""
    stars = {seen.film_id: seen.stars for seen in history}
    if len(stars) < len(history):
        stars = {}
        for seen in history:
            stars.pop(seen.film_id, None)
            stars[seen.film_id] = seen.stars
    return stars


def _joined(arrays: Sequence[NDArray[T]]) -> NDArray[T]:
    """Return arrays one after the other; a single one is not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


@dataclass(frozen=True, slots=True)
class _Live:
    """The films that can be recommended, on real data one of three; `place` is where each of all films is among them.

    The factors lie column by column: out of a cold cache, their product with a taste takes half the time.
    """

    items: NDArray[np.int64]
    place: NDArray[np.int64]
    factors: Floats
    scale: Floats
    n_ratings: Floats
