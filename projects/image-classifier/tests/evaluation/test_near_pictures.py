"""Near pictures are the same each time, differ from each other, and look like what they are called."""

import numpy as np

from image_classifier.evaluation.near_pictures import NEAR_KINDS, near_pictures


def test_they_are_drawn_alike_every_time_and_differ() -> None:
    first, again = near_pictures(each=2), near_pictures(each=2)
    assert list(first) == list(NEAR_KINDS)
    drawn = [np.asarray(picture).tobytes() for pictures in first.values() for picture in pictures]
    assert drawn == [np.asarray(picture).tobytes() for pictures in again.values() for picture in pictures]
    assert len(set(drawn)) == len(drawn) == 2 * len(NEAR_KINDS)


def test_a_leaf_is_green_in_the_middle_and_a_painting_has_few_colors() -> None:
    pictures = {kind: np.asarray(images[0]) for kind, images in near_pictures(each=1).items()}
    red, green, blue = pictures["leaf"][96:160, 96:160].reshape(-1, 3).mean(axis=0)
    assert green > max(red, blue)
    colors = {kind: len(np.unique(pixels.reshape(-1, 3), axis=0)) for kind, pixels in pictures.items()}
    assert colors["painting of a dahlia"] < 0.7 * colors["dahlia"]
