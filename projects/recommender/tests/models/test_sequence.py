import numpy as np

from recommender.data.ratings import order_ratings
from recommender.models.sequence import POPULAR, fit_sequence_rules


def ratings(*histories):
    """Return ratings of people who rated these films, one a second."""
    users = np.concatenate([np.full(len(films), user, dtype=np.int32) for user, films in enumerate(histories)])
    items = np.concatenate(histories).astype(np.int32)
    times = np.concatenate([np.arange(len(films)) for films in histories])
    values = np.full(len(users), 4.0, dtype=np.float32)
    return order_ratings(users, items, values, times, n_users=len(histories), n_items=5)[0]


def test_a_markov_chain_counts_what_came_directly_after_the_last_film():
    model = fit_sequence_rules(ratings([0, 1, 2], [0, 1, 3], [1, 3]), window=1, last=1)
    assert model.follows.toarray()[1].tolist() == [0, 0, 1, 2, 0]
    scores = model.scores(np.array([0, 1]), np.ones(2, dtype=np.float32))
    assert scores.argsort()[::-1][:2].tolist() == [3, 2]
    # What never followed is ordered by popularity, and stays below what did.
    assert scores[1] == np.float32(POPULAR * 3 / 8) > scores[4] == 0
    assert scores[2] > scores[1]


def test_rules_count_later_films_less_and_let_earlier_ones_vote():
    model = fit_sequence_rules(ratings([0, 1, 2]), window=2, last=2)
    assert model.follows.toarray()[0].tolist() == [0, 1, 0.5, 0, 0]
    votes = model.scores(np.array([0, 4]), np.ones(2, dtype=np.float32))
    assert votes[1] == np.float32(0.5 + POPULAR / 3)  # one place back: half a vote


def test_nothing_follows_from_one_person_to_the_next():
    model = fit_sequence_rules(ratings([0, 1], [2, 3]), window=3, last=1)
    assert model.follows.toarray().nonzero()[0].tolist() == [0, 2]
