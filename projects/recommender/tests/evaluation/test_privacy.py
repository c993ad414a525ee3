"""The attacks find what is there to be found, and nothing where there is nothing."""

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.config import AlsSettings, EaseSettings, ModelSettings
from recommender.data.load import Dataset
from recommender.evaluation.privacy import LEAST_FILMS, attack, complete, read_back
from recommender.models.als import fit_als
from recommender.models.ease import fit_ease
from recommender.models.fit import SERVABLE, recipes
from recommender.models.fold_in import FoldIn
from recommender.models.item_factors import ItemFactors

EVERYBODY = np.arange(300)


@pytest.fixture(scope="module")
def marked(sample: Dataset) -> sp.csr_array:
    """Everybody has rated one more film, which nobody else did: in the real rows only some have."""
    return sp.csr_array(sp.hstack([sample.ratings.matrix(), sp.eye_array(300, dtype=np.float32)]))


def blocks(n_users: int = 6, length: int = 12) -> tuple[ItemFactors, sp.csr_array]:
    """Every user has films of their own, and the factors of a film are those of its user: nothing is hidden."""
    own = np.kron(np.eye(n_users, dtype=np.float32), np.ones((1, length), dtype=np.float32))
    return ItemFactors(np.ascontiguousarray(0.5 * own.T), np.ones(own.shape[1], dtype=np.bool_)), sp.csr_array(own)


def test_factors_that_are_histories_are_read_completely() -> None:
    model, X = blocks()
    np.testing.assert_array_equal(read_back(model, X, np.arange(6)), 1.0)
    np.testing.assert_array_equal(complete(model, X, np.arange(6)), 1.0)


def test_a_share_is_counted_by_hand() -> None:
    """The history is films 18 to 29; 18 to 26 lie furthest out, then come strange films, then 27 to 29."""
    X = np.zeros((2, 30), dtype=np.float32)
    X[0, 18:] = X[1, :18] = X[1, 24:] = 1  # so 18 to 23 are the rarest of user 0, and 18 to 22 the keys
    place = np.full(30, 0.4, dtype=np.float32)
    place[18:27], place[27:] = 0.5, 0.1
    model = ItemFactors(place[:, None], np.ones(30, dtype=np.bool_))
    # Each key leads to the other 8 of the furthest and to 3 strange films; all keys together to the other 4 and to 3
    # strange ones, which is less; by cosine all films are alike, and the first ones are strange.
    assert read_back(model, sp.csr_array(X), np.array([0])).tolist() == [8 / 11]


def test_random_factors_tell_nothing(sample: Dataset) -> None:
    rng = np.random.default_rng(0)
    n_films = len(sample.catalogue)
    factors = (rng.normal(size=(n_films, 8)) / 30).astype(np.float32)
    shares = read_back(ItemFactors(factors, np.ones(n_films, dtype=np.bool_)), sample.ratings.matrix(), EVERYBODY)
    density = sample.ratings.matrix().mean()
    assert shares.mean() < 3 * density  # the best of twelve guesses is somewhat better than one


def test_histories_of_few_films_that_the_model_knows_are_left_out() -> None:
    model, X = blocks()
    enough = np.arange(X.shape[1]) % 12 < LEAST_FILMS - 1
    assert len(read_back(ItemFactors(model.factors, enough), X, np.arange(6))) == 0
    enough = np.arange(X.shape[1]) % 12 < LEAST_FILMS
    assert len(read_back(ItemFactors(model.factors, enough), X, np.arange(6))) == 6


def test_what_one_person_alone_rated_leads_to_their_history_unless_it_is_left_out(marked: sp.csr_array) -> None:
    """The models differ in `min_raters` alone: with it at 1 both give histories away.

    Both have fewer directions than half of the people: of 300 people, as many as the people would show them even so.
    """
    options = {"n_factors": 64, "regularization": 1.0, "alpha": 5.0}
    open_ease, kept_ease = (fit_ease(marked, penalty=1000.0, rank=128, min_raters=least) for least in (1, 5))
    open_als, kept_als = (fit_als(marked, **options, min_raters=least) for least in (1, 5))
    for open_model, kept in ((open_ease, kept_ease), (open_als, kept_als)):
        users = EVERYBODY[::20]
        assert read_back(open_model, marked, users).mean() > 0.8
        assert (read_back(kept, marked, users) < 0.9).all()


def test_both_kinds_that_are_served_pass(marked: sp.csr_array, sample: Dataset) -> None:
    settings = ModelSettings(als=AlsSettings(n_factors=32), ease=EaseSettings(rank=64, min_raters=5))
    fits = recipes(settings, sample.ratings, sample.catalogue)
    X = sample.ratings.matrix()
    for name in SERVABLE:
        model = fits[name].fit(X)
        assert isinstance(model, ItemFactors | FoldIn)
        exposure = attack(model, X, members=EVERYBODY[:40], non_members=EVERYBODY[40:60])
        assert exposure.read_completely == 0
        assert 0 < exposure.share_read < 1


@pytest.mark.long
def test_a_model_that_remembers_fills_in_more_for_those_it_learned_from(sample: Dataset) -> None:
    X = sample.ratings.matrix()
    members, non_members = EVERYBODY[:150], EVERYBODY[150:]
    model = fit_ease(X[members], penalty=1.0)
    exposure = attack(model, X, members=members, non_members=non_members)
    assert exposure.precision_members > exposure.precision_non_members + 0.2
    assert exposure == attack(model, X, members=members, non_members=non_members)
