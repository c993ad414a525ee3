"""People of the prediction log beside those of the data: what feedback says that they watched, within limits.

What they teach is kept as private as the data are. Of a film that fewer than `min_raters` people rated a model learns
nothing; here the people of the data are counted alone, and those of the log alone. Else somebody who sends four made-up
people could lift a film over the limit that one person rated, and two bundles, with and without the log, would differ
by what a single person watched.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings
from recommender.data.splits import Split


@dataclass(frozen=True)
class Person:
    """Somebody who asked, and said later what they watched.

    Attributes
    ----------
    stars
        Film ids to stars, NaN where none were given, in the order in which the films were watched.
    at
        When they said so, in seconds since 1970.
    client
        Who said so. Nobody knows how many people those without a name are: they count as one.
    """

    stars: Mapping[int, float]
    at: float
    client: str


def newest(people: Sequence[Person], most: int, *, min_raters: int) -> Sequence[Person]:
    """Return the last people that have at most so many ratings of films that `min_raters` of their clients rated."""
    raters = Counter(film for _, film in {(person.client, film) for person in people for film in person.stars})
    counts = [sum(raters[film] >= min_raters for film in person.stars) for person in reversed(people)]
    return people[len(people) - int(np.searchsorted(np.cumsum(counts), most, side="right")) :]


def join(ratings: Ratings, people: Sequence[Person], catalogue: Catalogue) -> Ratings:
    """Return the ratings and, with the next numbers, those of the people: of films that the catalogue has."""
    rows = [
        (ratings.n_users + number, catalogue.position[film], stars, int(person.at) - len(person.stars) + place)
        for number, person in enumerate(people)
        for place, (film, stars) in enumerate(person.stars.items())
        if film in catalogue.position
    ]
    names = ("users", "items", "values", "times")
    added = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    columns = {
        name: np.concatenate([old := getattr(ratings, name), np.array(added[name], dtype=old.dtype)]) for name in names
    }
    return Ratings(**columns, n_users=ratings.n_users + len(people), n_items=ratings.n_items)


def learn_from(split: Split, people: Sequence[Person], *, min_raters: int) -> Split:
    """Return the split with the people in what models are fitted on; the validation and the test stay as they are.

    Left out are ratings of the people of films that fewer than `min_raters` clients of them rated. Of films that enough
    of them and too few people of the data rated, the ratings of the data are left out.
    """
    base = split.before_test
    joined = join(base, people, split.catalogue)
    of_log = joined.users >= base.n_users
    _, clients = np.unique(np.array([person.client for person in people], dtype=np.str_), return_inverse=True)
    raters = np.unique(np.stack([clients[joined.users[of_log] - base.n_users], joined.items[of_log]]), axis=1)
    by_log = np.bincount(raters[1], minlength=base.n_items) >= min_raters
    by_data = base.item_counts() >= min_raters

    def kept(part: Ratings) -> Ratings:
        both = join(part, people, split.catalogue)
        return both.where(np.where(both.users >= base.n_users, by_log[both.items], (by_data | ~by_log)[both.items]))

    hidden = {name: replace(getattr(split, name), n_users=joined.n_users) for name in ("validation", "test")}
    return replace(split, train=kept(split.train), before_test=kept(base), **hidden)
