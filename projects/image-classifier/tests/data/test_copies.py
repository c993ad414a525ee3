"""Copies that look like the pictures of today, and none where these look as the data do."""

from dataclasses import replace

import numpy as np
import pytest

from image_classifier.data.copies import with_copies
from image_classifier.data.load import Dataset, Split
from image_classifier.data.looks import Look, Recent, brightness, sharpness
from image_classifier.data.photos import Photo, pixels_of
from image_classifier.data.preprocessing import Preprocessing

SIDE = 96


@pytest.fixture(scope="module")
def split(sample: Dataset) -> Split:
    return Split(sample.photos[::9], sample.photos[1::27], sample.photos[2::27], sample.labels)


def looks(photos: tuple[Photo, ...]) -> np.ndarray:
    pixels = [pixels_of(photo, Preprocessing(SIDE, SIDE)) for photo in photos]
    return np.array([(brightness(each), sharpness(each)) for each in pixels]).T


@pytest.fixture(scope="module")
def dark(split: Split) -> Recent:
    """A third of the light, and noise."""
    bright, sharp = looks(split.train)
    return Recent(bright / 3, sharp / 9 + 800, SIDE)


@pytest.fixture(scope="module")
def copied(split: Split, dark: Recent) -> Split:
    return with_copies(split, dark, threads=2)


@pytest.mark.long
def test_each_photograph_is_there_beside_a_copy_with_the_same_label_and_another_key(
    split: Split, copied: Split
) -> None:
    for before, after in ((split.train, copied.train), (split.validation, copied.validation)):
        assert after[: len(before)] == before
        copies = after[len(before) :]
        assert [(photo.path, photo.label) for photo in copies] == [(photo.path, photo.label) for photo in before]
        assert all(photo.look is not None for photo in copies)
        assert len({photo.key for photo in after}) == len(after)
    assert copied.test == split.test
    assert [photo.path for photo in copied.today] == [photo.path for photo in (*split.validation, *split.test)]
    assert all(photo.look is not None for photo in copied.today)


def test_copies_are_as_dark_and_as_noisy_as_the_pictures_of_today(split: Split, copied: Split, dark: Recent) -> None:
    bright, sharp = looks(copied.train[len(split.train) :])
    assert np.median(bright) == pytest.approx(np.median(dark.brightness), rel=0.15)
    assert np.median(sharp) == pytest.approx(np.median(dark.sharpness), rel=0.15)
    lighter = np.argsort(looks(split.train)[0])[-10:]
    assert bright[lighter].mean() > 1.25 * bright.mean()  # what was bright for a photograph of the data still is


@pytest.mark.long
def test_the_same_pictures_of_today_make_the_same_copies(split: Split, copied: Split, dark: Recent) -> None:
    assert with_copies(split, dark) == copied


def test_where_the_pictures_of_today_look_as_the_data_do_no_copy_is_made(split: Split) -> None:
    half = looks((*split.validation, *split.test)[::2])
    assert with_copies(split, Recent(*half, SIDE)) is split


def test_the_test_photographs_do_not_decide_whether_copies_are_made(split: Split) -> None:
    dark = tuple(replace(photo, look=Look(0.1)) for photo in split.test)
    changed = replace(split, test=dark)
    assert with_copies(changed, Recent(*np.tile(looks(split.validation), 5), SIDE)) is changed
