"""Which pictures are near duplicates: by a perceptual hash, confirmed by pixels where the hash alone says too little.

All numbers below were measured on flower_photos_288.tar, 600 copies of 120 of its photographs (cropped by 2 % a side,
in 0.6 to 1.5 times the size, at JPEG quality 60, 8 % brighter), scikit-learn's digits, drawn letters on white, and
screenshots and forms with one layout.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 16  # 256 bits; with 64 bits chance hits begin where real near duplicates still are
THUMBNAIL = (32, 32)
NEAR_BITS = 76
"""Near duplicates by the hash: all 38 pairs of the photographs are of one scene, and all 600 copies are found. But
2,800 pairs of screenshots and 14,000 of 1,797 digits are as close, chained into groups of nearly everything."""
SAME_BITS, SAME_SHARE = 16, 0.02
"""The same picture: 16 bits, and a squared difference of colors of at most 2 % of both variances. All 240 copies in
another size or quality are found, and no pair of digits or screenshots, and none of letters or forms of two classes.
The hash alone does not see colors, the pixels alone not what is small before a large background."""
LARGE_GROUP, LARGE_SHARE = 8, 0.1
"""A group of more than 8 pictures and more than a tenth of one of its classes is broken up. The largest of
flower_photos has 3; digits and letters make one of more than nine tenths of everything."""

Bits = NDArray[np.uint64]
Rows = NDArray[np.intp]
_AT_ONCE = 2_000  # pairs of thumbnails: 50 MB


@dataclass(frozen=True)
class Duplicates:
    """Groups of near duplicates.

    Attributes
    ----------
    contradicting
        Whether a picture is the same as one of another class; bool [n].
    groups
        First row of a picture's group, its own if it has no near duplicates; [n].
    broken
        Whether a picture was in a group that was broken up; bool [n].
    """

    contradicting: NDArray[np.bool_]
    groups: Rows
    broken: NDArray[np.bool_]


def find_duplicates(bits: Bits, thumbnails: NDArray[np.uint8], labels: Rows) -> Duplicates:
    """Group what looks alike, and find pictures that are filed under two classes.

    Near duplicates of near duplicates are in one group. If that makes a group too large to be on one side of a split,
    its pictures are alike by nature, or of few scenes: of them only those that are the same picture stay together.

    Parameters
    ----------
    bits, thumbnails, labels
        Hashes [n, words], [n, height, width, 3], numbers of the classes [n].
    """
    near, same = (np.arange(len(bits)) for _ in range(2))
    contradicting = np.zeros(len(bits), dtype=np.bool_)
    for pairs, distances in near_pairs(bits, within=NEAR_BITS):
        near = _joined(near, pairs)
        copies = _same(thumbnails, pairs[distances <= SAME_BITS])
        same = _joined(same, copies)
        contradicting[copies[labels[copies[:, 0]] != labels[copies[:, 1]]]] = True
    broken = _too_large(near, labels, counted=~contradicting)
    return Duplicates(contradicting, np.where(broken, same, near), broken)


def near_pairs(bits: Bits, *, within: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield all pairs of rows that differ in at most so many bits, the smaller row first, and in how many.

    Every pair is compared, 64 bits in one step: 3,000 pictures take a fraction of a second, 100,000 some minutes. The
    pairs come in parts, because of pictures that are all alike there are too many to hold.

    Yields
    ------
    tuple
        [pairs, 2] and [pairs].
    """
    block = max(1, 1_000_000 // max(1, len(bits)))  # bounds the memory
    for start in range(0, len(bits), block):
        distances = np.bitwise_count(bits[start : start + block, None] ^ bits[None, start:]).sum(axis=2, dtype=np.intp)
        i, j = np.nonzero(np.triu(distances <= within, k=1))
        yield np.column_stack((i, j)) + start, distances[i, j]


def _same(thumbnails: NDArray[np.uint8], pairs: Rows) -> Rows:
    """Return the pairs whose thumbnails differ by little against what varies in them."""
    parts = [pairs[:0]]
    for start in range(0, len(pairs), _AT_ONCE):
        part = pairs[start : start + _AT_ONCE]
        left, right = (thumbnails[part[:, side]].astype(np.float32) for side in (0, 1))
        difference = ((left - right) ** 2).mean(axis=(1, 2, 3))
        variance = (left.var(axis=(1, 2)) + right.var(axis=(1, 2))).mean(axis=1)
        parts.append(part[difference <= SAME_SHARE * variance])
    return np.concatenate(parts)


def _joined(roots: Rows, pairs: Rows) -> Rows:
    """Return the first row of each row's group, after the groups of each pair were joined."""
    if not len(pairs):
        return roots
    rows, columns = np.concatenate((np.column_stack((np.arange(len(roots)), roots)), pairs)).T
    edges = coo_array((np.ones(len(rows), dtype=np.bool_), (rows, columns)), shape=(len(roots), len(roots)))
    _, groups = connected_components(edges, directed=False)
    first: Rows = np.unique(groups, return_index=True)[1][groups]
    return first


def _too_large(groups: Rows, labels: Rows, *, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for each row whether its group is too large for one side of a split."""
    size = np.bincount(groups[counted], minlength=len(groups))
    large = np.zeros(len(groups), dtype=np.bool_)
    for label in np.unique(labels[counted]):
        members = groups[counted & (labels == label)]
        large |= np.bincount(members, minlength=len(groups)) > LARGE_SHARE * len(members)
    return ((size > LARGE_GROUP) & large)[groups]
