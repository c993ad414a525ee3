"""Four ways to hide ratings from the models: by each user's time, after a pause, by one date for everyone, at random.

A user may be in a test only with a history before it. Who is not in it is counted in `Split.excluded`:
`evaluated_users` and the counts go into every table.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings

MIN_HISTORY = 5  # ratings that must stay for training where a user is evaluated
HIDDEN = 0.2  # of each user's ratings, for the test; as many before them are for validation
TRAIN, VALIDATION, TEST = 0, 1, 2
DAY = 24 * 3600  # seconds
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Three parts of one table; every rating is in exactly one of them.

    Attributes
    ----------
    train, validation, test
        In the order of `Ratings`. Models are tuned by fitting on `train` and looking at `validation`; the final
        ones are fitted on both (`before_test`) and meet `test` once.
    catalogue
        The films of all parts.
    excluded
        Why users are not evaluated on the test, to their number; and the same for test items that no model can
        know because nobody rated them before.
    """

    train: Ratings
    validation: Ratings
    test: Ratings
    before_test: Ratings
    catalogue: Catalogue
    excluded: dict[str, int]


def split_by_user_time(ratings: Ratings, catalogue: Catalogue, *, share: float = HIDDEN) -> Split:
    """Hide the last `share` of each user's ratings for the test, and the same number before it for validation.

    The number is rounded down, so a user with 20 ratings has 12 for training, 4 for validation and 4 for the test.
    Ratings of one second are ordered by item. Other users' later ratings are in the training part: this measures
    how well a history is continued, not how well the future is foreseen; `split_by_date` does.
    """
    counts = ratings.user_counts()
    hidden = np.floor(counts * share + 1e-9).astype(np.int64)  # 0.29 * 100 is 28.999999999999996
    hidden[counts - 2 * hidden < MIN_HISTORY] = 0
    from_end = ratings.offsets()[1:][ratings.users] - 1 - np.arange(len(ratings))
    n_hidden = hidden[ratings.users]
    part = np.where(from_end < n_hidden, TEST, np.where(from_end < 2 * n_hidden, VALIDATION, TRAIN))
    return _split(ratings, catalogue, part)


def split_by_pause(ratings: Ratings, catalogue: Catalogue, *, pause: int = DAY, share: float = 0.2) -> Split:
    """Hide what each user rated after a pause of at least so many seconds: nobody's sitting goes on into the test.

    Of several pauses it is the one that comes nearest to hiding the last `share` of the ratings, the later of two that
    are equally near; `MIN_HISTORY` ratings come before it. Users without such a pause stay for training, and
    `Split.excluded` counts them. There is no validation part: what is measured here was chosen on another split.
    """
    offsets, part = ratings.offsets(), np.full(len(ratings), TRAIN)
    for start, end in itertools.pairwise(offsets.tolist()):
        times = ratings.times[start:end]
        cuts = np.flatnonzero(np.diff(times) >= pause) + 1  # ratings before each pause
        cuts = cuts[cuts >= MIN_HISTORY]
        if len(cuts):
            distances = np.abs(cuts - (1 - share) * len(times))
            part[start + cuts[len(cuts) - 1 - np.argmin(distances[::-1])] : end] = TEST
    split = _split(ratings, catalogue, part)
    (_, number), *others = split.excluded.items()
    label = f"users without a pause of {pause // 3600} hours after {MIN_HISTORY} ratings"
    return replace(split, excluded={label: number, **dict(others)})


def split_by_date(ratings: Ratings, catalogue: Catalogue, *, share: float = 0.2) -> Split:
    """Hide everything after one point in time, the same for all users: what a service in production faces.

    The last `share` of all ratings are the test, the same number before them the validation; ratings of the second
    in which a part would begin go to the earlier part. A user is evaluated if they have enough history before and
    any rating after the cut; on data of few users that may leave a handful.
    """
    ordered = np.sort(ratings.times)
    n_hidden = int(len(ordered) * share)
    if n_hidden == 0:
        raise ValueError(f"{len(ordered)} ratings are too few to hide a share of {share}")
    test_after, validation_after = ordered[-n_hidden - 1], ordered[-2 * n_hidden - 1]
    part = np.where(ratings.times > test_after, TEST, np.where(ratings.times > validation_after, VALIDATION, TRAIN))
    return _split(ratings, catalogue, part)


def split_at_random(ratings: Ratings, catalogue: Catalogue, *, share: float = 0.25, seed: int = 0) -> Split:
    """Hide a random `share` of each user's ratings for the test, and the same share of the rest for validation.

    Published tables often use it, and it flatters: a model sees what the user did after the rating it predicts.
    """
    counts = ratings.user_counts()
    n_test = np.floor(counts * share + 1e-9).astype(np.int64)
    n_validation = np.floor((counts - n_test) * share + 1e-9).astype(np.int64)
    n_test[counts - n_test < MIN_HISTORY] = 0
    n_validation[counts - n_test - n_validation < MIN_HISTORY] = 0
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(ratings)), ratings.users))
    rank = np.empty(len(ratings), dtype=np.int64)
    rank[shuffled] = np.arange(len(ratings)) - ratings.offsets()[ratings.users[shuffled]]
    first, second = n_test[ratings.users], (n_test + n_validation)[ratings.users]
    return _split(ratings, catalogue, np.where(rank < first, TEST, np.where(rank < second, VALIDATION, TRAIN)))


def evaluated_users(before: Ratings, hidden: Ratings) -> NDArray[np.int64]:
    """Return the users with a history of at least `MIN_HISTORY` before, and with something hidden to find."""
    return np.flatnonzero((before.user_counts() >= MIN_HISTORY) & (hidden.user_counts() > 0))


def _split(ratings: Ratings, catalogue: Catalogue, part: NDArray[np.int64]) -> Split:
    train, validation, test = (ratings.where(part == number) for number in (TRAIN, VALIDATION, TEST))
    before = ratings.where(part != TEST)
    counts = (before.user_counts(), test.user_counts(), before.item_counts(), ratings.item_counts())
    return Split(train, validation, test, before, catalogue, exclusions(*counts))


def exclusions(histories: Counts, hidden: Counts, raters: Counts, rated: Counts) -> dict[str, int]:
    """Return what `Split.excluded` says.

    Parameters
    ----------
    histories, hidden
        Shape (n_users,): ratings of each user before the test and in it.
    raters, rated
        Shape (n_films,): users who rated each film before the test, and in any part.
    """
    unknown = rated[raters == 0]  # films whose ratings are all in the test
    return {
        "users without a rating in the test": int(((hidden == 0) & (histories > 0)).sum()),
        f"users with fewer than {MIN_HISTORY} ratings before the test": int(
            ((hidden > 0) & (histories < MIN_HISTORY)).sum()
        ),
        "films of the test that nobody rated before": int((unknown > 0).sum()),
        "ratings of such films, which count as missed": int(unknown.sum()),
    }
