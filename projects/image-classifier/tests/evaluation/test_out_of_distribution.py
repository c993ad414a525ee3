"""Pictures of nothing that anybody trains on: as many as stated, all different, always the same."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from image_classifier.evaluation.out_of_distribution import KINDS, SIDE, Stranger, strangers


@pytest.fixture(scope="module")
def all_of_them() -> list[Stranger]:
    return strangers()


def digest(stranger: Stranger) -> str:
    return hashlib.sha256(stranger.image.tobytes()).hexdigest()


def test_there_are_two_hundred_of_ten_kinds(all_of_them):
    assert Counter(stranger.kind for stranger in all_of_them) == dict.fromkeys(KINDS, 20)
    assert len(KINDS) == 10


def test_no_two_are_the_same_picture(all_of_them):
    """Two hundred copies of one picture would make any share look certain."""
    assert len({digest(stranger) for stranger in all_of_them}) == 200


def test_every_one_is_a_picture_with_something_in_it(all_of_them):
    for stranger in all_of_them:
        assert (stranger.image.mode, stranger.image.size) == ("RGB", (SIDE, SIDE)), stranger.kind
        assert np.asarray(stranger.image).std() > 2, stranger.kind


def test_the_seed_decides_and_a_part_is_the_beginning_of_the_whole(all_of_them):
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    few = strangers(each=2)
    firsts = [stranger for start in range(0, 200, 20) for stranger in all_of_them[start : start + 2]]
    assert [digest(stranger) for stranger in few] == [digest(stranger) for stranger in firsts]
    others = strangers(each=2, seed=1)
    assert [stranger.kind for stranger in others] == [stranger.kind for stranger in few]
    assert not {digest(stranger) for stranger in others} & {digest(stranger) for stranger in all_of_them}
