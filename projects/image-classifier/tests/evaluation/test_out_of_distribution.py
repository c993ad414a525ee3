"""Pictures of nothing that anybody trains on: as many as stated, all different, always the same."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from image_classifier.evaluation.out_of_distribution import KINDS, SIDE, Picture, draw_pictures


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return draw_pictures()


def digest(picture: Picture) -> str:
    return hashlib.sha256(picture.image.tobytes()).hexdigest()


def test_there_are_two_hundred_of_ten_kinds(pictures):
    assert Counter(picture.kind for picture in pictures) == dict.fromkeys(KINDS, 20)
    assert len(KINDS) == 10


def test_no_two_are_the_same_picture(pictures):
    """Two hundred copies of one picture would make any share look certain."""
    assert len({digest(picture) for picture in pictures}) == 200


def test_every_one_is_a_picture_with_something_in_it(pictures):
    for picture in pictures:
        assert (picture.image.mode, picture.image.size) == ("RGB", (SIDE, SIDE)), picture.kind
        assert np.asarray(picture.image).std() > 2, picture.kind


def test_the_seed_decides_and_a_part_is_the_beginning_of_the_whole(pictures):
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    few = draw_pictures(each=2)
    firsts = [picture for start in range(0, 200, 20) for picture in pictures[start : start + 2]]
    assert [digest(picture) for picture in few] == [digest(picture) for picture in firsts]
    others = draw_pictures(each=2, seed=1)
    assert [picture.kind for picture in others] == [picture.kind for picture in few]
    assert not {digest(picture) for picture in others} & {digest(picture) for picture in pictures}
