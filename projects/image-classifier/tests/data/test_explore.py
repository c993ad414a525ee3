"""The figures of the data show every class, and pairs that are nearly alike."""

from dataclasses import replace

import numpy as np
import pytest

from image_classifier.data.explore import (
    PER_CLASS,
    alike,
    class_sizes,
    explore,
    mean_picture,
    near_duplicates,
    nearest_by_color,
    shown,
)


@pytest.fixture
def few(sample):
    """Twelve photographs of each class, of which two are said to be nearly alike."""
    photos = [photo for label in range(5) for photo in [p for p in sample.photos if p.label == label][:12]]
    photos[1] = replace(photos[1], group=photos[0].group)
    return replace(sample, photos=tuple(photos))


@pytest.mark.long
def test_the_figures_are_drawn_in_order(sample, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("image_classifier.data.explore.AVERAGED", 3)
    files = explore(sample, tmp_path)
    assert [file.name for file in files] == ["photographs.png", "classes.svg", "near-duplicates.png"]
    assert all(file.is_file() for file in files)
    assert near_duplicates(sample)._suptitle.get_text() == "No near duplicates"


def test_pairs_are_of_one_group_and_named_among_what_is_shown(few) -> None:
    (pair,) = alike(few)
    assert pair == few.photos[:2]
    names = [photo.name for photo in shown(few)]
    assert len(names) == PER_CLASS * 5 + 2
    assert names[-2:] == [photo.name for photo in pair]
    titles = [axes.get_title() for axes in near_duplicates(few).axes[1:]]
    assert titles == ["pair 1", "pair 1"]


def test_bars_have_the_sizes_of_the_parts(sample) -> None:
    (axes,) = class_sizes(sample).axes
    assert [round(bar.get_width()) for bar in axes.patches] == [80] * 5 + [15] * 5 + [15] * 5


def test_the_mean_of_pictures_is_taken_place_by_place() -> None:
    dark, bright = np.full((2, 2, 3), 10, np.uint8), np.full((2, 2, 3), 200, np.uint8)
    np.testing.assert_array_equal(mean_picture(np.stack([dark, bright])), np.full((2, 2, 3), 105))


def test_a_photograph_is_nearest_to_a_kind_by_its_mean_color() -> None:
    red, blue = (
        np.array([[250.0, 0, 0], [240, 0, 0]]),
        np.array([[0, 0, 250.0], [0, 0, 240], [230, 0, 20], [0, 0, 245]]),
    )
    assert nearest_by_color([red, blue]) == (1 + 3 / 4) / 2
