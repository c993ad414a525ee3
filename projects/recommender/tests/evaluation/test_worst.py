from dataclasses import replace

import numpy as np
import pytest

from recommender.evaluation.worst import SHOWN, most_confident_miss


def test_the_miss_is_of_somebody_without_a_hit_and_promised_most(trained):
    evaluation, predictor = trained.evaluation, trained.predictor
    miss = most_confident_miss(predictor, evaluation)
    assert miss.misses == (evaluation.per_user["hit_rate"] == 0).sum()
    assert miss.users == len(evaluation.task.users)
    assert len(miss.recommended) == evaluation.k
    assert sum(chance for _, chance, _ in miss.recommended) == pytest.approx(miss.promised)
    assert not {title for title, *_ in miss.recommended} & {title for title, *_ in miss.watched}
    assert len(miss.history) == len(miss.watched) == SHOWN
    places = [place for _, _, place in miss.watched if place]
    assert miss.best_place > evaluation.k
    assert all(place >= miss.best_place for place in places)


def test_without_a_miss_there_is_none_to_show(trained):
    per_user = trained.evaluation.per_user | {"hit_rate": np.ones(len(trained.evaluation.task.users))}
    with pytest.raises(ValueError, match="every list has a hit"):
        most_confident_miss(trained.predictor, replace(trained.evaluation, per_user=per_user))
