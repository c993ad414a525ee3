"""The pretrained network that features come from; it ships, and stays as it is."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from new_project.data.images import Pixels, read
from new_project.data.load import Part
from portfolio_shared.data.sources import Sample

Floats = NDArray[np.float32]
TRUNK = Sample(
    path=Path(__file__).with_name("pretrained") / "mobilenet_v2.onnx",
    name="features of MobileNetV2, ImageNet, weights of 8 bits",
    sha256="ee82fc789c2c7b7ed60d1dbe2230c9726fece93d7b6e06dca953a3a7085b8bc3",
    whole=True,
)
BINS = 6  # of each color, in a histogram


class Trunk:
    """MobileNetV2 without its classifier: pictures, uint8 [n, side, side, 3], to features, float32 [n, 1280]."""

    def __init__(self, graph: bytes) -> None:
        self.graph = graph
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def features(self, pixels: Pixels) -> Floats:
        """Return the mean of the last grid over its places, of one picture [side, side, 3]: shape (1280,)."""
        (grid,) = self._session.run(["grid"], {"pictures": pixels[None]})
        return np.asarray(grid[0].mean(axis=(1, 2)), dtype=np.float32)


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


def histogram(pixels: Pixels) -> Floats:
    """Return the share of pixels in each of BINS levels of red, green and blue, shape (3 * BINS,)."""
    counts = [np.bincount(pixels[..., color].ravel() // -(-256 // BINS), minlength=BINS) for color in range(3)]
    return np.asarray(np.concatenate(counts) / pixels[..., 0].size, dtype=np.float32)
