"""The learning curve has what it says: drawn training pictures, all of them last, the recalls of each label."""

import numpy as np
import pytest

from image_classifier.data.load import Split
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.evaluation import bias_variance, learning_curve
from image_classifier.models.trunk import Computed, Trunk

TRUNK = Trunk(b"", Preprocessing(8, 8))


@pytest.fixture
def parts(sample, monkeypatch) -> Split:
    """Photographs whose features tell the first label from the others, and nothing else; there is no test part."""

    def features(photos, *_, **__):
        noise = [np.random.default_rng(int(photo.key[:8], 16)).normal(size=6) for photo in photos]
        places = np.array([[9.0 * (photo.label == 0)] + [0.0] * 5 for photo in photos])
        return Computed((places + noise).astype(np.float32), 0.0)

    for module in (learning_curve, bias_variance):
        monkeypatch.setattr(module, "features_of", features)
    return Split(sample.photos[::2], sample.photos[1::2], (), sample.labels)


def test_the_curve_has_a_row_a_size_and_all_pictures_last(parts) -> None:
    few, some, everything = learning_curve.learning_curve(parts, TRUNK, sizes=(5, 20, 10_000), draws=3)
    assert [(row.per_class, row.draws) for row in (few, some, everything)] == [(5, 3), (20, 3), (55, 1)]
    for row in (few, some, everything):
        mean, low, high = row.accuracy
        assert low <= mean <= high
        assert row.recalls[parts.labels[0]] > 0.98
        assert max(list(row.recalls.values())[1:]) < 0.9
    assert few.accuracy.low < few.accuracy.high
    assert everything.accuracy.low == everything.accuracy.high


def test_a_free_probe_knows_its_own_pictures_and_varies_more(parts) -> None:
    stiff, free = bias_variance.bias_and_variance(parts, TRUNK, strengths=(1e-4, 100.0), refits=4)
    assert free.training_error < stiff.training_error + 1e-9
    assert free.training_error < free.error
    for row in (stiff, free):
        assert row.error == pytest.approx(row.bias + row.added_by_variance)
        assert 0 <= row.variance <= 1


def test_parts_of_the_error_by_hand() -> None:
    """Three refits, four pictures: most are wrong on the last one alone, and one refit in three differs on two."""
    named = np.array([[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]])
    row = bias_variance._parts(1.0, named, np.array([0, 1, 1, 0]), 0.25)
    assert (row.training_error, row.bias) == (0.25, 0.25)
    assert row.variance == pytest.approx(2 / 12)
    assert row.error == pytest.approx(5 / 12)


def test_no_picture_is_measured_by_a_probe_that_it_chose(parts, monkeypatch) -> None:
    asked: list[tuple[int, int]] = []
    fit = learning_curve.fit_probe

    class Seen:
        def __init__(self, head, chosen) -> None:
            self.head, self.chosen = head, {tuple(row) for row in chosen}

        def logits(self, rows):
            assert not self.chosen & {tuple(row) for row in rows}
            asked.append((len(self.chosen), len(rows)))
            return self.head.logits(rows)

    def fitted(x, y, held_out, truth):
        head, strength = fit(x, y, held_out, truth, strengths=[0.1])
        return Seen(head, held_out), strength

    monkeypatch.setattr(learning_curve, "fit_probe", fitted)
    learning_curve.learning_curve(parts, TRUNK, sizes=())
    n = len(parts.validation)
    assert sorted(asked) == sorted([(n - n // 2, n // 2), (n // 2, n - n // 2)])
