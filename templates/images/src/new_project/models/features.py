"""Features of the parts of the data, from the network that ships; training alone needs them."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from new_project.data.images import read
from new_project.data.load import Part
from new_project.models.trunk import BINS, Floats, Trunk, histogram
from portfolio_shared.data.sources import Sample

TRUNK = Sample(
    path=Path(__file__).with_name("pretrained") / "mobilenet_v2.onnx",
    name="features of MobileNetV2, ImageNet, weights of 8 bits",
    sha256="ee82fc789c2c7b7ed60d1dbe2230c9726fece93d7b6e06dca953a3a7085b8bc3",
    whole=True,
)


@lru_cache(maxsize=1)
def shipped_trunk() -> Trunk:
    """Return the network that ships; raises DataError if its file was changed."""
    return Trunk(TRUNK.checked().read_bytes())


@lru_cache(maxsize=8)  # a training asks for each part several times
def features_of(part: Part) -> tuple[Floats, Floats]:
    """Return features of the network and color histograms of a part; of feedback, which has no colors, those are 0."""
    trunk, rows = shipped_trunk(), [read(picture.path) for picture in part.pictures]
    colors = [histogram(pixels) for pixels in rows] + [np.zeros(3 * BINS, dtype=np.float32)] * len(part.taught)
    return np.stack([*map(trunk.features, rows), *part.taught]), np.stack(colors)
