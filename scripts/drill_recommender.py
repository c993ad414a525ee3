"""Films: the summer of 2013 comes. What people of MovieTweetings watched from July on, few had seen before.

Half of the people of the sample are learned from, with what they rated before July; the others are the traffic. Each
of them asks once a step, with a history that was theirs, and says later what they rated next. One thing is made up: the
order in which somebody rated the films from before July. MovieTweetings changes every week, so that newer data are
better to learn from at any time; in an order that is drawn by lot nothing changes before the summer does.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from drill_scenario import Call, Scenario
from recommender.config import MAX_HISTORY
from recommender.data.source import SAMPLE

SUMMER = datetime(2013, 7, 1, tzinfo=UTC).timestamp()
SEED = 0
NEXT = 10  # films at most that somebody tells of
FEWEST = 5  # films of a history
LIKED, DISLIKED = 7, 4  # of ten, from and to
ALIKE = 2  # steps before people are others: those whom the new model learned from shall not judge it


class Rating(NamedTuple):
    """A line of the sample: film and rating as they stand there, and when."""

    film: str
    rating: int
    at: int


@cache
def people() -> tuple[tuple[Rating, ...], ...]:
    """Return the ratings of each person of the sample, in order; people, and films before the summer, in any order."""
    with zipfile.ZipFile(SAMPLE.checked()) as packed:
        lines = [line.split("::") for line in packed.read("ratings.dat").decode().splitlines()]
    of: dict[str, list[Rating]] = {}
    for person, film, rating, at in lines:
        of.setdefault(person, []).append(Rating(film, int(rating), int(at)))
    rng, everybody = np.random.default_rng(SEED), []
    for ratings in of.values():
        ratings.sort(key=lambda each: each.at)
        n_before = before_summer(ratings)
        drawn = [ratings[i] for i in rng.permutation(n_before)]
        shuffled = [new._replace(at=old.at) for new, old in zip(drawn, ratings[:n_before], strict=True)]
        everybody.append((*shuffled, *ratings[n_before:]))
    return tuple(everybody[i] for i in rng.permutation(len(everybody)))


def before_summer(ratings: Sequence[Rating]) -> int:
    """Return how many of somebody's ratings are from before the summer."""
    return sum(each.at < SUMMER for each in ratings)


def cut(ratings: Sequence[Rating]) -> tuple[Sequence[Rating], Sequence[Rating]]:
    """Return a history and what is told of later, the last fifth of the ratings; nothing of somebody with too few."""
    history = ratings[: len(ratings) - min(NEXT, len(ratings) // 5)]
    return (history, ratings[len(history) :]) if len(history) >= FEWEST and len(history) < len(ratings) else ((), ())


def write_data(folder: Path) -> str:
    """Write what is learned from into a folder: half of the people, before the summer, but for what they rate next."""
    place = folder / "films-before-summer"
    place.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(SAMPLE.checked()) as packed:
        (place / "movies.dat").write_bytes(packed.read("movies.dat"))
    lines = []
    for number, ratings in enumerate(people()[::2], start=1):
        history, _ = cut(ratings[: before_summer(ratings)])
        lines += [f"{number}::{film}::{rating}::{at}\n" for film, rating, at in history]
    (place / "ratings.dat").write_text("".join(lines), encoding="utf-8")
    return str(place)


def requests(_bundle: Path, n: int, drifted: bool, seed: int) -> list[Call]:  # noqa: FBT001 - as a scenario is asked
    """Return a request of each of n people of the other half; of fewer, if there are not so many."""
    rng, everybody = np.random.default_rng(seed), people()[1::2]
    groups = range(0, len(everybody), 2), range(1, len(everybody), 2)
    found = []
    for person in rng.permutation(groups[seed > ALIKE]).tolist():
        ratings, end = everybody[person], (n_before := before_summer(everybody[person]))
        if drifted:  # those who judge come back some days or weeks earlier or later, with another history
            earliest = len(ratings) if seed <= ALIKE else (n_before + len(ratings)) // 2
            end = int(rng.integers(earliest, len(ratings) + 1))
        history, then = cut(ratings[:end])
        if then and (len(history) > n_before) == drifted:
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
    drift="the summer comes: people watch films that few had seen when the model learned",
    column="popularity,unknown_share,age,recommended_popularity",
    requests=requests,
    truth=truth,
    rollout="interleave",
    data=write_data,
)
