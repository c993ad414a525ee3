"""What prose says by arithmetic is what the code does: how many pictures label sets take, and who is dealt them."""

import numpy as np
import pytest

from image_classifier.config import TrainConfig
from image_classifier.data.load import TEST_FRACTION, VALIDATION_FRACTION
from image_classifier.evaluation.by_code import LOWER_LEVEL, by_code, dealt, least_pictures
from portfolio_shared.data.splits import hash_split
from portfolio_shared.evaluation.conformal import conformal_quantile


@pytest.mark.parametrize("coverage", [TrainConfig.model_fields["coverage"].default, LOWER_LEVEL, 0.75])
def test_label_sets_take_as_many_pictures_as_prose_says(coverage: float) -> None:
    enough = least_pictures(coverage)
    assert conformal_quantile(np.arange(enough), coverage=coverage) == enough - 1
    with pytest.raises(ValueError, match=f"at least {enough} are needed"):
        conformal_quantile(np.arange(enough - 1), coverage=coverage)


@pytest.mark.parametrize(("pictures", "least"), [(150, 19), (230, 19), (120, 9)])
def test_hashes_deal_the_validation_part_as_many_pictures_as_often(pictures: int, least: int) -> None:
    collections = 400
    names = [f"{collection}/{picture}.jpg" for collection in range(collections) for picture in range(pictures)]
    test = hash_split(names, test_fraction=TEST_FRACTION, seed=0)
    validation = hash_split([f"validation:{name}" for name in names], test_fraction=VALIDATION_FRACTION, seed=0) & ~test
    found = (validation.reshape(collections, pictures).sum(axis=1) >= least).mean()
    share = dealt(pictures, least)
    assert found == pytest.approx(share, abs=3 * (share * (1 - share) / collections) ** 0.5)


def test_a_smaller_gain_takes_more_clients() -> None:
    named = by_code()
    clients = [int(named[f"experiment_{name}_clients"]) for name in ("large", "medium", "small")]
    assert clients == sorted(set(clients))
