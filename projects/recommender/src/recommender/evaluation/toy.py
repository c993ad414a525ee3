"""EASE on four films: small enough to follow by hand, computed by the code that serves."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from portfolio_shared.evaluation.sections import markdown_table
from recommender.models.ease import fit_ease

FILMS = ("Alien", "Aliens", "Amélie", "Delicatessen")
PENALTY = 1.0
X = np.array(
    [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 0, 0, 0],
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [0, 1, 0, 1],
    ]
)
"""Seven people, and which of the films each has seen."""


def people() -> str:
    """Return in words which films each person has seen."""
    return "; ".join(" + ".join(np.array(FILMS)[row == 1].tolist()) for row in X)


def weights() -> NDArray[np.float64]:
    """Return B, shape (4, 4): what a film that was seen (row) adds to the score of another one (column)."""
    model, items = fit_ease(sp.csr_array(X), penalty=PENALTY), np.arange(len(FILMS))
    rows = [model.contributions(items, np.eye(len(FILMS), dtype=np.float32)[film], items)[:, film] for film in items]
    return np.array(rows, dtype=np.float64)


def toy_table() -> str:
    """Return the weights as a table: a row for each film that was seen."""
    rows = [
        [f"seen: {film}", *(f"{value:.2f}" if value else "0" for value in row)]
        for film, row in zip(FILMS, weights(), strict=True)
    ]
    return markdown_table(["adds to the score of", *FILMS], rows)
