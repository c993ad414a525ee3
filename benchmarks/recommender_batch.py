"""`recommender predict` for 20,000 histories of 50 films, beside implicit's models that pandas feeds.

Histories are drawn as often as films were rated, each film with stars. The peers are fitted on the ratings that the
model learned from, ignore stars and order, and give ids alone; ours gives what they rest on, and what is unknown.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batch_rate import Way, run  # first: it sets the threads

# isort: split
import numpy as np
import pandas as pd
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbors import CosineRecommender

from portfolio_shared.bundle import read_manifest
from recommender.data.load import load, split
from recommender.models.predictor import Predictor
from recommender.serving.batch import predict_file

N_HISTORIES, N_FILMS, K = 20_000, 50, 10
OURS, ALS, ITEMS = "ours", "implicit, ALS folded in", "implicit, nearest films"


def ways(bundle: Path, place: Path) -> Mapping[str, Way]:
    """Return ours and the peers', fitted to the same ratings."""
    source, target = place / "histories.csv", place / "films.csv"
    predictor = Predictor.load(bundle)
    counts, rng = predictor.catalogue.n_ratings, np.random.default_rng(0)
    ids = np.array([film.id for film in predictor.catalogue.films])
    with source.open("w", encoding="utf-8") as stream:
        stream.write("history\n")
        for _ in range(N_HISTORIES):
            films = rng.choice(ids, N_FILMS, replace=False, p=counts / counts.sum())
            stars = rng.integers(1, 11, N_FILMS) / 2
            stream.write(" ".join(f"{film}:{star:g}" for film, star in zip(films, stars, strict=True)) + "\n")
    manifest = read_manifest(bundle, project="recommender")
    X = sp.csr_matrix(split(load("sample" if manifest.data.source == "sample" else "full")).before_test.matrix())
    als = AlternatingLeastSquares(factors=128, iterations=5, num_threads=1, random_state=0)
    nearest = CosineRecommender(K=50, num_threads=1)
    for model in (als, nearest):
        model.fit(X, show_progress=False)

    def with_pandas(model: Any) -> int:
        table = pd.read_csv(source)
        words = table["history"].str.split().explode()
        owners, films = words.index.to_numpy(), words.str.partition(":")[0].astype(np.int64)
        items = np.searchsorted(ids, films)
        ones = np.ones(len(items), dtype=np.float32)
        histories = sp.csr_matrix((ones, (owners, items)), shape=(len(table), len(ids)))
        again = {"recalculate_user": True} if model is als else {}
        best, _ = model.recommend(np.arange(len(table)), histories, N=K, filter_already_liked_items=True, **again)
        table.assign(films=[" ".join(map(str, row)) for row in ids[best].tolist()]).to_csv(target, index=False)
        return len(table)

    return {
        OURS: lambda: predict_file(source, target, predictor, k=K).done,
        ALS: lambda: with_pandas(als),
        ITEMS: lambda: with_pandas(nearest),
    }


if __name__ == "__main__":
    ratios = {"over_als": (OURS, ALS), "over_nearest_films": (OURS, ITEMS)}
    sys.exit(run("recommender", __doc__, ways, ratios=ratios, limits={OURS: 5_000}))
