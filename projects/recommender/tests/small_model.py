"""What the repository's tests must know of this project: a training of seconds, a poor model, a request for everything.

Imports are inside the functions: a test that only trains needs no service.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any


def training(place: Path) -> dict[str, Any]:
    """Return the settings of a training that takes seconds; it may use the folder."""
    return {"data": str(write_slice(place / "active", 300)), "threads": 1}


def write_slice(folder: Path, n_people: int) -> Path:
    """Write the ratings of the sample's most active people into a folder, and return it; of the films those rated."""
    import zipfile

    from recommender.data.source import SAMPLE

    with zipfile.ZipFile(SAMPLE.checked()) as packed:
        ratings, movies = (packed.read(name).decode().splitlines() for name in ("ratings.dat", "movies.dat"))
    person_of = [line.split("::", 1)[0] for line in ratings]
    active = {person for person, _ in Counter(person_of).most_common(n_people)}
    kept = [line for line, person in zip(ratings, person_of, strict=True) if person in active]
    rated = {line.split("::")[1] for line in kept}
    folder.mkdir(parents=True)
    listed = [line for line in movies if line.split("::", 1)[0] in rated]
    for name, lines in (("ratings.dat", kept), ("movies.dat", listed)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def poor(trained: Any) -> Any:
    """Return a predictor that has learned nothing: its films lie in random directions."""
    import numpy as np

    model = trained.predictor.model
    noise = np.random.default_rng(0).normal(size=model.factors.shape).astype(model.factors.dtype)
    noise /= 2 * np.linalg.norm(noise, axis=1, keepdims=True)  # EASE's are shorter than 1
    return replace(trained.predictor, model=replace(model, factors=noise))


def full_request(trained: Any) -> Any:
    """Return a request for everything that the service can answer: the films are of those that the model has seen."""
    import json

    from portfolio_shared.serving.schemas import ExampleRequest

    history = [{"film_id": film.id, "rating": 4.5} for film in trained.predictor.catalogue.films[:3]]
    return ExampleRequest("/v1/recommendations", json.dumps({"history": history, "diversity": 0.3}).encode())
