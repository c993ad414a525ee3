"""The predictor: from what somebody chose to what they may choose next. Training and serving use the same one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from new_project.config import K
from new_project.data.items import CatalogItem
from new_project.models.scores import Floats, best

ITEMS, WEIGHTS = "items.json", "weights.npz"
N_REASONS = 3


@dataclass(frozen=True)
class Reason:
    """An item of the history, and what it adds to a score; `adds` of all items of the history sum to the score."""

    item: CatalogItem
    adds: float


@dataclass(frozen=True)
class Recommendation:
    """An item, its score, the items that add most to it, and what all others of the history add together."""

    item: CatalogItem
    score: float
    reasons: tuple[Reason, ...]
    others: float


@dataclass(frozen=True)
class Prediction:
    """Items, best first, what they rest on, and the ids of the history that the model does not know."""

    basis: Literal["history", "popularity"]
    recommendations: tuple[Recommendation, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Predictor:
    """Everything that is needed to recommend; it holds items, and nobody's history.

    Attributes
    ----------
    items, counts
        What was learned, and how many people chose each, shape (n,).
    weights
        Shape (n, n): what an item of a history adds to each item's score.
    half_life
        So many items ago an item of a history counts half; infinite where all count alike.
    """

    items: tuple[CatalogItem, ...]
    counts: NDArray[np.int64]
    weights: Floats
    half_life: float = np.inf

    @cached_property
    def position(self) -> dict[str, int]:
        """Id of an item -> its number."""
        return {item.id: number for number, item in enumerate(self.items)}

    @cached_property
    def _searched(self) -> list[tuple[int, str]]:
        """The items' numbers and titles in lower case, the most chosen first."""
        return [
            (number, self.items[number].title.casefold()) for number in best(self.counts.astype(float), len(self.items))
        ]

    def predict(self, inputs: Sequence[Sequence[str]], *, k: int = K) -> list[Prediction]:
        """Recommend k items for each history of ids, oldest first; no history changes another's answer."""
        return [self._predict(history, k) for history in inputs]

    def find(self, words: str, *, limit: int) -> list[CatalogItem]:
        """Return the items whose titles hold all of the words, or their beginnings; the most chosen first."""
        parts = words.casefold().split()
        found = (number for number, title in self._searched if all(part in title for part in parts))
        return [self.items[number] for number, _ in zip(found, range(limit), strict=False)]

    def _predict(self, history: Sequence[str], k: int) -> Prediction:
        ids = list(dict.fromkeys(reversed(history)))[::-1]  # of two mentions the later one counts
        known = np.array([self.position[id_] for id_ in ids if id_ in self.position], dtype=np.int64)
        recency = 0.5 ** (np.arange(len(known))[::-1] / self.half_life)
        added = self.weights[known] * recency.astype(np.float32)[:, None]  # (n_known, n)
        by_history = bool(np.count_nonzero(added))
        scores = added.sum(axis=0, dtype=np.float64) if by_history else self.counts.astype(np.float64)
        scores[known] = -np.inf
        chosen = best(scores, k)
        recommendations = tuple(
            self._recommendation(item, float(scores[item]), known, added[:, item]) for item in chosen
        )
        unknown = tuple(id_ for id_ in ids if id_ not in self.position)
        return Prediction("history" if by_history else "popularity", recommendations, unknown)

    def _recommendation(self, item: int, score: float, known: NDArray[np.int64], added: Floats) -> Recommendation:
        first = [place for place in np.argsort(-added, kind="stable")[:N_REASONS] if added[place] > 0]
        reasons = tuple(Reason(self.items[known[place]], float(added[place])) for place in first)
        others = score - sum(reason.adds for reason in reasons) if np.count_nonzero(added) else 0.0
        return Recommendation(self.items[item], score, reasons, others)

    def save(self, folder: Path) -> None:
        """Write items and weights into a folder, which is made if need be; it holds nobody's history."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [[item.id, item.title] for item in self.items]
        (folder / ITEMS).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        half_life = np.array(self.half_life)
        np.savez_compressed(folder / WEIGHTS, counts=self.counts, weights=self.weights, half_life=half_life)

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read what `save` wrote; nothing in it can run code."""
        items = tuple(
            CatalogItem(id_, title) for id_, title in json.loads((folder / ITEMS).read_text(encoding="utf-8"))
        )
        with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
            counts, weights, half_life = arrays["counts"], arrays["weights"], float(arrays["half_life"])
        if counts.shape != (len(items),) or weights.shape != (len(items), len(items)) or not np.isfinite(weights).all():
            raise ValueError(f"{folder}: {len(items)} items, counts {counts.shape} and weights {weights.shape}")
        return cls(items, counts, weights, half_life)
