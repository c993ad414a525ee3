"""Batches of pictures for torch, augmented or not: which ones, in which order and how depends on seed and epoch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2

from image_classifier.config import Augmentation
from image_classifier.data.photos import Photo, image_of, pixels_of
from image_classifier.data.preprocessing import Interpolation, Preprocessing

Augment = Callable[[Image.Image], Tensor]


def augmentation(policy: Augmentation, crop: int, *, interpolation: Interpolation = "bilinear") -> Augment:
    """Return a function: upright RGB picture -> uint8 [3, crop, crop]; it draws from torch's global generator.

    ``none``: resized and cropped alike every time. ``light``: shifted a little and mirrored. ``basic``: a random part
    of the picture, mirrored, turned by up to 15 degrees, in other colors. ``strong``: a random part, mirrored, and one
    operation of TrivialAugment (Mueller and Hutter 2021) with random strength.
    """
    how = InterpolationMode(interpolation)
    part = v2.RandomResizedCrop(crop, scale=(0.35, 1.0), interpolation=how, antialias=True)
    steps: dict[Augmentation, list[torch.nn.Module]] = {
        "none": [v2.Resize(round(crop * 256 / 224), interpolation=how, antialias=True), v2.CenterCrop(crop)],
        "light": [
            v2.Resize(crop * 9 // 8, interpolation=how, antialias=True),
            v2.RandomCrop(crop),
            v2.RandomHorizontalFlip(),
        ],
        "basic": [
            part,
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(15, interpolation=InterpolationMode.BILINEAR),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05),
        ],
        "strong": [part, v2.RandomHorizontalFlip(), v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR)],
    }
    compose: Augment = v2.Compose([v2.PILToTensor(), *steps[policy]])
    return compose


Batch = tuple[Tensor, Tensor]


class _Fixed(Dataset[Batch]):
    """Photographs as the service sees them: uint8 [3, crop, crop]."""

    def __init__(self, photos: Sequence[Photo], preprocessing: Preprocessing) -> None:
        self.photos, self.preprocessing = photos, preprocessing

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Batch:
        photo = self.photos[index]
        pixels = torch.from_numpy(pixels_of(photo, self.preprocessing))
        return pixels.permute(2, 0, 1), torch.tensor(photo.label)


class _Augmented(Dataset[Batch]):
    """Photographs as they are trained with; each draw is seeded by seed, epoch and position."""

    def __init__(self, photos: Sequence[Photo], augment: Augment, *, at_least: int, seed: tuple[int, int]) -> None:
        self.photos, self.augment, self.at_least, self.seed = photos, augment, at_least, seed

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Batch:
        photo = self.photos[index]
        image = image_of(photo, at_least=self.at_least)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw(*self.seed, index))
            return self.augment(image), torch.tensor(photo.label)


def draw(*numbers: int) -> int:
    """Return one seed that depends on all of the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def fixed_batches(
    photos: Sequence[Photo], preprocessing: Preprocessing, *, batch: int = 64, workers: int = 0
) -> Iterator[Batch]:
    """Yield (uint8 [n, 3, crop, crop], labels [n]) of all photographs in their order, prepared as in the service."""
    yield from DataLoader(_Fixed(photos, preprocessing), batch_size=batch, num_workers=workers)


def augmented_batches(
    photos: Sequence[Photo],
    augment: Augment,
    *,
    at_least: int,
    batch: int,
    rows: slice = slice(None),
    seed: int,
    epoch: int,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield the photographs of an epoch, shuffled and augmented; a last batch that is not full is left out.

    A JPEG may be decoded smaller, down to a shorter side of `at_least` pixels. The same seed and epoch give the same
    batches, whatever the number of workers.

    Parameters
    ----------
    rows
        The part of each batch that is wanted: the others are neither read nor augmented.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(photos))
    shuffled = [photos[i] for i in order]
    dataset = _Augmented(shuffled, augment, at_least=at_least, seed=(seed, epoch))
    size = min(batch, len(photos))
    parts = [list(range(start, start + size)[rows]) for start in range(0, len(photos) - size + 1, size)]
    yield from DataLoader(dataset, batch_sampler=parts, num_workers=workers)


def kept_features(shape: tuple[int, int], rows: slice, dropout: float, *, seed: int, epoch: int) -> Iterator[Tensor]:
    """Yield for each step what dropout leaves of the features of these rows: factors float32 [n, channels].

    They are drawn for the whole batch, on the CPU: a picture loses the same features wherever it is trained with.

    Parameters
    ----------
    shape
        Pictures of a whole batch and features of each.
    dropout
        Share of the features that are set to zero; the others grow by as much.
    """
    generator = torch.Generator().manual_seed(draw(seed, epoch))
    while True:
        yield torch.empty(shape).bernoulli_(1 - dropout, generator=generator)[rows] / (1 - dropout)
