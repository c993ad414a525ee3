"""Batches: as the service sees the pictures, or augmented by seed and epoch alone."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from image_classifier.data.images import prepare
from image_classifier.data.load import Dataset
from image_classifier.data.photos import TRUSTED, Photo, labels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.augment import augmentation
from image_classifier.models.batches import augmented_batches, draw, fixed_batches

HOW = Preprocessing(36, 32)
# Python 3.12 and later warn when a process with threads is forked; torch's workers use one thread each.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def few(sample: Dataset, count: int = 10) -> list[Photo]:
    step = len(sample.photos) // count
    return list(sample.photos[::step][:count])


def epoch(photos: Sequence[Photo], *, seed: int = 0, number: int = 0, batch: int = 4, workers: int = 0) -> torch.Tensor:
    """Return pictures and labels of an epoch as one tensor [n, 3 * 32 * 32 + 1]."""
    batches = augmented_batches(
        photos, augmentation("strong", 32), at_least=32, batch=batch, seed=seed, epoch=number, workers=workers
    )
    parts = [torch.cat([pictures.flatten(1).long(), labels[:, None]], 1) for pictures, labels in batches]
    assert all(len(part) == min(batch, len(photos)) for part in parts)
    return torch.cat(parts)


@forks
@pytest.mark.parametrize("workers", [0, 1])
def test_fixed_batches_are_what_the_service_sees(workers: int, sample: Dataset) -> None:
    photos = few(sample)
    batches = list(fixed_batches(photos, HOW, batch=4, workers=workers))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    pictures, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    expected = np.stack([prepare(photo.path.read_bytes(), HOW, limits=TRUSTED) for photo in photos])
    assert pictures.dtype == torch.uint8
    np.testing.assert_array_equal(pictures.permute(0, 2, 3, 1).numpy(), expected)
    assert labels.tolist() == [photo.label for photo in photos] == labels_of(photos).tolist()


def test_no_pictures_are_no_batches() -> None:
    assert list(fixed_batches([], HOW)) == []


@forks
def test_augmented_batches_are_the_same_with_and_without_a_worker(sample: Dataset) -> None:
    photos = few(sample)
    assert torch.equal(epoch(photos, seed=3, number=2), epoch(photos, seed=3, number=2, workers=1))


def test_augmented_batches_depend_on_seed_and_epoch_alone(sample: Dataset) -> None:
    photos = few(sample)
    first = epoch(photos, seed=3, number=2)
    torch.manual_seed(99)
    torch.rand(5)
    assert torch.equal(epoch(photos, seed=3, number=2), first)
    assert torch.equal(epoch(photos, seed=3, number=2, batch=2)[:8], first)
    for seed, number in ((3, 3), (4, 2), (2, 3)):
        assert not torch.equal(epoch(photos, seed=seed, number=number), first)


def test_the_generator_of_the_training_is_left_as_it_was(sample: Dataset) -> None:
    """Dropout must not depend on how many numbers an augmentation drew."""

    def after(policy) -> torch.Tensor:
        torch.manual_seed(0)
        list(augmented_batches(few(sample), augmentation(policy, 32), at_least=32, batch=4, seed=0, epoch=0))
        return torch.rand(3)

    assert torch.equal(after("strong"), after("none"))


def test_every_picture_is_seen_once_but_for_a_last_part(sample: Dataset) -> None:
    photos = [Photo(photo.path, photo.name, i, photo.key, photo.group) for i, photo in enumerate(few(sample))]
    orders = [epoch(photos, number=number, batch=5)[:, -1].tolist() for number in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    cut = epoch(photos, batch=4)[:, -1].tolist()
    assert len(cut) == len(set(cut)) == 8
    assert len(epoch(photos, batch=64)) == 10  # fewer pictures than a batch: one batch of all


def test_one_picture_twice_in_an_epoch_is_drawn_twice(sample: Dataset) -> None:
    rows = epoch([sample.photos[0]] * 4)
    assert len({tuple(row.tolist()) for row in rows}) == 4


def test_pictures_are_trained_with_upright(tmp_path) -> None:
    """A picture that lies on its side is stood up, as in the service."""
    pixels = np.zeros((48, 48, 3), dtype=np.uint8)
    pixels[:24] = 255
    lying = Image.fromarray(np.rot90(pixels))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    lying.save(tmp_path / "lying.png", exif=exif)
    photo = Photo(tmp_path / "lying.png", "a/lying.png", 0, "k", "k")
    batches = augmented_batches([photo], augmentation("none", 32), at_least=32, batch=1, seed=0, epoch=0)
    pictures, _ = next(iter(batches))
    assert pictures[0, :, :14].min() > 250
    assert pictures[0, :, 18:].max() < 5


def test_a_draw_depends_on_every_number() -> None:
    numbers = [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1), (1, 1), (1, 2), (2, 1), (0, 0, 2)]
    seeds = {draw(*each) for each in numbers}
    assert len(seeds) == len(numbers) - 1  # zeros at the end count for nothing: (0, 1) is (0, 1, 0)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert draw(3, 1, 4) == draw(3, 1, 4)
