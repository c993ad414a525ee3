"""The metrics of lists that are known, and that the served model is better than popularity on the sample."""

from typing import Any

import numpy as np
import pytest

from new_project.data.items import CatalogItem
from new_project.evaluation.errors import by_group
from new_project.evaluation.evaluate import Task, compare_with_champion, measure
from new_project.models.predictor import Predictor


def test_a_hit_on_the_second_place_is_discounted_and_what_is_not_known_is_missed() -> None:
    items = tuple(CatalogItem(id_, id_) for id_ in "abcd")
    predictor = Predictor(items, np.array([4, 3, 2, 1]), np.zeros((4, 4), dtype=np.float32))
    measured = measure(predictor, Task((("a",), ("a",)), (("c",), ("z",))))  # lists: b, c, d

    assert measured.per_user["ndcg"].tolist() == pytest.approx([1 / np.log2(3), 0])
    assert measured.per_user["hit_rate"].tolist() == [1, 0]


def test_the_served_model_is_better_than_popularity(trained: Any) -> None:
    assert trained.chosen != "popularity"
    assert trained.evaluation.metrics["ndcg"].low > trained.baselines["popularity"]["ndcg"].estimate
    assert compare_with_champion(trained.evaluation, trained.predictor).difference == (0, 0, 0)
    assert sum(group.rows for group in by_group(trained.evaluation)) == len(trained.evaluation.task.histories)
