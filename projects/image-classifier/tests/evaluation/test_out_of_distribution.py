"""Pictures of nothing that anybody trains on: as many as stated, all different, always the same."""

import numpy as np
import pytest
from PIL import Image

from image_classifier.evaluation.out_of_distribution import KINDS, SIDE, draw_pictures

Pictures = dict[str, list[Image.Image]]


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return draw_pictures()


def bytes_of(pictures: Pictures) -> list[bytes]:
    return [image.tobytes() for images in pictures.values() for image in images]


@pytest.mark.long
def test_two_hundred_of_ten_kinds_are_all_different_and_show_something(pictures):
    """Two hundred copies of one picture would make any share look certain."""
    assert {kind: len(images) for kind, images in pictures.items()} == dict.fromkeys(KINDS, 20)
    assert len(KINDS) == 10
    assert len(set(bytes_of(pictures))) == 200
    for kind, images in pictures.items():
        for image in images:
            assert (image.mode, image.size) == ("RGB", (SIDE, SIDE)), kind
            assert np.asarray(image).std() > 2, kind


def test_the_seed_decides_and_a_part_is_the_beginning_of_the_whole(pictures):
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    assert draw_pictures(each=2) == {kind: images[:2] for kind, images in pictures.items()}
    others = draw_pictures(each=2, seed=1)
    assert list(others) == list(pictures)
    assert not set(bytes_of(others)) & set(bytes_of(pictures))
