"""Augmentation: what a picture may look like without becoming one of another class."""

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from image_classifier.config import Augmentation
from image_classifier.data.preprocessing import Interpolation

Augment = Callable[[Image.Image], Tensor]


def augmentation(policy: Augmentation, crop: int, *, interpolation: Interpolation = "bilinear") -> Augment:
    """Return a function: upright RGB picture -> uint8 [3, crop, crop]; it draws from torch's global generator.

    Parameters
    ----------
    policy
        ``none``: resized and cropped alike every time. ``light``: shifted a little and
        mirrored. ``basic``: a random part of the picture, mirrored, turned by up
        to 15 degrees, other brightness, contrast, saturation and hue. ``strong``: a random part, mirrored, and one
        operation of TrivialAugment (Mueller and Hutter 2021) with random strength.
    crop
        Side of the result in pixels.
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
