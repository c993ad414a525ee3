"""Films: those of 2013 come out. Nobody has seen one when the model learns; then everybody watches them.

Half of the people of the sample of MovieTweetings are learned from, without the films of 2013; the others are the
traffic. Each of them asks once a step, with a history that was theirs, and says later what they rated next: before the
change without the films of 2013, after it with them.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from drill_scenario import Call, Scenario
from recommender.config import MAX_HISTORY
from recommender.data.source import SAMPLE

NEW = "(2013)"  # in the title of a film
SEED = 0
NEXT = 10  # films at most that somebody tells of
FEWEST = 5  # films of a history
LIKED, DISLIKED = 7, 4  # of ten, from and to
ALIKE = 2  # steps before people are others: those whom the new model learned from shall not judge it


class Rating(NamedTuple):
    """A line of the sample: film and rating as they stand there, when, and whether it is a film of 2013."""

    film: str
    rating: int
    at: int
    new: bool


@cache
def people() -> tuple[tuple[Rating, ...], ...]:
    """Return the ratings of each person of the sample, the oldest first; people in an order of no meaning."""
    with zipfile.ZipFile(SAMPLE.checked()) as packed:
        ratings, films = (packed.read(name).decode().splitlines() for name in ("ratings.dat", "movies.dat"))
    new = {film for film, title, _ in (line.split("::") for line in films) if title.endswith(NEW)}
    of: dict[str, list[Rating]] = {}
    for person, film, rating, at in (line.split("::") for line in ratings):
        of.setdefault(person, []).append(Rating(film, int(rating), int(at), film in new))
    everybody = [tuple(sorted(ratings, key=lambda each: each.at)) for ratings in of.values()]
    return tuple(everybody[i] for i in np.random.default_rng(SEED).permutation(len(everybody)))


def before(ratings: Sequence[Rating]) -> list[Rating]:
    """Return somebody's ratings as if no film of 2013 had come out."""
    return [each for each in ratings if not each.new]


def cut(ratings: Sequence[Rating]) -> tuple[Sequence[Rating], Sequence[Rating]]:
    """Return a history and what is told of later, the last fifth of the ratings; nothing of somebody with too few."""
    history = ratings[: len(ratings) - min(NEXT, len(ratings) // 5)]
    return (history, ratings[len(history) :]) if len(history) >= FEWEST and len(history) < len(ratings) else ((), ())


def write_data(folder: Path) -> str:
    """Write what is learned from into a folder: half of the people, before 2013, but for what they rate next."""
    place = folder / "films-before-2013"
    place.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(SAMPLE.checked()) as packed:
        (place / "movies.dat").write_bytes(packed.read("movies.dat"))
    lines = []
    for number, ratings in enumerate(people()[::2], start=1):
        history, _ = cut(before(ratings))
        lines += [f"{number}::{each.film}::{each.rating}::{each.at}\n" for each in history]
    (place / "ratings.dat").write_text("".join(lines), encoding="utf-8")
    return str(place)


def requests(_bundle: Path, n: int, drifted: bool, seed: int) -> list[Call]:  # noqa: FBT001 - as a scenario is asked
    """Return a request of each of n people of the other half; of fewer, if there are not so many."""
    rng, everybody = np.random.default_rng(seed), people()[1::2]
    groups = range(0, len(everybody), 2), range(1, len(everybody), 2)
    found = []
    for person in rng.permutation(groups[seed > ALIKE]).tolist():
        ratings = everybody[person] if drifted else before(everybody[person])
        if drifted and seed > ALIKE:  # those who judge come back on another day, with another history
            ratings = ratings[: int(rng.integers(len(ratings) * 3 // 4, len(ratings) + 1))]
        history, then = cut(ratings)
        if then and (not drifted or any(each.new for each in history)):
            found.append(call(f"person-{person}", history, then, drifted=drifted))
    return found[:n]


def call(person: str, history: Sequence[Rating], then: Sequence[Rating], *, drifted: bool) -> Call:
    """Return the request of somebody with a history, who knows what they rated then."""
    films = [{"film_id": int(each.film), "rating": max(each.rating, 1) / 2} for each in history]
    body = json.dumps({"history": films[-MAX_HISTORY:]}).encode()
    return Call("/v1/recommendations", body, "application/json", person, drifted, tuple(then))


def truth(call: Call, _answer: Mapping[str, Any], _index: int) -> object:
    """Return what the person rated next, whether it was recommended or not."""
    opinions = {each.film: True if each.rating >= LIKED else None for each in call.item}
    opinions |= {each.film: False for each in call.item if each.rating <= DISLIKED}
    return {"watched": [{"film_id": int(film), "liked": liked} for film, liked in opinions.items()]}


SCENARIO = Scenario(
    drift="the films of 2013 come out, and people watch them",
    column="unknown_share,popularity,age",
    requests=requests,
    truth=truth,
    rollout="interleave",
    flags=("--grid-seconds", "0"),  # rank and penalty as found on MovieLens: the same for both models
    data=write_data,
)
