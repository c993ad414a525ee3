"""The photographs before any model: what they show, how many there are, how colors differ, which are nearly alike."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from image_classifier.data.load import Dataset, split
from image_classifier.data.looks import brightness
from image_classifier.data.photos import Photo, pixels_of, spread
from image_classifier.data.preprocessing import Pixels, Preprocessing
from portfolio_shared.evaluation import figures

SEEN = Preprocessing(160, 160)
AVERAGED = 200
"""Photographs of a class that its mean picture is of."""
PER_CLASS, PAIRS = 3, 3


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw the photographs into a folder; returns the files, in the order in which to look at them."""
    drawings = {
        "photographs.png": photographs,
        "classes.svg": class_sizes,
        "near-duplicates.png": near_duplicates,
    }
    return [figures.save_figure(draw(dataset), folder / name) for name, draw in drawings.items()]


def shown(dataset: Dataset) -> list[Photo]:
    """Return the photographs that `explore` shows whole: whoever publishes the figures names who took them."""
    return [photo for photos in _by_class(dataset) for photo in spread(photos, PER_CLASS)] + [
        photo for pair in alike(dataset) for photo in pair
    ]


@figures.in_house_style
def photographs(dataset: Dataset) -> Figure:
    """Show photographs of each class, and below them the mean of its photographs."""
    classes = _by_class(dataset)
    seen = [np.stack([pixels_of(photo, SEEN) for photo in spread(photos, AVERAGED)]) for photos in classes]
    means = [mean_picture(pictures) for pictures in seen]
    own = nearest_by_color([pictures.mean(axis=(1, 2)) for pictures in seen])
    title = (
        f"By mean color alone {own:.0%} of the photographs are nearest to their own kind; by chance {1 / len(seen):.0%}"
    )
    figure, whole = figures.canvas(height=0.5 + 1.5 * (PER_CLASS + 1), title=title.replace("%", " %"))
    whole.set_axis_off()
    for column, (name, photos, mean) in enumerate(zip(dataset.labels, classes, means, strict=True)):
        pictures = [*(pixels_of(photo, SEEN) for photo in spread(photos, PER_CLASS)), mean]
        for row, picture in enumerate(pictures):
            axes = figure.add_subplot(PER_CLASS + 1, len(classes), row * len(classes) + column + 1)
            axes.imshow(picture)
            axes.set_axis_off()
            if row == 0:
                axes.set_title(name, fontsize=10)
            elif row == PER_CLASS:
                axes.set_title(f"mean of {min(len(photos), AVERAGED)}", fontsize=8)
    return figure


@figures.in_house_style
def class_sizes(dataset: Dataset) -> Figure:
    """Draw how many photographs each class has in each part of the split."""
    parts = split(dataset)
    counts = {
        name: np.bincount([photo.label for photo in part], minlength=len(dataset.labels))
        for name, part in (("training", parts.train), ("validation", parts.validation), ("test", parts.test))
    }
    totals = sum(counts.values(), np.zeros(len(dataset.labels), dtype=np.int64))
    most, least = dataset.labels[int(totals.argmax())], dataset.labels[int(totals.argmin())]
    title = f"The largest class, {most}, has {totals.max() / totals.min():.1f} times the photographs of {least}"
    figure, axes = figures.canvas(height=1.0 + 0.42 * len(dataset.labels), title=title)
    left = np.zeros_like(totals)
    for color, (name, sizes) in zip(("#0072B2", "#56B4E9", "#E69F00"), counts.items(), strict=True):
        axes.barh(range(len(sizes)), sizes, left=left, height=0.62, color=color, label=f"{name} ({sizes.sum():,})")
        left = left + sizes
    axes.set_yticks(range(len(totals)), dataset.labels)
    axes.set(ylim=(len(totals) - 0.5, -0.5), xlabel="Photographs")
    axes.grid(visible=False, axis="y")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


@figures.in_house_style
def near_duplicates(dataset: Dataset) -> Figure:
    """Show pairs of photographs that the perceptual hash finds nearly alike; without any the figure says so."""
    pairs = alike(dataset)
    title = "Nearly the same photograph: both belong on one side of the split"
    figure, whole = figures.canvas(height=2.2, title=title if pairs else "No near duplicates")
    whole.set_axis_off()
    for number, photo in enumerate(photo for pair in pairs for photo in pair):
        axes = figure.add_subplot(1, 2 * PAIRS, number + 1)
        axes.imshow(pixels_of(photo, SEEN))
        axes.set_axis_off()
        axes.set_title(f"pair {number // 2 + 1}", fontsize=8)
    return figure


def alike(dataset: Dataset) -> list[tuple[Photo, Photo]]:
    """Return the first two of some groups of near duplicates, those that differ most in brightness first."""
    ordered = sorted(dataset.photos, key=lambda photo: (photo.group, photo.name))
    groups = [list(members) for _, members in groupby(ordered, key=lambda photo: photo.group)]
    pairs = [(members[0], members[1]) for members in groups if len(members) > 1]
    return sorted(pairs, key=lambda pair: (-_apart(pair), pair[0].name))[:PAIRS]


def mean_picture(pictures: NDArray[np.uint8]) -> Pixels:
    """Return the mean of pictures [n, side, side, 3], uint8 [side, side, 3]."""
    return np.asarray(pictures.mean(axis=0), dtype=np.uint8)


def nearest_by_color(colors: Sequence[NDArray[np.float64]]) -> float:
    """Return the mean over kinds of the share of photographs whose color is nearest to the mean of their own kind.

    Parameters
    ----------
    colors
        For each kind the mean color of each of its photographs [n, 3].
    """
    centers = np.stack([each.mean(axis=0) for each in colors])
    named = [np.linalg.norm(each[:, None] - centers, axis=2).argmin(axis=1) for each in colors]
    return float(np.mean([(names == kind).mean() for kind, names in enumerate(named)]))


def _apart(pair: tuple[Photo, Photo]) -> float:
    first, second = (brightness(pixels_of(photo, SEEN)) for photo in pair)
    return abs(first - second)


def _by_class(dataset: Dataset) -> list[list[Photo]]:
    return [[photo for photo in dataset.photos if photo.label == label] for label in range(len(dataset.labels))]
