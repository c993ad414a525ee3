"""Implicit matrix factorisation by alternating least squares, with the `implicit` library.

Hu, Koren and Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets". A user who was not there in
training is folded in exactly: their factors solve the same equation as those of everybody else
(`recommender.models.fold_in`).
"""

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from recommender.models.fold_in import FoldIn


def fit_als(
    X: sp.csr_array,
    *,
    n_factors: int,
    regularization: float,
    alpha: float,
    iterations: int = 15,
    min_raters: int = 1,
    seed: int = 0,
    threads: int = 1,
) -> FoldIn:
    """Factorise X, shape (n_users, n_items): 1 where a user rated a film.

    Films that fewer than `min_raters` users rated do not enter the fit: they have no factors and are not recommended.
    The factors of a film that one user rated would be that user's, and so would lead to their whole history.
    One thread makes equal seeds give equal factors; more are faster on large data.
    """
    rated = X.astype(bool).astype(np.float32)
    enough = np.asarray(rated.sum(axis=0)) >= min_raters
    rows = sp.csr_matrix(rated @ sp.diags_array(enough.astype(np.float32)))
    rows.eliminate_zeros()
    with threadpool_limits(limits=1, user_api="blas"):  # the library runs its own threads, and warns of others
        model = AlternatingLeastSquares(
            factors=n_factors,
            regularization=regularization,
            alpha=alpha,
            iterations=iterations,
            random_state=seed,
            num_threads=threads,
            use_cg=True,  # ten times faster than solving exactly, and as good; folding in is exact either way
        )
        model.fit(rows, show_progress=False)
    return FoldIn(np.asarray(model.item_factors, dtype=np.float32), enough, regularization, alpha)
