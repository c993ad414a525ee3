"""Pictures that resemble flowers and are none of the kinds: another flower, a painting of it, a leaf.

No threshold was set on them. The crops are of one photograph, so they stand for that flower and not for all others.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from image_classifier.evaluation.out_of_distribution import SIDE, Rng, sample_photographs

EACH = 20


def near_pictures(*, each: int = EACH, seed: int = 0) -> dict[str, list[Image.Image]]:
    """Return `each` pictures of every near kind, by kind; equal for equal seeds."""
    return {
        kind: [make(np.random.default_rng((seed, 100 + number, i))) for i in range(each)]
        for number, (kind, make) in enumerate(NEAR_KINDS.items())
    }


def _dahlia(rng: Rng) -> Image.Image:
    photo = sample_photographs()["flower.jpg"]
    side = int(rng.integers(300, 427))
    x, y = int(rng.integers(0, photo.width - side + 1)), int(rng.integers(0, photo.height - side + 1))
    return photo.crop((x, y, x + side, y + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _painting(rng: Rng) -> Image.Image:
    """Paint a dahlia: patches of the color that is most frequent around, in few levels."""
    dabs = _dahlia(rng).filter(ImageFilter.ModeFilter(int(rng.integers(4, 8)) * 2 + 1))
    return ImageOps.posterize(dabs, int(rng.integers(3, 5))).filter(ImageFilter.SMOOTH)


def _leaf(rng: Rng) -> Image.Image:
    """Draw a leaf with its veins on a plain ground, larger and then reduced, so that its edges are smooth."""
    scale = 2
    side = SIDE * scale
    ground = tuple(int(value) for value in rng.integers(150, 250, 3))
    green = (int(rng.integers(20, 90)), int(rng.integers(90, 170)), int(rng.integers(10, 70)))
    image = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(image)
    along = np.linspace(0, 1, 40)
    half = side * float(rng.uniform(0.16, 0.28)) * np.sin(np.pi * along**0.8)
    x = side * (0.1 + 0.8 * along)
    outline = [*zip(x, side / 2 - half, strict=True), *zip(x[::-1], side / 2 + half[::-1], strict=True)]
    draw.polygon(outline, fill=green)
    vein = tuple(min(255, value + 60) for value in green)
    draw.line((0.02 * side, side / 2, 0.9 * side, side / 2), fill=vein, width=3 * scale)
    for i in range(5, 35, 4):
        for sign in (-1, 1):
            reach = min(i + 5, len(x) - 1)
            draw.line((x[i], side / 2, x[reach], side / 2 + 0.8 * sign * half[reach]), fill=vein, width=scale)
    turned = image.rotate(float(rng.uniform(0, 360)), Image.Resampling.BICUBIC, fillcolor=ground)
    return turned.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


NEAR_KINDS: dict[str, Callable[[Rng], Image.Image]] = {
    "dahlia": _dahlia,
    "painting of a dahlia": _painting,
    "leaf": _leaf,
}
