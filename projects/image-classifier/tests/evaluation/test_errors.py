"""Errors by true class, counted by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from image_classifier.evaluation.errors import Group, by_group


def test_each_class_has_its_confusion_precision_and_recall() -> None:
    """Two cats and two dogs, of each the second confused with the other class, and an owl that is named a cat."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.9, 0.0], [0.6, 0.4, 0.0], [0.5, 0.3, 0.2]])
    labels = np.array([0, 0, 1, 1, 2])
    evaluation = SimpleNamespace(
        labels=labels, probabilities=probabilities, predictor=SimpleNamespace(labels=("cat", "dog", "owl"))
    )

    cats, dogs, owls = by_group(evaluation)

    assert cats == Group("class", "cat", (1, 1, 0), pytest.approx(1 / 3), 0.5)
    assert dogs == Group("class", "dog", (1, 1, 0), 0.5, 0.5)
    assert owls == Group("class", "owl", (1, 0, 0), None, 0.0)
    assert [group.pictures for group in (cats, dogs, owls)] == [2, 2, 1]
