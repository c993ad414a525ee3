"""The pretrained network up to its features, and color histograms to compare it with."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from new_project.data.images import Pixels

Floats = NDArray[np.float32]
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


def histogram(pixels: Pixels) -> Floats:
    """Return the share of pixels in each of BINS levels of red, green and blue, shape (3 * BINS,)."""
    counts = [np.bincount(pixels[..., color].ravel() // -(-256 // BINS), minlength=BINS) for color in range(3)]
    return np.asarray(np.concatenate(counts) / pixels[..., 0].size, dtype=np.float32)
