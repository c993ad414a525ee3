"""How bright and how sharp pictures are, and changes that make a photograph look like others in both."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from image_classifier.data.preprocessing import Pixels, Preprocessing, to_pixels

LINES = 4  # one line in so many is looked at: a tenth of a millisecond is 1 % of a request
MOST_GAIN, MOST_NOISE = 4.0, 64.0
RADII = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
NEAR = 0.1  # share of the sharpness that is not worth a change


class Recent(NamedTuple):
    """How pictures looked to a model that saw them `side` pixels wide: brightness and sharpness, [n] each."""

    brightness: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    side: int


@dataclass(frozen=True)
class Look:
    """A change of a picture: all values times `gain`, blurred, and with normal noise that `seed` draws.

    Attributes
    ----------
    blur
        Radius of the Gaussian blur, in pixels of the picture.
    noise
        Standard deviation, in levels of 255.
    """

    gain: float
    blur: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def of(self, image: Image.Image) -> Image.Image:
        """Return the picture, changed."""
        if self.blur:
            image = image.filter(ImageFilter.GaussianBlur(self.blur))
        values = np.asarray(image, dtype=np.float32) * np.float32(self.gain)
        if self.noise:
            drawn = np.random.default_rng(self.seed).standard_normal(values.shape, dtype=np.float32)
            values += np.float32(self.noise) * drawn
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def brightness(pixels: Pixels) -> float:
    """Return the mean of the values, from 0 (black) to 1 (white)."""
    looked_at = pixels[::LINES]
    return int(looked_at.sum(dtype=np.uint64)) / looked_at.size / 255


def sharpness(pixels: Pixels) -> float:
    """Return the variance of the Laplacian of green, of which brightness is made for the most part.

    Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy: a comparative study".
    """
    height = len(pixels) - 2
    above, lines, below = (pixels[i : height + i : LINES, :, 1].astype(np.float32) for i in range(3))
    laplacian = above[:, 1:-1] + below[:, 1:-1] + lines[:, :-2] + lines[:, 2:] - 4 * lines[:, 1:-1]
    return float(laplacian.var())


def look_for(image: Image.Image, side: int, *, gain: float, target: float, seed: int = 0) -> Look:
    """Return the look that has a gain and, seen `side` pixels wide, nearly a sharpness: by blur, or by noise.

    The log has one number for both: what is sharper than its brightness explains counts as noisy.
    """

    def seen(look: Look) -> float:
        return max(sharpness(to_pixels(look.of(image), Preprocessing(side, side))), 1e-3)

    plain = seen(Look(gain))
    if abs(np.log(max(target, 1e-3) / plain)) < NEAR:
        return Look(gain)
    if target < plain:
        sharp = [plain, *(seen(Look(gain, radius)) for radius in RADII[1:])]
        return Look(gain, blur=float(np.interp(-np.log(max(target, 1e-3)), -np.log(sharp), RADII)))
    noise = 8.0
    for _ in range(3):  # the variance of the Laplacian grows with that of the noise, less where black cuts it off
        gained = max(seen(Look(gain, noise=noise, seed=seed)) - plain, 1e-3)
        noise = min(noise * float(np.sqrt((target - plain) / gained)), MOST_NOISE)
    return Look(gain, noise=noise, seed=seed)
