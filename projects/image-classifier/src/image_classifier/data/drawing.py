"""Five kinds of flower, drawn with polygons: what `image_classifier.data.sample` puts into its pictures.

Shapes are arrays of complex numbers around 0, the flower's outermost reach being 1; a `Pen` puts them where the
flower stands. The kinds differ in shape. Each kind has colours of its own and shares others with the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

Shape = NDArray[np.complexfloating]
Colour = tuple[float, float, float]  # red, green, blue, each 0..255

WHITE, CREAM, YELLOW, ORANGE = (244, 242, 236), (246, 228, 168), (247, 205, 38), (236, 128, 32)
RED, PINK, LILAC, BROWN = (196, 28, 40), (232, 120, 160), (160, 112, 204), (92, 54, 26)
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True)
class Pen:
    """Draws shapes of one flower: scaled, seen at an angle, turned and moved.

    Attributes
    ----------
    centre, reach
        Pixels: x + iy, and from there to the tip of the outermost petal.
    turn, squash, lean
        Radians, clockwise; height over width of a circle, 1 as seen from above; radians in which that is squashed.
    """

    draw: ImageDraw.ImageDraw
    centre: complex
    reach: float
    turn: float = 0.0
    squash: float = 1.0
    lean: float = 0.0

    def fill(self, shape: Shape, colour: Colour) -> None:
        """Draw a filled polygon."""
        self.draw.polygon(self._pixels(shape), fill=_rgb(colour))

    def line(self, shape: Shape, colour: Colour, *, width: float) -> None:
        """Draw an open line, its width as a part of the reach."""
        pixels = max(1, round(width * self.reach))
        self.draw.line(self._pixels(shape), fill=_rgb(colour), width=pixels, joint="curve")

    def _pixels(self, shape: Shape) -> list[tuple[float, float]]:
        turned = shape * np.exp(1j * (self.turn - self.lean))
        seen = (turned.real + 1j * turned.imag * self.squash) * np.exp(1j * self.lean)
        placed = self.centre + self.reach * seen
        return list(zip(placed.real.tolist(), placed.imag.tolist(), strict=True))


def draw_daisy(pen: Pen, rng: np.random.Generator) -> None:
    """Draw one row of slim, blunt petals with gaps, around a small smooth disc."""
    colour = _pick(rng, (WHITE, YELLOW, PINK, LILAC, ORANGE), (0.5, 0.14, 0.14, 0.12, 0.1))
    n_petals = int(rng.integers(10, 20))
    width = rng.uniform(0.6, 0.85) * np.pi / n_petals * 0.75
    for angle in _around(rng, n_petals, jitter=0.12):
        _petal(pen, rng, colour, angle=angle, length=rng.uniform(0.88, 1.0), width=width, blunt=0.45)
    _disc(pen, rng, rng.uniform(0.2, 0.3), _pick(rng, (YELLOW, ORANGE, BROWN), (0.7, 0.2, 0.1)), seeds=False)


def draw_sunflower(pen: Pen, rng: np.random.Generator) -> None:
    """Draw two or three rows of short pointed petals around a large disc of seeds."""
    colour = _pick(rng, (YELLOW, ORANGE, CREAM, RED, WHITE), (0.5, 0.16, 0.12, 0.12, 0.1))
    n_petals = int(rng.integers(15, 24))
    radius = rng.uniform(0.42, 0.56)
    for row, reach in enumerate((1.0, 0.94, 0.86)[: int(rng.integers(2, 4))]):
        for angle in _around(rng, n_petals, jitter=0.25, start=row * np.pi / n_petals):
            length = reach * rng.uniform(0.88, 1.0)
            _petal(pen, rng, _shaded(colour, 0.84 + 0.08 * row), angle=angle, length=length, width=0.13, blunt=1.3)
    _disc(pen, rng, radius, _pick(rng, (BROWN, (58, 40, 26), (150, 108, 40)), (0.5, 0.3, 0.2)), seeds=True)


def draw_dandelion(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a dense tuft of narrow strips without a disc, or the ball of seeds that comes of it."""
    if rng.random() < 0.4:
        _seed_ball(pen, rng)
        return
    colour = _pick(rng, (YELLOW, ORANGE, WHITE, PINK, LILAC), (0.6, 0.16, 0.08, 0.08, 0.08))
    for row, reach in enumerate(np.linspace(1.0, 0.22, 6)):
        n_strips = round(44 * (0.4 + 0.6 * reach))
        for angle in _around(rng, n_strips, jitter=0.6):
            shade = _shaded(colour, rng.uniform(0.78, 0.98) + 0.025 * row)
            strip = _outline(reach * rng.uniform(0.82, 1.0), 0.042, blunt=0.35)
            pen.fill(strip * np.exp(1j * angle), shade)
    for angle in _around(rng, 14, jitter=0.8):  # the youngest strips stand upright
        pen.fill(_outline(0.14, 0.02, blunt=0.35) * np.exp(1j * angle), _shaded(colour, rng.uniform(0.7, 0.86)))


def draw_rose(pen: Pen, rng: np.random.Generator) -> None:
    """Draw broad round petals, one over the other, wound into a spiral."""
    colour = _pick(rng, (RED, PINK, WHITE, YELLOW, ORANGE, LILAC), (0.26, 0.22, 0.18, 0.14, 0.12, 0.08))
    n_petals = int(rng.integers(17, 24))
    for number, reach in enumerate(np.linspace(0.74, 0.1, n_petals)):
        angle = number * GOLDEN_ANGLE + rng.normal(0, 0.15)
        middle = 0.36 * reach * np.exp(1j * angle)
        shape = middle + reach * _round(rng, wobble=0.05)
        pen.fill(shape * 1.02 + 0.025 * np.exp(1j * angle), _shaded(colour, 0.6))
        pen.fill(shape, _shaded(colour, rng.uniform(0.8, 0.9) + 0.1 * (number % 2)))
        lit = middle - 0.1 * reach * np.exp(1j * angle) + 0.82 * reach * _round(rng, wobble=0.05)
        pen.fill(lit, _shaded(colour, rng.uniform(0.68, 0.8)))
    along = np.linspace(0.3, 4.2 * np.pi, 40)
    pen.line(0.013 * along * np.exp(1j * along), _shaded(colour, 0.5), width=0.025)


def draw_tulip(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a cup seen from the side: pointed petals behind, one or two broad ones in front."""
    colour = _pick(rng, (RED, PINK, YELLOW, WHITE, ORANGE, LILAC), (0.24, 0.2, 0.18, 0.14, 0.14, 0.1))
    opening = rng.uniform(0.3, 0.56)
    foot = 0.8j

    def leaf(angle: float, length: float, width: float, shade: float) -> None:
        upward = np.exp(1j * (angle - np.pi / 2))
        pen.fill(foot + _outline(length, width, blunt=0.72) * upward, _shaded(colour, shade))
        pen.fill(foot + _outline(length * 0.93, width * 0.62, blunt=0.8) * upward, _shaded(colour, shade * 1.09))
        pen.line(foot + np.linspace(0.1, 0.8, 6) * length * upward, _shaded(colour, shade * 0.9), width=0.015)

    for side in (-0.5, 0.5):
        leaf(side * opening, 1.66, 0.34, 0.66)
    for side in (-1, 1):
        leaf(side * opening, rng.uniform(1.5, 1.66), 0.38, 0.82)
    leaf(rng.normal(0, 0.06), rng.uniform(1.26, 1.4), 0.42, 0.95)


KINDS: dict[str, Callable[[Pen, np.random.Generator], None]] = {
    "daisy": draw_daisy,
    "dandelion": draw_dandelion,
    "rose": draw_rose,
    "sunflower": draw_sunflower,
    "tulip": draw_tulip,
}


def draw_stem(pen: Pen, rng: np.random.Generator, *, foot: complex, bare: bool) -> None:
    """Draw the stem from the flower to a point in pixels, with long leaves unless it is bare."""
    green = (rng.uniform(60, 110), rng.uniform(110, 160), rng.uniform(40, 80))
    end = (foot - pen.centre) / pen.reach
    t = np.linspace(0, 1, 14)
    curve = t * end + rng.normal(0, 0.22) * np.sin(np.pi * t)
    straight = Pen(pen.draw, pen.centre, pen.reach)
    if not bare:
        for side in (-1, 1)[: int(rng.integers(1, 3))]:
            upward = np.exp(1j * (-np.pi / 2 + side * rng.uniform(0.25, 0.8)))
            blade = _outline(rng.uniform(1.0, 1.7), rng.uniform(0.12, 0.2), blunt=0.9) * upward
            straight.fill(curve[int(rng.integers(8, 13))] + blade, _shaded(green, rng.uniform(0.7, 1.0)))
    straight.line(curve, green, width=rng.uniform(0.06, 0.12))


def _seed_ball(pen: Pen, rng: np.random.Generator) -> None:
    grey = _shaded(WHITE, rng.uniform(0.8, 1.0))
    pen.fill(0.15 * _round(rng, wobble=0.08), _shaded(BROWN, 1.2))
    for row, reach in enumerate((0.6, 0.8, 1.0)):
        for angle in _around(rng, 14 + 8 * row, jitter=0.5):
            ray = np.exp(1j * angle) * reach * rng.uniform(0.9, 1.0)
            shade = _shaded(grey, rng.uniform(0.8, 1.0))
            pen.line(np.array([0.12 * ray, ray]), shade, width=0.014)
            for bristle in (-1.15, -0.6, 0.0, 0.6, 1.15):
                pen.line(np.array([ray * 0.86, ray * 0.86 + 0.2 * np.exp(1j * (angle + bristle))]), shade, width=0.014)


def _petal(
    pen: Pen, rng: np.random.Generator, colour: Colour, *, angle: float, length: float, width: float, blunt: float
) -> None:
    """Draw a petal from the centre outwards: a darker rim, a lighter face, a crease."""
    outward, shade = np.exp(1j * angle), rng.uniform(0.82, 0.98)
    pen.fill(_outline(length, width, blunt=blunt) * outward, _shaded(colour, shade * 0.82))
    pen.fill(_outline(length * 0.97, width * 0.78, blunt=blunt) * outward, _shaded(colour, shade * 1.03))
    pen.line(np.linspace(0.3, 0.85, 4) * length * outward, _shaded(colour, shade * 0.88), width=0.012)


def _disc(pen: Pen, rng: np.random.Generator, radius: float, colour: Colour, *, seeds: bool) -> None:
    pen.fill(radius * _round(rng, wobble=0.03), _shaded(colour, 0.72))
    pen.fill(radius * (0.88 * _round(rng, wobble=0.03) - 0.04 - 0.04j), colour)
    if not seeds:
        pen.fill(radius * (0.5 * _round(rng, wobble=0.05) - 0.12 - 0.12j), _shaded(colour, 1.12))
        return
    dot = radius * 0.055 * np.exp(1j * np.linspace(0, 2 * np.pi, 6, endpoint=False))
    number = np.arange(1, 110)
    places = radius * 0.96 * np.sqrt(number / 110) * np.exp(1j * number * GOLDEN_ANGLE)  # Vogel 1979
    for place in places:
        pen.fill(place + dot, _shaded(colour, rng.uniform(0.55, 0.8) if abs(place) < 0.6 * radius else 1.35))


def _outline(length: float, width: float, *, blunt: float) -> Shape:
    """Return a petal from 0 along the positive axis; `blunt` below 1 rounds its tip, above 1 sharpens it."""
    t = np.linspace(0, 1, 12)
    half = width * np.maximum(np.sin(np.pi * t**1.25), 0) ** blunt
    return np.concatenate([t * length + 1j * half, (t * length - 1j * half)[::-1]])


def _round(rng: np.random.Generator, *, wobble: float) -> Shape:
    """Return a circle of radius 1 that no compass drew."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    waves = sum(rng.normal(0, wobble) * np.cos(n * angle + rng.uniform(0, 2 * np.pi)) for n in (2, 3, 5))
    return np.asarray((1 + waves) * np.exp(1j * angle))


def _around(rng: np.random.Generator, count: int, *, jitter: float, start: float = 0.0) -> list[float]:
    """Return `count` angles around the circle, moved by up to `jitter` of their distance, in mixed order."""
    steps = np.arange(count) + rng.uniform(-jitter, jitter, count)
    return [float(angle) for angle in rng.permutation(start + steps * 2 * np.pi / count)]


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...], shares: tuple[float, ...]) -> Colour:
    red, green, blue = np.array(colours[int(rng.choice(len(colours), p=shares))]) + rng.normal(0, 14, 3)
    return (float(red), float(green), float(blue))


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = colour
    return (red * factor, green * factor, blue * factor)


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (int(min(max(part, 0), 255)) for part in colour)
    return (red, green, blue)
