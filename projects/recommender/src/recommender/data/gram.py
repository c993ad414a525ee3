"""The Gram matrix of people's films, summed while ratings stream by: what EASE needs of any number of people.

With x one person's row of films, G is the sum of ``x xT`` over all people, so parts of it may be summed anywhere: in
this process over DuckDB's stream, or on Spark in each partition. NumPy and pyarrow alone, because Spark's environment
has no more. SciPy's product of sparse matrices gives the same G, at several times the time: people's rows are too
dense for it.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROWS = 2_048  # people at once: for 5,000 films a block of 41 MB, beside 300 MB of sums


def gram_of(batches: Iterable[pa.RecordBatch], n: int) -> NDArray[np.float64]:
    """Return the sum of ``x xT`` over people, shape (n, n).

    Whole numbers are summed exactly. Others are multiplied in single precision, 2,048 people at a time, and then added
    in double.

    Parameters
    ----------
    batches
        With three columns, read by their place: the person, the position of the film from 0 to n - 1, and its weight,
        which is what x has there. The rows of a person stand together, over as many batches as it takes; people come
        in any order. Without weights everything is one.
    n
        How many films.

    Raises
    ------
    ValueError
        If a position is not below n, or a person's rows do not stand together: then G would lack pairs of films.
    """
    G, product = np.zeros((n, n)), np.empty((n, n), dtype=np.float32)
    block = np.zeros((ROWS, n), dtype=np.float32)
    met: list[NDArray[np.integer]] = []  # people, in the order in which they came
    last: int | None = None  # the person of the row before
    place = -1  # how many people came before that one
    for batch in batches:
        if batch.num_rows == 0:
            continue
        people, films, weights = (column.to_numpy() for column in batch.columns)
        if films.min() < 0 or films.max() >= n:
            raise ValueError(f"positions of films from {films.min()} to {films.max()}; expected 0 to {n - 1}")
        begins = np.concatenate([[people[0] != last], people[1:] != people[:-1]])
        places = place + np.cumsum(begins)
        for first in range(max(place, 0) // ROWS * ROWS, int(places[-1]) + 1, ROWS):
            if first > place >= 0:  # the block before this one is full
                _add(block, G, product)
            start, end = np.searchsorted(places, [first, first + ROWS])
            block[places[start:end] - first, films[start:end]] = weights[start:end]
            place = max(place, first)
        met.append(people[begins])
        last, place = int(people[-1]), int(places[-1])
    _add(block, G, product)
    _check_together(met)
    return G


def gram_of_ratings(
    batches: Iterable[pa.RecordBatch],
    *,
    user_ids: NDArray[np.int64],
    weights: NDArray[np.float64],
    film_ids: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the same of ratings given as two columns, the ids of person and film; those of other films count nothing.

    Parameters
    ----------
    user_ids, weights
        Shape (n_users,): ids of all people, in ascending order, and how much each counts.
    film_ids
        Shape (n,): ids of the films of G, in ascending order.
    """

    def placed() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            people, films = (column.to_numpy() for column in batch.columns)
            places = np.searchsorted(film_ids[:-1], films)
            kept = film_ids[places] == films
            each = people[kept]
            columns = [each, places[kept], weights[np.searchsorted(user_ids, each)]]
            yield pa.RecordBatch.from_arrays(list(map(pa.array, columns)), names=["user_id", "place", "weight"])

    return gram_of(placed(), len(film_ids))


def _add(block: NDArray[np.float32], G: NDArray[np.float64], product: NDArray[np.float32]) -> None:
    """Add a block's products to G, and empty it."""
    G += np.matmul(block.T, block, out=product)
    block[:] = 0


def _check_together(met: list[NDArray[np.integer]]) -> None:
    people, times = np.unique(np.concatenate(met or [np.empty(0, dtype=np.int64)]), return_counts=True)
    if len(again := people[times > 1]):
        raise ValueError(
            f"the rows of {len(again)} people, {again[0]} among them, do not stand together; order them by person"
        )
