"""Near duplicates: every pair is compared, the same picture differs from a similar one, large groups are broken up."""

import numpy as np
import pytest
from numpy.typing import NDArray

from image_classifier.data.duplicates import LARGE_GROUP, Duplicates, find_duplicates, near_pairs


def pairs(bits: NDArray[np.uint64], within: int) -> list[tuple[int, int, int]]:
    parts = [
        (*row, count)
        for pairs, counts in near_pairs(bits, within=within)
        for row, count in zip(pairs, counts, strict=True)
    ]
    return [(int(i), int(j), int(count)) for i, j, count in parts]


def chain(count: int, *, step: int, others: int) -> NDArray[np.uint64]:
    """Hashes of which each differs in so many bits from the one before, then some far from all."""
    rng = np.random.default_rng(0)
    flips = np.arange(256) // step  # bit b differs from the row b // step on
    linked = (flips[None] < np.arange(count)[:, None]).astype(np.uint8)
    return np.packbits(np.concatenate((linked, rng.integers(0, 2, (others, 256), dtype=np.uint8))), axis=1).view(
        np.uint64
    )


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def compared(bits: NDArray[np.uint64], thumbnails: NDArray[np.uint8], labels: list[int]) -> Duplicates:
    return find_duplicates(bits, thumbnails, np.array(labels, dtype=np.intp))


def test_near_pairs_against_one_by_one_comparison() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**63, (60, 4), dtype=np.uint64)
    bits[40] = bits[3] ^ np.uint64(0b111)  # 3 bits in each of 4 words
    bits[41] = bits[40]
    expected = [
        (i, j, distance)
        for i in range(60)
        for j in range(i + 1, 60)
        if (distance := sum(int(a ^ b).bit_count() for a, b in zip(bits[i], bits[j], strict=True))) <= 12
    ]
    assert pairs(bits, 12) == expected == [(3, 40, 12), (3, 41, 12), (40, 41, 0)]
    assert pairs(bits, 11) == [(40, 41, 0)]
    assert pairs(bits[:0], 12) == []


@pytest.mark.long
def test_pairs_come_in_parts_and_none_is_lost() -> None:
    bits = np.zeros((1500, 1), dtype=np.uint64)
    parts = [pairs for pairs, _ in near_pairs(bits, within=0)]
    assert len(parts) > 1
    assert len(np.unique(np.concatenate(parts), axis=0)) == 1500 * 1499 // 2


@pytest.mark.parametrize(("count", "others", "broken"), [(8, 10, False), (9, 10, True), (9, 81, False), (9, 80, True)])
def test_a_group_is_broken_up_above_a_number_and_a_share_of_a_class(count: int, others: int, broken: bool) -> None:
    assert LARGE_GROUP == 8
    total = count + others
    result = compared(chain(count, step=25, others=others), noise(total), [0] * total)
    groups = [*range(count)] if broken else [0] * count
    assert result.groups.tolist() == [*groups, *range(count, total)]
    assert result.broken.tolist() == [broken] * count + [False] * others
    assert not result.contradicting.any()


def test_of_a_group_that_is_broken_up_the_same_pictures_stay_together() -> None:
    bits, thumbnails = chain(12, step=10, others=0), noise(12)
    thumbnails[5] = thumbnails[4] ^ 1
    result = compared(bits, thumbnails, [0] * 12)
    assert result.groups.tolist() == [0, 1, 2, 3, 4, 4, *range(6, 12)]


def test_the_same_picture_under_two_classes_agrees_in_hash_and_pixels() -> None:
    labels, thumbnails = [0, 1], noise(2)
    same = thumbnails[[0, 0]]
    assert not compared(chain(2, step=10, others=0), thumbnails, labels).contradicting.any()
    assert not compared(chain(2, step=20, others=0), same, labels).contradicting.any()
    assert not compared(chain(2, step=10, others=0), same, [1, 1]).contradicting.any()
    assert compared(chain(2, step=10, others=0), same, labels).contradicting.all()


def test_what_is_excluded_does_not_count_for_the_size() -> None:
    bits, thumbnails = chain(9, step=10, others=0), noise(9)
    thumbnails[1] = thumbnails[0]
    result = compared(bits, thumbnails, [0, 1, *[2] * 7])
    assert result.contradicting.tolist() == [True, True] + [False] * 7
    assert result.groups.tolist() == [0] * 9
