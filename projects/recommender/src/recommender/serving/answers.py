"""Answers as JSON, joined from what is the same in all of them: writing each field anew took longer than to predict.

`recommender.serving.schemas` says what they hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from portfolio_shared.serving.schemas import ModelName
from recommender.models.prediction import Basis, Prediction


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one history: its recommendations as JSON by the ids of their films, in their order."""

    recommendations: dict[int, bytes]
    basis: Basis
    unknown: tuple[int, ...]

    @property
    def popular(self) -> bool:
        """Whether nothing is known of the history."""
        return self.basis == "popularity"

    def fields(self) -> bytes:
        """Return the fields of a `Result`."""
        popular, unknown = to_json(self.popular), to_json(self.unknown)
        recommended = b",".join(self.recommendations.values())
        return b'"popular":%b,"unknown":%b,"recommendations":[%b]' % (popular, unknown, recommended)


def answer_of(prediction: Prediction) -> Answer:
    """Return a prediction as the API shows it."""
    recommended = dict(zip(prediction.ids, _recommendations(prediction), strict=True))
    return Answer(recommended, prediction.basis, prediction.unknown)


def answered(made: str, model: ModelName, fields: bytes) -> bytes:
    """Return a response with its id and the model that answered."""
    return b'{"id":%b,"model":%b,%b}' % (to_json(made), to_json(model), fields)


def _recommendations(prediction: Prediction) -> list[bytes]:
    """Return each recommendation: all numbers are written in one go, and their order is that of their places."""
    films, (n, n_reasons) = prediction.catalogue.as_json, prediction.named.shape
    if not n:
        return []
    written = to_json([*prediction.scores.tolist(), *prediction.chances, *_shares(prediction).ravel().tolist()])
    numbers = written[1:-1].split(b",") if n else []
    scores, chances, shares = numbers[:n], numbers[n : 2 * n], numbers[2 * n :]
    named = [films[item] for item in prediction.named.ravel().tolist()]
    reasons = list(map(b',"share":'.join, zip(named, shares, strict=True)))
    counts = np.count_nonzero(prediction.added > 0, axis=1).tolist()
    said = [_reasons(reasons[n_reasons * i : n_reasons * i + count]) for i, count in enumerate(counts)]
    places = zip(prediction.items.tolist(), scores, said, chances, strict=True)
    return [
        b'{"film":%b,"score":%b,"reasons":[%b],"chance":%b}' % (films[item], score, why, chance)
        for item, score, why, chance in places
    ]


def _reasons(reasons: Sequence[bytes]) -> bytes:
    return b'{"film":%b}' % b'},{"film":'.join(reasons) if reasons else b""


def _shares(prediction: Prediction) -> NDArray[np.float64]:
    """Return the part of the score that each reason is, shape (n, n_reasons): see `schemas.Reason`."""
    added = np.maximum(prediction.added, 0).astype(np.float64)
    whole = np.maximum(prediction.scores, added.sum(axis=1))
    shares: NDArray[np.float64] = np.divide(added, whole[:, None], out=np.zeros_like(added), where=added > 0)
    return shares
