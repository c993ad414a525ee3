"""The pretrained network that features come from, as an ONNX graph: the one that ships, or one exported from torch."""

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from image_classifier.config import DEFAULT_COMPUTE, SHIPPED, Compute, ModelSettings
from image_classifier.data.images import find_still
from image_classifier.data.photos import TRUSTED, Photo, pixels_of, spread
from image_classifier.data.preprocessing import Interpolation, Preprocessing
from image_classifier.models.predictor import session
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.sources import Sample

Features = NDArray[np.float32]

MOBILENET = Sample(
    path=Path(__file__).parent / "pretrained" / "mobilenet_v2.onnx",
    name="features of MobileNetV2, ImageNet, weights of 8 bits",
    sha256="ee82fc789c2c7b7ed60d1dbe2230c9726fece93d7b6e06dca953a3a7085b8bc3",
    whole=True,
)
LARGER = 9 / 7
"""Side of the probe's pictures over the side that the backbone's own transforms have."""
SIDE = 224
"""That of MobileNetV2's transforms."""
N_SIZES = 100
"""Photographs that are asked for their size."""
AT_ONCE = 8
"""Pictures in a batch: more take more memory and no less time."""


@dataclass(frozen=True)
class Trunk:
    """A pretrained network up to its last grid of features.

    Attributes
    ----------
    graph
        ONNX: ``pictures``, uint8 [n, crop, crop, 3] -> ``grid``, float [n, channels, height, width]; weights are floats
        and normalization is inside.
    """

    graph: bytes
    preprocessing: Preprocessing


class Computed(NamedTuple):
    """Features [n, channels], and the seconds that they took when they were computed."""

    rows: Features
    seconds: float


def trunk_of(settings: ModelSettings, photos: Sequence[Photo]) -> Trunk:
    """Return the trunk that the settings name, for pictures as the probe sees them: see `whole`.

    Training on random crops shows a network things larger than it sees them in use; larger pictures make up for it
    (Touvron et al. 2019, "Fixing the train-test resolution discrepancy").

    Parameters
    ----------
    photos
        At least two, to compare an export from torch with torch.
    """
    if settings.weights == SHIPPED:
        return shipped_trunk(whole(SIDE, settings.crop, photos))
    from image_classifier.models.network import pretrained_trunk

    return pretrained_trunk(settings, photos)


def whole(
    side: int, crop: int | None, photos: Sequence[Photo], interpolation: Interpolation = "bilinear"
) -> Preprocessing:
    """Return how the probe sees pictures: whole but for what makes them square, larger than the weights' own side.

    Where most photographs are smaller than that side they are not enlarged beyond it: that would add blur alone. On
    the sample that ships, validation log loss was 0.215 at 224 pixels and 0.247 at 288.
    """
    if crop is None:
        sizes = [find_still(photo.path.read_bytes(), limits=TRUSTED).size for photo in spread(photos, N_SIZES)]
        crop = side if np.median([min(size) for size in sizes]) < side else round(side * LARGER)
    return Preprocessing(crop, crop, interpolation)


def shipped_trunk(preprocessing: Preprocessing) -> Trunk:
    """Return the trunk that ships, for pictures of any side; its 8-bit weights become floats.

    Raises
    ------
    DataError
        If the file was changed.
    """
    model = dequantised(onnx.load(MOBILENET.checked()))
    for dim in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
        dim.dim_value = preprocessing.crop
    return Trunk(model.SerializeToString(), preprocessing)


def shipped_weights() -> dict[str, Features]:
    """Return the weights of the trunk that ships by their names in torchvision's model, batch norm folded."""
    model = dequantised(onnx.load(MOBILENET.checked()))
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {name: array for name, array in arrays.items() if name.startswith("features.")}


def dequantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with float weights in place of 8-bit integers and their scales, one for each output channel."""
    graph, made = model.graph, []
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "DequantizeLinear"]:
        integers, scales = (arrays.pop(name) for name in node.input)
        scaled = integers.astype(np.float32) * scales.reshape(-1, *[1] * (integers.ndim - 1))
        made.append(numpy_helper.from_array(scaled, node.output[0]))
        graph.node.remove(node)
    kept = [tensor for tensor in graph.initializer if tensor.name in arrays]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *made])
    return model


def features_of(
    photos: Sequence[Photo],
    trunk: Trunk,
    *,
    mirrored: bool = False,
    compute: Compute = DEFAULT_COMPUTE,
    advance: Callable[[int], None] = lambda _: None,
) -> Computed:
    """Return the features of photographs, the mean over the grid; those kept in the work folder are not computed again.

    They lie in a file for each trunk and preprocessing; rows are named by the pictures' hashes. Those of copies are not
    kept: the next retraining makes others.

    Parameters
    ----------
    mirrored
        Whether left and right are exchanged.
    advance
        Called with the number of pictures whose features are there.

    Raises
    ------
    DataError
        If the file of kept features is damaged.
    """
    state = f"3 {hashlib.sha256(trunk.graph).hexdigest()} {trunk.preprocessing} {mirrored}"
    work = compute.work
    path = None if work is None else work / "features" / f"{hashlib.sha256(state.encode()).hexdigest()[:16]}.npz"
    kept = _read(path)
    missing = [photo for photo in {photo.key: photo for photo in photos}.values() if photo.key not in kept]
    advance(len(photos) - len(missing))
    if missing:
        begun = time.perf_counter()
        (grids,) = outputs_of(trunk, ("grid",), missing, mirrored=mirrored, threads=compute.threads, advance=advance)
        seconds = (time.perf_counter() - begun) / len(missing)
        kept |= {photo.key: Computed(row, seconds) for photo, row in zip(missing, grids, strict=True)}
        copies = {photo.key for photo in photos if photo.look is not None}
        if path is not None and any(photo.key not in copies for photo in missing):
            _write(path, {key: row for key, row in kept.items() if key not in copies})
    rows, times = zip(*(kept[photo.key] for photo in photos), strict=True)
    return Computed(np.stack(rows), sum(times))


def outputs_of(
    trunk: Trunk,
    names: Sequence[str],
    photos: Sequence[Photo],
    *,
    mirrored: bool = False,
    threads: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Features]:
    """Return outputs of a graph for photographs, a few in each thread at a time; of a grid its mean over the places."""
    running = session(trunk.graph)
    parts = [photos[start : start + AT_ONCE] for start in range(0, len(photos), AT_ONCE)]

    def run(part: Sequence[Photo]) -> list[Features]:
        pixels = np.stack([pixels_of(photo, trunk.preprocessing) for photo in part])
        rows = running.run(list(names), {"pictures": pixels[:, :, ::-1] if mirrored else pixels})
        advance(len(part))
        return [row.mean(axis=(2, 3)) if row.ndim == 4 else row for row in rows]

    with ThreadPoolExecutor(threads) as pool:
        return [np.concatenate(column) for column in zip(*pool.map(run, parts), strict=True)]


def _read(path: Path | None) -> dict[str, Computed]:
    if path is None or not path.is_file():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            rows = map(Computed, arrays["features"], arrays["seconds"].tolist())
            return dict(zip(arrays["keys"].tolist(), rows, strict=True))
    except (BadZipFile, EOFError, KeyError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): delete it to compute the features again") from error


def _write(path: Path, computed: dict[str, Computed]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        features, seconds = zip(*computed.values(), strict=True)
        np.savez(file, keys=np.array(list(computed)), features=np.stack(features), seconds=np.array(seconds))
    partial.replace(path)
