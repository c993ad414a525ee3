"""How large an experiment with two models would have to be: sizes from the errors of houses that were held out."""

from collections.abc import Mapping
from math import sqrt

import numpy as np

from housing.data.load import Sales
from housing.evaluation.candidates import BLEND, TREES
from housing.models.fit import OutOfFold
from portfolio_shared.operations.sequences import needed
from portfolio_shared.results import Candidate

EFFECT = 0.01
"""The difference in the mean absolute log error that matters: about 1 % of a price."""


def experiment_sizes(sales: Sales, candidates: Mapping[str, Candidate[OutOfFold]]) -> dict[str, float]:
    """Return how many of all the `sales` a shadow and an A/B test would need to find `EFFECT` between two models.

    In a shadow both models price each house, and the unit is the pair; in an A/B test a house has one of the two
    prices, and the difference of two means of n houses varies as much as the mean of n pairs with sqrt(2) times the
    standard deviation. Both may be looked at all the time (`operations/sequences.py`).
    """
    models = (candidates[name].model for name in (BLEND, TREES))
    blend, trees = (np.abs(model.log_prices - np.log(model.prices)) for model in models)
    alone, paired = float(blend.std(ddof=1)), float((blend - trees).std(ddof=1))
    months = 12 * sales.frame["yr_sold"] + sales.frame["mo_sold"]
    return {
        "effect": EFFECT,
        "sd_of_an_error": alone,
        "sd_of_a_difference": paired,
        "shadow": needed(EFFECT, paired),
        "ab_test": 2 * needed(EFFECT, sqrt(2) * alone),
        "sales_a_year": 12 * len(sales.records) / float(months.max() - months.min() + 1),
    }
