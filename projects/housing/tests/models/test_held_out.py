import numpy as np

from housing.models.held_out import HeldOut


def test_stored_prices_replace_those_of_the_same_houses_alone():
    """Parcel 2 was sold at another price here, and parcel 3 was never held out: what the model says now stands."""
    stored = HeldOut(np.array(["1", "2"]), np.array([100.0, 200.0]), np.array([110.0, 190.0]))
    now = stored.instead_of(np.array([7.0, 8.0, 9.0]), keys=["3", "1", "2"], paid=np.array([300.0, 100.0, 250.0]))
    np.testing.assert_array_equal(now, [7.0, 110.0, 9.0])
    known = stored.holds(keys=["3", "1", "2"], paid=np.array([300.0, 100.0, 250.0]))
    assert known.tolist() == [False, True, False]
