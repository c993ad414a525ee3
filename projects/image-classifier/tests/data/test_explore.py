"""The figures of the data show every class, and pairs that are nearly alike."""

from dataclasses import replace

import numpy as np
import pytest

from image_classifier.data.explore import PER_CLASS, alike, class_sizes, explore, mean_picture, near_duplicates, shown


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


def test_the_mean_of_one_photograph_is_that_photograph(sample) -> None:
    once, twice = (mean_picture([sample.photos[0]] * n) for n in (1, 2))
    np.testing.assert_array_equal(once, twice)
