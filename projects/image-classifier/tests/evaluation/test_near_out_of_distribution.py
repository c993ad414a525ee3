"""A kind that is left out is asked for: by the rules that are served, on pictures that nothing was fitted on."""

import numpy as np
import pytest

from image_classifier.data.load import Split
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.evaluation import near_out_of_distribution as module
from image_classifier.evaluation.near_out_of_distribution import leave_each_out
from image_classifier.models.trunk import Computed, Trunk


@pytest.fixture
def apart(sample, monkeypatch):
    """Five kinds that lie in five places, and features that never saw a picture."""
    seen = []

    def features(photos, *_, **__):
        seen.append({photo.name.split("/")[0] for photo in photos})
        noise = [np.random.default_rng(int(photo.key[:8], 16)).normal(size=8) for photo in photos]
        names = sorted(sample.labels)
        places = 30 * np.eye(5, 8)[[names.index(photo.name.split("/")[0]) for photo in photos]]
        return Computed((places + noise + 40).astype(np.float32), 0.0)

    monkeypatch.setattr(module, "features_of", features)
    monkeypatch.setattr("image_classifier.evaluation.candidates.features_of", features)
    photos = sample.photos
    return Split(photos[::3], photos[1::3], photos[2::3], sample.labels), seen


def test_kinds_that_lie_apart_are_found_and_the_known_ones_are_not(apart) -> None:
    split, seen = apart
    near = leave_each_out(split, Trunk(b"", Preprocessing(8, 8)))
    assert [kind.name for kind in near] == list(split.labels)
    assert sum(kind.pictures for kind in near) == len(split.test)
    for kind in near:
        assert kind.unknown.estimate > 0.95
        assert kind.known.estimate < 0.12
    # Nothing is fitted on the kind that is left out: but for the test, four kinds are looked at.
    assert sorted({len(names) for names in seen}) == [4, 5]
    assert sum(len(names) == 5 for names in seen) == 5


def test_of_two_kinds_none_is_left_out(apart) -> None:
    split, _ = apart
    assert (
        leave_each_out(Split(split.train, split.validation, split.test, ("a", "b")), Trunk(b"", Preprocessing(8, 8)))
        == ()
    )
