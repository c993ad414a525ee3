"""A heat map as a picture to lay over the part of a photograph that the model has seen."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Evidence; its red, green, blue and opacity. Nothing is seen where there is none, and opacity tells in greyscale too.
_LEVELS = (0.0, 0.25, 0.6, 1.0)
_COLOURS = ((255, 214, 10, 0), (255, 190, 0, 40), (255, 120, 0, 150), (214, 26, 26, 205))


def heat_picture(heat: NDArray[np.float32], *, side: int) -> str:
    """Draw evidence as a PNG with a palette, transparent where there is none, and return it as a data URL.

    Parameters
    ----------
    heat
        [h, w] in 0..1.
    side
        Width and height of the drawn square in pixels: that of the model's crop.
    """
    # Bilinear: a cubic filter swings, and would show evidence where there is none.
    smooth = Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR)
    levels = np.rint(np.clip(np.asarray(smooth), 0, 1) * 255).astype(np.uint8)
    stream = io.BytesIO()
    # 256 colours in a palette: a quarter of the bytes and of the time of four channels.
    picture = Image.fromarray(levels)
    picture.putpalette(gradient().tobytes(), "RGBA")
    picture.save(stream, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def gradient() -> NDArray[np.uint8]:
    """Return the colours of 256 levels of evidence, uint8 [256, 4]: red, green, blue, opacity."""
    channels = [np.interp(np.linspace(0, 1, 256), _LEVELS, channel) for channel in zip(*_COLOURS, strict=True)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
