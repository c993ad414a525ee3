"""What a bundle gives away: two attacks on the models of docs/privacy.md, and on those it warns of.

Four fifths of the people are learned from, the others are not; both are drawn once. Every model is fitted on
whole histories, as nothing needs to be hidden for a test here, with the rank and penalty that a training on these data
chooses. Writes benchmarks/results/recommender_privacy.json, which has the sample that ships under `sample`.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import scipy.sparse as sp
from record import RESULTS, check_limits, finish
from rich.console import Console
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.sections import markdown_table
from portfolio_shared.terminal import progress
from recommender.config import ModelSettings, TrainConfig
from recommender.data.load import Dataset, load, split
from recommender.evaluation.privacy import KEYS, LEAST_FILMS, Model, attack
from recommender.models.als import fit_als
from recommender.models.ease import fit_ease
from recommender.models.fit import ALS, ALS_RECENT, EASE, FULL, fit_full
from recommender.train import settings_for

MEMBERS = 0.8
SEED = 0
LIMIT = 0.0  # share of histories that may be read completely from a served model


def main() -> int:
    """Attack, print, write; return 1 if a history was read completely from a model that can be served."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="full", help="full or a path (default: %(default)s)")
    options = parser.parse_args()
    console = Console()
    recorded = {**attacked(options.data, console), "sample": attacked("sample", console)}
    both = {"": recorded["rows"], "sample: ": recorded["sample"]["rows"]}
    shares = {
        f"{of}read completely from {row['name']}": row["read_completely"]
        for of, rows in both.items()
        for row in rows
        if row["served"]
    }
    limits = check_limits(shares, dict.fromkeys(shares, LIMIT))
    return finish(console, RESULTS / "recommender_privacy.json", recorded, limits)


def attacked(setting: str, console: Console) -> dict[str, Any]:
    """Return what the attacks find in each model of these data."""
    data = load(setting)
    console.print(data.source.reason)
    n_users = data.ratings.n_users
    drawn = np.random.default_rng(SEED).permutation(n_users)
    members, non_members = np.sort(drawn[: int(MEMBERS * n_users)]), np.sort(drawn[int(MEMBERS * n_users) :])
    settings, _ = settings_for(split(data), TrainConfig(seed=SEED), console)
    fits, rows = models(data, settings), []
    everybody = data.ratings.matrix()
    learned = data.ratings.where(np.isin(data.ratings.users, members)).matrix()
    with progress(console, "attacks", total=len(fits)) as advance:
        for name, (fit, served) in fits.items():
            with threadpool_limits(limits=1):
                model = fit(learned)
            exposure = asdict(attack(model, everybody, members=members, non_members=non_members, seed=SEED))
            rows.append({"name": name, "served": served, **exposure})
            advance(name)
    measures = [key for key in rows[0] if key not in ("name", "served")]
    cells = [[row["name"], *(f"{row[key]:.3f}" for key in measures)] for row in rows]
    console.print(markdown_table(["model", *measures], cells))
    return {
        "dataset": data.name,
        "data_sha256": data.sha256,
        "members": len(members),
        "non_members": len(non_members),
        "rated_a_film_alone": float(np.mean(rated_alone(learned)[members])),
        "keys": KEYS,
        "least_films": LEAST_FILMS,
        "limit": LIMIT,
        "rows": rows,
    }


def models(data: Dataset, settings: ModelSettings) -> dict[str, tuple[Callable[[sp.csr_array], Model], bool]]:
    """Return how each model is fitted, by what sets it apart, and whether it can be served."""
    catalogue, ease, als = data.catalogue, settings.ease, settings.als.model_dump()

    def full(**changes: int | None) -> Callable[[sp.csr_array], Model]:
        return lambda X: fit_full(X, catalogue, ease.model_copy(update=changes), seed=SEED)

    return {
        f"{EASE}, exact": (lambda X: fit_ease(X, penalty=ease.penalty), False),
        f"{FULL}: rank {ease.rank}": (full(), True),
        "the same, films of one person too": (full(min_raters=1), False),
        "the same, films of one person too, full rank": (full(min_raters=1, rank=None), False),
        "the same, full rank": (full(rank=None), False),
        "the same, rank 128": (full(rank=128), False),
        "the same, rank 64": (full(rank=64), False),
        f"{ALS}, films of one person too": (lambda X: fit_als(X, **als, seed=SEED), False),
        f"{ALS_RECENT}": (lambda X: fit_als(X, **als, min_raters=ease.min_raters, seed=SEED), True),
    }


def rated_alone(X: sp.csr_array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each user whether they rated a film that nobody else did, shape (n_users,)."""
    alone = (np.asarray(X.sum(axis=0)) == 1).astype(np.float32)
    return np.asarray(X @ alone > 0)


if __name__ == "__main__":
    sys.exit(main())
