"""What a recommendation costs beside a bare request: a history of 50 films, ten recommendations with their reasons."""

import json
import sys
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

from serving_cost import Kinds, run

from portfolio_shared.serving.schemas import ExampleRequest
from recommender.data.catalogue import load_catalogue
from recommender.models.predictor import CATALOGUE_FILE

HISTORY = 50


def requests(bundle: Path) -> Kinds:
    """Return the kinds of request: 50 of the 500 films that most people rated, with every number of stars."""
    films = sorted(load_catalogue(bundle / CATALOGUE_FILE).films, key=lambda film: -film.n_ratings)
    stars = cycle(half / 2 for half in range(1, 11))
    seen = films[: 10 * HISTORY : len(films[: 10 * HISTORY]) // HISTORY][:HISTORY]
    history = [{"film_id": film.id, "rating": next(stars)} for film in seen]
    word = max((word for film in films[:100] for word in film.name.split() if word.isalpha()), key=len)
    return {
        "50 films": recommend(history=history),
        "50 films, diverse": recommend(history=history, diversity=0.3),
        "search, typo": ExampleRequest(f"/v1/films?query={quote(word[:2] + word[3:])}", b""),
    }


def recommend(**body: object) -> ExampleRequest:
    """Return a request for ten recommendations."""
    return ExampleRequest("/v1/recommendations", json.dumps(body | {"k": 10}).encode())


if __name__ == "__main__":
    ratios = {"history_ratio": "50 films", "diverse_ratio": "50 films, diverse", "search_ratio": "search, typo"}
    limits = {"history_ratio": 4.0, "ready_seconds": 3.0, "resident_mb": 250.0}
    sys.exit(run("recommender", __doc__, requests, ratios=ratios, limits=limits))
