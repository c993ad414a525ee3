"""How each model is fitted: on the items that enough people chose, up to a cap, and the step to a predictor."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from new_project.config import ModelSettings
from new_project.data.items import CatalogItem
from new_project.data.load import Events, Split
from new_project.models.predictor import Predictor
from new_project.models.scores import Floats, ease, item_neighbors
from portfolio_shared.results import Candidate

Fitted = Predictor
"""What a candidate holds: every model has the form of what is served."""
POPULARITY, NEIGHBORS, EASE, RECENT = "popularity", "item neighbors", "EASE", "EASE, recency-weighted"
FITS: dict[str, Callable[[NDArray[np.float64], ModelSettings], Floats]] = {
    POPULARITY: lambda X, _: np.zeros((X.shape[1], X.shape[1]), dtype=np.float32),
    NEIGHBORS: lambda X, settings: item_neighbors(X, neighbors=settings.neighbors),
    EASE: lambda X, settings: ease(X, penalty=settings.penalty),
    RECENT: lambda X, settings: ease(X, penalty=settings.penalty),
}
"""Name -> weights from X, shape (n_users, n_items). Without weights a predictor answers what most people chose."""


def fit(split: Split, settings: ModelSettings, chosen: Candidate[Predictor], *, seed: int = 0) -> Predictor:
    """Fit the chosen candidate on everything but the test; nothing is drawn."""
    del seed
    predictor: Predictor = fit_model(chosen.name, split.before_test, split.items, settings)
    return predictor


# Two BLAS threads that wait for each other take many times as long as one on busy cores.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def fit_model(name: str, events: Events, items: tuple[CatalogItem, ...], settings: ModelSettings) -> Predictor:
    """Fit a model by its name.

    Raises
    ------
    ValueError
        If fewer than two items were chosen by enough people.
    """
    counts = events.counts()
    order = np.argsort(-counts, kind="stable")[: settings.max_items]
    kept = np.sort(order[counts[order] >= settings.min_users])
    if len(kept) < 2:
        raise ValueError(f"{len(kept)} items were chosen by {settings.min_users} people; expected at least two")
    place = np.full(events.n_items, -1)
    place[kept] = np.arange(len(kept))
    learned = place[events.items] >= 0
    X = np.zeros((events.n_users, len(kept)))
    X[events.users[learned], place[events.items[learned]]] = 1.0
    half_life = settings.half_life if name == RECENT else np.inf
    return Predictor(tuple(items[number] for number in kept), counts[kept], FITS[name](X, settings), half_life)
