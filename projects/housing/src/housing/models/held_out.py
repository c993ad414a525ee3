"""What a model said of its test houses before it was fitted to them too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """Test houses, and the prices that the model gave them while it had not seen them; one row a house.

    A model that was refitted on all rows knows these prices: whoever compares it on these houses must take what is
    stored here. A house is known by its parcel and the price paid, because other data may have the same numbers.
    """

    keys: NDArray[np.str_]
    paid: Floats  # dollars
    predicted: Floats  # dollars

    def holds(self, *, keys: Sequence[str], paid: Floats) -> NDArray[np.bool_]:
        """Return which houses are among these, shape (n,)."""
        known = {*zip(self.keys.tolist(), self.paid.tolist(), strict=True)}
        return np.array([house in known for house in zip(keys, paid.tolist(), strict=True)], dtype=bool)

    def instead_of(self, predicted: Floats, *, keys: Sequence[str], paid: Floats) -> Floats:
        """Return `predicted`, shape (n,), with what is stored in place of it wherever a house is among these."""
        rows = zip(self.keys.tolist(), self.paid.tolist(), strict=True)
        stored = dict(zip(rows, self.predicted.tolist(), strict=True))
        asked = zip(keys, paid.tolist(), predicted.tolist(), strict=True)
        return np.array([stored.get((key, price), now) for key, price, now in asked])
