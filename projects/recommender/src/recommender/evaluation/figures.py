"""The project's figures, in the house style."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.ranking import EMPTY, ndcg_at_k
from portfolio_shared.evaluation.uncertainty import bootstrap_interval
from recommender.evaluation.candidates import ALS, EASE, FULL, ITEMS, POPULARITY, USERS, Candidate, by_score
from recommender.evaluation.evaluate import Band, Evaluation, Task, judge_lists

Floats = NDArray[np.float64]

LENGTHS = (1, 2, 3, 5, 10, 20, 35, 50)
TAIL = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1)
"""Shares of the films, the most popular first."""
DRAWN = (FULL, EASE, ALS, ITEMS, USERS, POPULARITY)
"""No more than can be told apart."""


def draw(
    task: Task, candidates: Mapping[str, Candidate], evaluations: Mapping[str, Evaluation], folder: Path
) -> list[Path]:
    """Write the figures as SVG; return their paths.

    Parameters
    ----------
    task
        The test.
    candidates
        Measured on the validation part.
    evaluations
        Each model by name on the test, the served one first.
    """
    ordered = by_score(candidates)
    served = next(iter(evaluations))
    shown = {name: evaluations[name] for name in dict.fromkeys((served, *DRAWN)) if name in evaluations}
    shown = dict(list(shown.items())[: len(DRAWN)])
    k = evaluations[served].k
    drawn = {
        "candidates": figures.interval_bars(
            [candidate.name for candidate in ordered],
            [candidate.evaluation.metrics["ndcg"] for candidate in ordered],
            xlabel=f"nDCG@{k} on the validation part (95 % interval over users; higher is better)",
            title="Candidates",
        ),
        "ndcg-by-length": figures.line_with_band(
            LENGTHS,
            {name: ndcg_by_length(evaluation, task) for name, evaluation in shown.items()},
            xlabel="Length of the list, k",
            ylabel="nDCG@k on the test",
            title="Quality by length of the list",
        ),
        "long-tail": figures.line_with_band(
            TAIL,
            {"what people rate": _exact(rated_tail(task)), **{n: _exact(tail(e, task)) for n, e in _few(shown)}},
            xlabel="Share of the films that is left out, the most popular first",
            ylabel="Share of ratings or recommendations",
            title="How much lies beyond the most popular films",
        ),
    }
    return [figures.save_figure(figure, folder / f"{name}.svg") for name, figure in drawn.items()]


def ndcg_by_length(evaluation: Evaluation, task: Task) -> Band:
    """Return the mean nDCG at each of `LENGTHS`, with the ends of its interval; shape (n_lengths,) each."""
    judged = judge_lists(evaluation.lists, task.users, task.hidden)
    intervals = [bootstrap_interval(np.mean, ndcg_at_k(judged, length), n_resamples=300) for length in LENGTHS]
    estimate, low, high = np.array(intervals).T
    return estimate, low, high


def tail(evaluation: Evaluation, task: Task) -> Floats:
    """Return the share of recommendations beyond each share of the films in `TAIL`, shape (n_shares,)."""
    first = evaluation.lists[:, : evaluation.k]
    return _beyond(np.bincount(first[first != EMPTY], minlength=len(task.catalogue)), task)


def rated_tail(task: Task) -> Floats:
    """Return the share of ratings beyond each share of the films in `TAIL`, shape (n_shares,)."""
    return _beyond(task.before.item_counts(), task)


def _beyond(counts: NDArray[np.int64], task: Task) -> Floats:
    by_popularity = np.argsort(-task.before.item_counts(), kind="stable")
    total = np.concatenate([[0.0], np.cumsum(counts[by_popularity]) / counts.sum()])
    return np.asarray(1.0 - np.interp(np.array(TAIL) * len(counts), np.arange(len(counts) + 1), total))


def _few(shown: Mapping[str, Evaluation]) -> list[tuple[str, Evaluation]]:
    """Return the models whose curves lie apart: the served one, its plain form, and popularity."""
    served = next(iter(shown))
    return [(name, shown[name]) for name in dict.fromkeys((served, EASE, POPULARITY)) if name in shown]


def _exact(values: Floats) -> Band:
    return values, values, values
