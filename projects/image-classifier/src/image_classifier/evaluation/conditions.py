"""Under which conditions the models err: dark, blurred and long photographs, and photographs that were changed."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from image_classifier.data.looks import brightness, sharpness
from image_classifier.data.photos import Photo, image_of, pixels_of
from image_classifier.data.preprocessing import Preprocessing, to_pixels
from image_classifier.models.predictor import Prediction, Predictor
from portfolio_shared.evaluation.uncertainty import Interval, wilson_interval

Change = Callable[[Image.Image], Image.Image]
SEEN = Preprocessing(224, 224)
"""How pictures are looked at for brightness and sharpness: all in one size."""


@dataclass(frozen=True)
class Third:
    """A third of the test pictures by one property: its range, and each model's accuracy with its 95 % interval."""

    by: str
    name: str
    pictures: int
    lowest: float
    highest: float
    accuracy: dict[str, Interval]


@dataclass(frozen=True)
class Changed:
    """The test pictures after a change: each model's accuracy, and the share that it is unsure of."""

    name: str
    accuracy: dict[str, float]
    unsure: dict[str, float]


def _half_turned(image: Image.Image) -> Image.Image:
    """Turn every hue by half of the color circle: yellow becomes blue."""
    hue, *rest = image.convert("HSV").split()
    return Image.merge("HSV", (hue.point(lambda value: (value + 128) % 256), *rest)).convert("RGB")


def _compressed(image: Image.Image) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=10)
    return Image.open(BytesIO(stream.getvalue())).convert("RGB")


CHANGES: dict[str, Change] = {
    "as it is": lambda image: image,
    "upside down": ImageOps.flip,
    "without color": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "hues turned: yellow is blue": _half_turned,
    "a third as bright": lambda image: image.point(lambda value: value / 3),
    "blurred by 4 pixels": lambda image: image.filter(ImageFilter.GaussianBlur(4)),
    "64 pixels wide": lambda image: ImageOps.contain(image, (64, 64)),
    "JPEG of quality 10": _compressed,
}


def by_third(photos: Sequence[Photo], right: Mapping[str, NDArray[np.bool_]]) -> list[Third]:
    """Return the accuracy in thirds of the pictures by brightness, sharpness and how much longer than wide they are.

    Parameters
    ----------
    right
        By model: which pictures it names right [n].
    """
    seen = [pixels_of(photo, SEEN) for photo in photos]
    sizes = np.array([image_of(photo).size for photo in photos])
    properties = {
        "brightness": (np.array(list(map(brightness, seen))), ("dark", "middle", "bright")),
        "sharpness": (np.array(list(map(sharpness, seen))), ("blurred", "middle", "sharp")),
        "long side over short side": (sizes.max(axis=1) / sizes.min(axis=1), ("nearly square", "middle", "long")),
    }
    thirds = []
    for by, (values, names) in properties.items():
        for name, rows in zip(names, np.array_split(np.argsort(values, kind="stable"), 3), strict=True):
            accuracy = {model: _share(rows_right[rows]) for model, rows_right in right.items()}
            thirds.append(Third(by, name, len(rows), float(values[rows].min()), float(values[rows].max()), accuracy))
    return thirds


def changed(
    photos: Sequence[Photo], labels: NDArray[np.int64], predictors: Mapping[str, Predictor], *, threads: int = 1
) -> list[Changed]:
    """Change every test picture in each way, and ask each model; nothing was learned from such pictures on purpose."""
    rows = []
    for name, change in CHANGES.items():
        accuracy, unsure = {}, {}
        for model, predictor in predictors.items():

            def ask(photo: Photo, predictor: Predictor = predictor, change: Change = change) -> Prediction:
                return predictor.predict([to_pixels(change(image_of(photo)), predictor.preprocessing)])[0]

            with ThreadPoolExecutor(threads) as pool:
                predictions = list(pool.map(ask, photos))
            named = np.array([prediction.label_set[0] for prediction in predictions])
            accuracy[model] = float((named == labels).mean())
            unsure[model] = float(np.mean([prediction.unsure is not None for prediction in predictions]))
        rows.append(Changed(name, accuracy, unsure))
    return rows


def _share(right: NDArray[np.bool_]) -> Interval:
    low, high = wilson_interval(np.array([right.mean()]), np.array([float(len(right))]))
    return Interval(float(right.mean()), low.item(), high.item())
