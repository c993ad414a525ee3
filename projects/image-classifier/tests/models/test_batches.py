"""Batches as the service sees the pictures, or augmented by seed and epoch alone; what each policy may change."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from image_classifier.config import Augmentation
from image_classifier.data.images import prepare
from image_classifier.data.load import Dataset
from image_classifier.data.photos import TRUSTED, Photo, labels_of
from image_classifier.data.preprocessing import Preprocessing, to_pixels
from image_classifier.models import batches
from image_classifier.models.batches import augmentation, augmented_batches, draw, fixed_batches, kept_features
from image_classifier.models.distributed import Team

HOW = Preprocessing(36, 32)
# Python 3.12 and later warn when a process with threads is forked; torch's workers use one thread each.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def few(sample: Dataset, count: int = 10) -> list[Photo]:
    step = len(sample.photos) // count
    return list(sample.photos[::step][:count])


def epoch(photos: Sequence[Photo], *, seed: int = 0, number: int = 0, batch: int = 4, workers: int = 0) -> torch.Tensor:
    """Return pictures and labels of an epoch as one tensor [n, 3 * 32 * 32 + 1]."""
    yielded = augmented_batches(
        photos, augmentation("strong", 32), at_least=32, batch=batch, seed=seed, epoch=number, workers=workers
    )
    parts = [torch.cat([pictures.flatten(1).long(), labels[:, None]], 1) for pictures, labels in yielded]
    assert all(len(part) == min(batch, len(photos)) for part in parts)
    return torch.cat(parts)


@forks
@pytest.mark.parametrize("workers", [0, 1])
def test_fixed_batches_are_what_the_service_sees(workers: int, sample: Dataset) -> None:
    photos = few(sample)
    yielded = list(fixed_batches(photos, HOW, batch=4, workers=workers))
    assert [len(labels) for _, labels in yielded] == [4, 4, 2]
    pictures, labels = (torch.cat(parts) for parts in zip(*yielded, strict=True))
    expected = np.stack([prepare(photo.path.read_bytes(), HOW, limits=TRUSTED) for photo in photos])
    assert pictures.dtype == torch.uint8
    np.testing.assert_array_equal(pictures.permute(0, 2, 3, 1).numpy(), expected)
    assert labels.tolist() == [photo.label for photo in photos] == labels_of(photos).tolist()


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


@pytest.mark.parametrize("size", [2, 3])
def test_parts_of_processes_are_the_batches_and_only_they_are_read(
    size: int, sample: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, read = few(sample), []
    whole = list(augmented_batches(photos, augmentation("strong", 32), at_least=32, batch=5, seed=3, epoch=2))
    plain = batches.image_of
    monkeypatch.setattr(batches, "image_of", lambda photo, **how: (read.append(photo), plain(photo, **how))[1])
    parts = []
    for rank in range(size):
        rows = Team(rank, size).rows(5)
        policy = augmentation("strong", 32)
        parts.append(list(augmented_batches(photos, policy, at_least=32, batch=5, rows=rows, seed=3, epoch=2)))
    assert len(read) == len(set(read)) == len(photos)
    for number, (pictures, labels) in enumerate(whole):
        assert torch.equal(torch.cat([part[number][0] for part in parts]), pictures)
        assert torch.equal(torch.cat([part[number][1] for part in parts]), labels)


def test_a_picture_loses_the_same_features_in_any_process() -> None:
    def steps(rows: slice, **others: int) -> torch.Tensor:
        masks = kept_features((5, 2000), rows, 0.2, **({"seed": 3, "epoch": 2} | others))
        return torch.stack([next(masks) for _ in range(3)])

    whole = steps(slice(None))
    assert torch.equal(torch.cat([steps(Team(rank, 2).rows(5)) for rank in range(2)], dim=1), whole)
    assert set(whole.unique().tolist()) == {0.0, 1.25}  # 1 / 0.8: the mean of the features stays
    assert (whole == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)  # 30,000 draws: 4 standard errors
    assert not torch.equal(whole[0], whole[1])
    assert not torch.equal(whole[0, 0], whole[0, 1])
    for others in ({"seed": 4}, {"epoch": 3}):
        assert not torch.equal(steps(slice(None), **others), whole)
    assert torch.equal(next(kept_features((2, 3), slice(None), 0.0, seed=0, epoch=0)), torch.ones(2, 3))


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
    yielded = augmented_batches([photo], augmentation("none", 32), at_least=32, batch=1, seed=0, epoch=0)
    pictures, _ = next(iter(yielded))
    assert pictures[0, :, :14].min() > 250
    assert pictures[0, :, 18:].max() < 5


def test_a_draw_depends_on_every_number() -> None:
    numbers = [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1), (1, 1), (1, 2), (2, 1), (0, 0, 2)]
    seeds = {draw(*each) for each in numbers}
    assert len(seeds) == len(numbers) - 1  # zeros at the end count for nothing: (0, 1) is (0, 1, 0)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert draw(3, 1, 4) == draw(3, 1, 4)


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
def test_the_others_change_colors_too(policy: Augmentation) -> None:
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
