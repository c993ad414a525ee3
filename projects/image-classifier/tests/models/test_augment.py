"""What each policy may change in a picture, and that the seed decides it."""

import numpy as np
import pytest
import torch
from PIL import Image

from image_classifier.config import Augmentation
from image_classifier.data.preprocessing import Preprocessing, to_pixels
from image_classifier.models.augment import augmentation

POLICIES: tuple[Augmentation, ...] = ("none", "light", "basic", "strong")
RANDOM = POLICIES[1:]


def smooth(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((width, height))


def drawn(policy: Augmentation, image: Image.Image, seed: int, crop: int = 32) -> torch.Tensor:
    torch.manual_seed(seed)
    return augmentation(policy, crop)(image)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [(64, 64), (90, 41), (41, 90), (20, 20), (33, 8)])
def test_any_picture_comes_out_square_and_in_bytes(policy: Augmentation, size: tuple[int, int]) -> None:
    for seed in range(5):
        augmented = drawn(policy, smooth(*size), seed)
        assert (augmented.shape, augmented.dtype) == ((3, 32, 32), torch.uint8)


@pytest.mark.parametrize("policy", RANDOM)
def test_the_seed_decides(policy: Augmentation) -> None:
    image = smooth(64, 48)
    assert torch.equal(drawn(policy, image, 1), drawn(policy, image, 1))
    assert len({drawn(policy, image, seed).numpy().tobytes() for seed in range(12)}) > 8


def test_none_is_alike_every_time_and_what_the_service_sees() -> None:
    image = smooth(90, 70)
    first = drawn("none", image, 0, crop=56)
    assert torch.equal(first, drawn("none", image, 1, crop=56))
    served = to_pixels(image, Preprocessing(64, 56)).transpose(2, 0, 1)
    # Torch and Pillow round differently.
    assert np.abs(first.numpy().astype(int) - served).max() <= 2


def test_light_moves_and_mirrors_but_paints_nothing() -> None:
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, 32:] = (200, 100, 50)
    light = [drawn("light", Image.fromarray(pixels), seed, crop=64) for seed in range(40)]
    mirrored = sum(bool(augmented[0, 32, 5] > augmented[0, 32, 58]) for augmented in light)
    assert 8 < mirrored < 32
    for augmented in light:
        # A step from dark to bright and what lies between them, at most 8 pixels (72 - 64) from the middle.
        assert augmented[0].unique().max() == 200
        assert (augmented[:, :, :24].amax((1, 2)) == augmented[:, 0, 0]).all()
        assert torch.equal(augmented[0, 0], augmented[0, 63])


@pytest.mark.parametrize("policy", ["basic", "strong"])
def test_the_others_change_colours_too(policy: Augmentation) -> None:
    plain = Image.new("RGB", (64, 64), (120, 90, 60))
    middles = {tuple(drawn(policy, plain, seed)[:, 16, 16].tolist()) for seed in range(30)}
    assert len(middles) > 5
    assert {tuple(drawn("light", plain, seed)[:, 16, 16].tolist()) for seed in range(30)} == {(120, 90, 60)}


@pytest.mark.parametrize("policy", ["basic", "strong"])
def test_a_part_of_the_picture_is_enlarged(policy: Augmentation) -> None:
    """A third of the area at least is seen; the corners of a frame are seldom in it."""
    pixels = np.full((64, 64, 3), 128, dtype=np.uint8)
    pixels[:4] = pixels[-4:] = pixels[:, :4] = pixels[:, -4:] = 255
    seen = [int((drawn(policy, Image.fromarray(pixels), seed)[0] > 200).sum()) for seed in range(30)]
    assert np.median(seen) < 0.9 * ((pixels[..., 0] == 255).mean() * 32 * 32)


def test_interpolation_is_the_backbones() -> None:
    image = smooth(64, 64)
    torch.manual_seed(0)
    other = augmentation("strong", 32, interpolation="bicubic")(image)
    assert not torch.equal(other, drawn("strong", image, 0))
