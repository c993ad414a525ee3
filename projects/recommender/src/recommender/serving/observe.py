"""What is watched of films: the truth that feedback brings, and the columns that are compared with the training.

The reference is of the people of the training, with all of their ratings: what the test says of the model, it says of
histories like theirs. A person's own ratings are taken out of the counts of their films, because those of a newcomer
are not in there either. A bundle holds nobody's row: numbers are rounded, and each column is sorted before it is
shuffled, so that whoever undoes the shuffle finds a sorted column. The columns are then less alike than those of a
window, which makes the largest of their differences look smaller by chance, never larger.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import REFERENCE_ROWS, Columns, Measure, RowColumns, Watch
from portfolio_shared.serving.bounds import Items
from portfolio_shared.serving.schemas import Strict
from recommender.config import MAX_HISTORY, MODEL_NAME
from recommender.data.catalogue import Catalogue, load_catalogue
from recommender.models.prediction import Seen
from recommender.models.predictor import CATALOGUE_FILE, Predictor
from recommender.serving.schemas import BatchRequest, FilmId, Options, RecommendationRequest

if TYPE_CHECKING:  # a service imports this module, and no SciPy
    import numpy as np
    from numpy.typing import NDArray

    from recommender.data.ratings import Ratings

DECIMALS = {
    "history_length": 0,  # films
    "share_rated": 2,  # of them with stars
    "mean_stars": 1,  # of those
    "popularity": 1,  # mean of log(other people of the training who rated the film)
    "age": 1,  # mean of the years from the film to the newest of the catalogue
    "unknown_share": 2,  # of films that fewer than `LEARNED` other people rated, ids that no film has among them
    "recommended_popularity": 1,  # mean of log(people of the training who rated the film), first films of the answer
}
"""Columns, and to how many decimals they are kept.

The chance of the first film is none of them. The more people a model has learned from, the surer it is: no model that
did not see somebody is as sure of them as the served one is of a newcomer.
"""
LEARNED = 5  # raters from which on a film is learned from; the default of `min_raters`
FIRST = 5  # films of an answer that are looked at
MOST_WATCHED = 100  # films, in the month or less that a prediction is kept
FOLDS = 10  # with 5 the films answered are less popular by 0.03 standard deviations, with 10 by 0.01
"""Parts of all people; each part that is looked at costs a fit: ten up to 2,000 people, one from 20,000 on."""


class Watched(Strict):
    """A film that somebody watched, and whether they liked it."""

    film_id: FilmId
    liked: bool | None = Field(default=None, strict=True, description="None: watched, and nothing said")


class Truth(Strict):
    """What somebody watched after an answer."""

    watched: Annotated[list[Watched], Items(most=MAX_HISTORY)] = Field(
        description="All films watched since: what is said later replaces what was said before"
    )


def reference(
    catalogue: Catalogue,
    ratings: "Ratings",
    learned: "Ratings",
    without: "Callable[[NDArray[np.int64]], Predictor]",
    *,
    of: int | None = None,
    seed: int = 0,
) -> Columns:
    """Return the columns of the people that a model learned from, of some of them if they are many.

    Parameters
    ----------
    ratings
        All that these people rated: nothing of what a newcomer brings is held out.
    learned
        Those of them that the model learned from, and in which the films of the catalogue are counted.
    without
        People -> the predictor as it would be if they had not been learned from: what a model answers to people whom
        it saw is no measure of what it answers to others like them.
    of
        How many people the model learned from, if the ratings are those of some; None: they are those of all.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    ids = np.array([film.id for film in catalogue.films])
    ends, learned_ends = ratings.offsets(), learned.offsets()
    rows_of: list[dict[str, float]] = []
    everybody = rng.permutation(np.flatnonzero(learned.user_counts()))
    for fold in np.array_split(everybody, math.ceil(FOLDS * len(everybody) / (of or len(everybody)))):
        people = fold[: REFERENCE_ROWS - len(rows_of)]
        if len(people) == 0:
            break
        rows = [slice(max(ends[person], ends[person + 1] - MAX_HISTORY), ends[person + 1]) for person in people]
        histories = [list(map(Seen, ids[ratings.items[each]].tolist(), ratings.values[each].tolist())) for each in rows]
        answers = without(people).predict(histories, k=FIRST, n_reasons=0, chances=False)
        for person, history, answer in zip(people, histories, answers, strict=True):
            own = set(ids[learned.items[learned_ends[person] : learned_ends[person + 1]]].tolist())
            rows_of.append(columns_of(catalogue, history, answer.ids, own=own))
    return {name: rng.permutation(np.sort([row.get(name, np.nan) for row in rows_of])) for name in DECIMALS}


def columns(bundle: Path) -> RowColumns:
    """Return what gives the columns of each history of a logged request, with the catalogue of a bundle."""
    catalogue = load_catalogue(bundle / CATALOGUE_FILE)

    def of(row: LoggedPrediction) -> list[dict[str, float]]:
        histories, options = _asked(row)
        of_others = _narrowed(options) or interleaved(row)
        answered = [[] if of_others else result for result in _answered(row)]
        return [columns_of(catalogue, *pair) for pair in zip(histories, answered, strict=True)]

    return of


def columns_of(
    catalogue: Catalogue, history: Sequence[Seen], answered: Sequence[int], *, own: Collection[int] = ()
) -> dict[str, float]:
    """Return the columns of one history; an empty one says nothing of anybody, and has none.

    Parameters
    ----------
    answered
        Ids of the films, best first; empty if the answer says more of filters or another model than of the history.
    own
        Ids of the films in whose counts the person is.
    """
    stars = {seen.film_id: seen.stars for seen in history}
    if not stars:
        return {}
    films = [catalogue.films[catalogue.position[film]] for film in stars if film in catalogue.position]
    others = [film.n_ratings - (film.id in own) for film in films]
    newest = int(catalogue.years.max())
    first = [catalogue.films[catalogue.position[film]] for film in answered[:FIRST] if film in catalogue.position]
    lists: dict[str, list[float]] = {
        "history_length": [len(stars)],
        "share_rated": [given is not None for given in stars.values()],
        "mean_stars": [given for given in stars.values() if given is not None],
        "popularity": [math.log(count) for count in others if count > 0],
        "unknown_share": [1 - sum(count >= LEARNED for count in others) / len(stars)],
        "age": [newest - film.year for film in films if film.year],
        "recommended_popularity": [math.log(film.n_ratings) for film in first if film.n_ratings > 0],
    }
    return {name: round(fmean(values), DECIMALS[name]) for name, values in lists.items() if values}


def _asked(row: LoggedPrediction) -> tuple[Sequence[Sequence[Seen]], Options]:
    if row.route.endswith("/batch"):
        batch = BatchRequest.model_validate_json(row.request)
        return batch.histories, batch
    request = RecommendationRequest.model_validate_json(row.request)
    return [request.history], request


def _answered(row: LoggedPrediction) -> list[list[int]]:
    """Return the ids of the films of each history's answer."""
    answer = json.loads(row.response)
    results = answer.get("results", [answer])
    return [[recommended["film"]["film_id"] for recommended in result["recommendations"]] for result in results]


def _narrowed(options: Options) -> bool:
    """Return whether an answer shows more than the history, or fewer films than are looked at."""
    plain = Options(k=options.k)
    return options.k < FIRST or any(getattr(options, name) != getattr(plain, name) for name in Options.model_fields)


def measure(row: LoggedPrediction, index: int, truth: Truth) -> dict[str, float]:
    """Return what the films that somebody watched say of the answer to one history.

    Whoever tells of films of the list alone, as the page does, says nothing of what else they watched. A list of two
    models says nothing of either alone.
    """
    if interleaved(row):
        return {}
    shown = set(_answered(row)[index])
    liked = {watched.film_id: watched.liked for watched in truth.watched}
    new = liked.keys() - {seen.film_id for seen in history_of(row, index)}
    said = [opinion for film, opinion in liked.items() if film in shown and opinion is not None]
    found = {"found": len(new & shown) / len(new)} if new - shown else {}
    return found | ({"liked": fmean(said)} if said else {})


def interleaved(row: LoggedPrediction) -> bool:
    """Return whether a challenger picked some of the films."""
    return json.loads(row.response).get("interleaved_with") is not None


def about(row: LoggedPrediction, index: int) -> str:
    """Return whose history it is; without a name, the history."""
    asked = json.loads(row.request)
    return row.subject or json.dumps(asked["histories"][index] if "histories" in asked else asked["history"])


def preference(row: LoggedPrediction, index: int, truth: Truth, challenger: str) -> float | None:
    """Return whose films of an interleaved list were watched, and not disliked, more often: 1, 0 or -1."""
    answer = json.loads(row.response)
    if answer.get("interleaved_with") != challenger:
        return None
    liked = {watched.film_id: watched.liked for watched in truth.watched}
    welcome = {film for film, opinion in liked.items() if opinion is not False}
    teams = zip(_answered(row)[index], answer["teams"], strict=True)
    hits = Counter(team for film, team in teams if film in welcome)
    return float((hits["challenger"] > hits["champion"]) - (hits["challenger"] < hits["champion"]))


def doubt(_row: LoggedPrediction, _index: int, truth: Truth) -> str | None:
    """Return why nobody can have watched all this, or None."""
    films = len({watched.film_id for watched in truth.watched})
    return f"more than {MOST_WATCHED} films watched since" if films > MOST_WATCHED else None


def history_of(row: LoggedPrediction, index: int) -> Sequence[Seen]:
    """Return what somebody had seen when they asked."""
    return _asked(row)[0][index]


def shown_to(row: LoggedPrediction, index: int) -> list[int]:
    """Return the ids of the films that they were shown."""
    return _answered(row)[index]


WATCH = Watch(
    model=MODEL_NAME,
    truth=Truth,
    columns=columns,
    # The test asks for the films that came next. Feedback tells of some films of some people, whenever it is given: it
    # is compared with no metric of the test.
    measures={
        "found": Measure("watched films that had been recommended, of people who tell of others too", None, "higher"),
        "liked": Measure("recommended films that were liked, of those watched", None, "higher"),
    },
    measure=measure,
    # A list is judged by what was watched of it, and nobody saw the challenger's: lists are interleaved instead.
    loss=lambda *_: None,
    loss_label="",
    about=about,
    doubt=doubt,
    preference=preference,
)
