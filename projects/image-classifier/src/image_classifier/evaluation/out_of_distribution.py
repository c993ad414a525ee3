"""Pictures that show none of the classes, to measure whether the model says so: 200 of ten kinds.

They are drawn with a seed, or cut from photographs that come with scikit-learn. No threshold was set on them.
"""

import string
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 256
Rng = np.random.Generator


def draw_pictures(*, each: int = 20, seed: int = 0) -> dict[str, list[Image.Image]]:
    """Return `each` pictures of every kind, by kind; equal for equal seeds."""
    return {
        kind: [make(np.random.default_rng((seed, number, i))) for i in range(each)]
        for number, (kind, make) in enumerate(KINDS.items())
    }


def sample_photographs() -> dict[str, Image.Image]:
    """Return scikit-learn's two photographs, whole: a street, and a flower that is none of the usual five kinds."""
    from sklearn.datasets import load_sample_image

    return {name: Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")}


def _noise(rng: Rng) -> Image.Image:
    return _to_image(rng.integers(0, 256, (SIDE, SIDE, 3)))


def _clouds(rng: Rng) -> Image.Image:
    coarse = _to_image(rng.integers(0, 256, (int(rng.integers(4, 12)),) * 2 + (3,)))
    return coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _text(rng: Rng) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), _color(rng, least=220))
    draw = ImageDraw.Draw(image)
    size = int(rng.integers(9, 18))
    font, ink = ImageFont.load_default(size), _dark(rng)
    letters = np.array(list(string.ascii_letters + "     "))
    for y in range(10, SIDE - 10, size + 4):
        draw.text((10, y), "".join(rng.choice(letters, 60)), fill=ink, font=font)
    return image


def _shapes(rng: Rng) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), _color(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 9))):
        x, y, w, h = (int(v) for v in rng.integers(10, SIDE // 2, 4))
        draw.rectangle((x, y, x + w, y + h), fill=_color(rng), outline=_dark(rng), width=3)
    return image


def _lines(rng: Rng) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(5, 25))):
        points = [(int(x), int(y)) for x, y in rng.integers(0, SIDE, (int(rng.integers(2, 5)), 2))]
        draw.line(points, fill=_dark(rng), width=int(rng.integers(1, 6)))
    return image


def _gradient(rng: Rng) -> Image.Image:
    start, end = np.array(_color(rng)), np.array(_color(rng))
    share = np.linspace(0, 1, SIDE)[:, None, None]
    return _to_image(np.broadcast_to(start + (end - start) * share, (SIDE, SIDE, 3))).rotate(
        90 * int(rng.integers(0, 4))
    )


def _stripes(rng: Rng) -> Image.Image:
    width, first, second = int(rng.integers(4, 40)), _color(rng), _color(rng)
    place = np.arange(SIDE) // width % 2
    cells = (place[:, None] + (place[None, :] if rng.random() < 0.5 else 0)) % 2
    return _to_image(np.where(cells[:, :, None] == 1, np.array(first), np.array(second)) * np.ones((SIDE, SIDE, 1)))


def _chart(rng: Rng) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(image)
    draw.line((30, 20, 30, 226, 236, 226), fill="black", width=2)
    n = int(rng.integers(4, 12))
    for i, height in enumerate(rng.integers(10, 190, n)):
        left = 36 + i * 200 // n
        draw.rectangle((left, 225 - int(height), left + 160 // n, 225), fill=_color(rng))
    return image


def _digit(rng: Rng) -> Image.Image:
    digits = _digits()
    pixels = digits[int(rng.integers(0, len(digits)))]
    return _to_image(255 - pixels[:, :, None] * np.full(3, 15.9)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


@cache
def _digits() -> NDArray[np.float64]:
    """Return scikit-learn's 1,797 digits, which take 50 ms to read [n, 8, 8]."""
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().images)


def _street(rng: Rng) -> Image.Image:
    photo = sample_photographs()["china.jpg"]
    side = int(rng.integers(200, 427))
    x, y = int(rng.integers(0, photo.width - side + 1)), int(rng.integers(0, photo.height - side + 1))
    part = photo.crop((x, y, x + side, y + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return part.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1))))


def _to_image(values: NDArray[np.generic]) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(values, dtype=np.float64), 0, 255).astype(np.uint8))


def _color(rng: Rng, *, least: int = 0, below: int = 256) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in rng.integers(least, below, 3))
    return red, green, blue


def _dark(rng: Rng) -> tuple[int, int, int]:
    return _color(rng, below=110)


KINDS: dict[str, Callable[[Rng], Image.Image]] = {
    "noise": _noise,
    "clouds of color": _clouds,
    "text": _text,
    "shapes": _shapes,
    "lines": _lines,
    "gradient": _gradient,
    "stripes": _stripes,
    "bar chart": _chart,
    "handwritten digit": _digit,
    "street with temple": _street,
}
