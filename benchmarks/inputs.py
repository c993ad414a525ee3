"""What is asked: one house, 50 films, one photograph; as our services read it and as MLflow does."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image
from serving_cost import upload

from housing.data.house import EXAMPLE
from housing.models.imputation import complete
from housing.models.predictor import Predictor as HousePredictor
from housing.serving.schemas import EXAMPLE_REQUEST
from portfolio_shared.serving.schemas import ExampleRequest
from recommender.data.catalogue import load_catalogue
from recommender.models.predictor import CATALOGUE_FILE

INPUTS = {"housing": "one house", "recommender": "50 films", "image-classifier": "one photograph"}
HISTORY = 50
PHOTO_SIZE = (500, 375)


@dataclass(frozen=True)
class Inputs:
    """The input of a project.

    Attributes
    ----------
    request
        To our service, and to what takes the same body.
    table
        The same as a row of a table, and after it rows that make columns optional.
    others
        Name of a row -> what our service alone is asked.
    batch
        Many of them in one request, where the work of that is not that of a request.
    """

    request: ExampleRequest
    table: Sequence[Mapping[str, object]]
    others: Mapping[str, ExampleRequest] = field(default_factory=dict)
    batch: ExampleRequest | None = None

    @property
    def invocation(self) -> ExampleRequest:
        """Return the request to `mlflow models serve`."""
        return ExampleRequest("/invocations", json.dumps({"dataframe_records": self.table[:1]}).encode())


def inputs_of(project: str, bundle: Path) -> Inputs:
    """Return what is asked of a project's contenders."""
    return {"housing": one_house, "recommender": fifty_films, "image-classifier": one_photograph}[project](bundle)


def one_house(bundle: Path) -> Inputs:
    """Return a house of which the required fields are given; the rest is filled."""
    full, _ = complete(EXAMPLE, HousePredictor.load(bundle).typical)
    explained = replace(EXAMPLE_REQUEST, body=json.dumps({"houses": [EXAMPLE], "explain": True}).encode())
    batch = replace(EXAMPLE_REQUEST, body=json.dumps({"houses": [EXAMPLE] * 100}).encode())
    return Inputs(EXAMPLE_REQUEST, [EXAMPLE, full], {"ours, explained": explained}, batch)


def fifty_films(bundle: Path) -> Inputs:
    """Return a request for ten films: for 50 of the 500 that most people rated, with every number of stars."""
    ranked = sorted(load_catalogue(bundle / CATALOGUE_FILE).films, key=lambda film: -film.n_ratings)[: 10 * HISTORY]
    stars = cycle(half / 2 for half in range(1, 11))
    history = {film.id: next(stars) for film in ranked[:: len(ranked) // HISTORY][:HISTORY]}
    body = {"history": [{"film_id": film, "rating": rating} for film, rating in history.items()], "k": 10}
    request, diverse = (
        ExampleRequest("/v1/recommendations", json.dumps(body | options).encode())
        for options in ({}, {"diversity": 0.3})
    )
    row = {"history": ";".join(f"{film}:{rating}" for film, rating in history.items()), "k": 10}
    word = max((word for film in ranked[:100] for word in film.name.split() if word.isalpha()), key=len)
    search = ExampleRequest(f"/v1/films?query={quote(word[:2] + word[3:])}", b"")
    others = {"ours, diverse": diverse, "ours, a search with a typo": search}
    return Inputs(request, [row, {"history": "[]"}], others)


def one_photograph(bundle: Path) -> Inputs:
    """Return a JPEG file, as a browser uploads it."""
    del bundle
    photo = photograph()
    request = upload(photo, "/v1/classifications")
    heat = replace(request, path="/v1/classifications?heat=true")
    return Inputs(request, [{"picture": base64.b64encode(photo).decode()}], {"ours, with heat map": heat})


def photograph() -> bytes:
    """Return a JPEG file with as much detail as a photograph: smooth noise at several scales."""
    rng = np.random.default_rng(0)
    layers = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(PHOTO_SIZE))
        for side in (3, 12, 48, 192)
    ]
    stream = io.BytesIO()
    mixed = np.average(layers, axis=0, weights=[8, 4, 2, 1]).astype(np.uint8)
    Image.fromarray(mixed).save(stream, "JPEG", quality=90)
    return stream.getvalue()
