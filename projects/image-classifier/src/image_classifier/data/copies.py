"""Photographs of the data that are made to look like the pictures of today, of which the log keeps no pixel."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from image_classifier.data.load import Split
from image_classifier.data.looks import MOST_GAIN, Recent, brightness, look_for, sharpness
from image_classifier.data.photos import Photo, image_of, pixels_of
from image_classifier.data.preprocessing import Preprocessing

ALPHA = 0.001
"""Level of each of two tests (Kolmogorov and Smirnov): where today's pictures look like the validation part's, no copy
is made, because it would teach chance."""

Looks = NDArray[np.float64]


def with_copies(split: Split, recent: Recent, *, threads: int = 1) -> Split:
    """Return a split with a copy of each photograph that looks like a picture of today; as it is if these look alike.

    Copies of the training part are learned from beside their originals, those of the validation part choose and
    calibrate beside theirs, and with those of the test part they are `Split.today`, what later pictures are compared
    with. The test stays as it is.
    """
    parts = split.train, split.validation, split.test
    with ThreadPoolExecutor(threads) as pool:
        looks = [np.array(list(pool.map(lambda photo: _look_at(photo, recent.side), photos))) for photos in parts]
        ways = zip(looks[1].T, (recent.brightness, recent.sharpness), strict=True)  # the test part decides nothing
        if min(ks_2samp(ours, theirs).pvalue for ours, theirs in ways) > ALPHA:
            return split
        copies = []
        for photos, seen in zip(parts, looks, strict=True):
            gain, target = changes(seen, recent)
            both = zip(photos, gain.tolist(), target.tolist(), strict=True)
            copies.append(tuple(pool.map(lambda each: _copy(*each, side=recent.side), both)))
    train, validation, test = copies
    return replace(split, train=split.train + train, validation=split.validation + validation, today=validation + test)


def changes(seen: Looks, recent: Recent) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each photograph by how much it gets brighter [n], and how sharp it is to be then [n].

    The k-th darkest of n becomes as bright as the k-th darkest of n recent ones, and with sharpness likewise: so what
    is bright for a photograph of the data is bright for one of today.

    Parameters
    ----------
    seen
        Brightness and sharpness of the photographs [n, 2].

    Examples
    --------
    >>> recent = Recent(np.array([0.1, 0.2, 0.3]), np.array([50.0, 60.0, 70.0]), side=224)
    >>> gain, target = changes(np.array([[0.6, 100], [0.4, 900], [0.2, 100]]), recent)
    >>> gain.round(2).tolist(), target.tolist()
    ([0.5, 0.5, 0.5], [50.0, 70.0, 60.0])
    """
    bright, sharp = seen.T
    gain = np.clip(_matched(bright, recent.brightness) / np.maximum(bright, 1e-3), 0, MOST_GAIN)
    return gain, _matched(sharp * gain**2, recent.sharpness)


def _matched(values: NDArray[np.float64], recent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each value the recent one of the same rank."""
    ranks = values.argsort(kind="stable").argsort(kind="stable")
    return np.quantile(recent, (ranks + 0.5) / len(values), method="hazen")


def _look_at(photo: Photo, side: int) -> tuple[float, float]:
    pixels = pixels_of(photo, Preprocessing(side, side))
    return brightness(pixels), sharpness(pixels)


def _copy(photo: Photo, gain: float, target: float, *, side: int) -> Photo:
    seed = int(photo.key[:8], 16)
    look = look_for(image_of(photo, at_least=side), side, gain=gain, target=target, seed=seed)
    return replace(photo, key=hashlib.sha256(f"{photo.key} {look}".encode()).hexdigest(), look=look)
