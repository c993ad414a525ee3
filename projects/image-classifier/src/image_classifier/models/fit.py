"""From a trained network to what is served: exported, shrunk if that costs little, and calibrated on validation."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_classifier.data.images import Preprocessing, prepare, read_image, to_pixels
from image_classifier.data.load import Photo, Splits
from image_classifier.models.batches import TRUSTED, labels_of, spread
from image_classifier.models.calibrate import Calibration, calibrate, fit_novelty
from image_classifier.models.export import Quantised, parts_of, quantise, session, to_onnx
from image_classifier.models.network import Classifier, Exportable, Normalize
from image_classifier.models.predictor import Predictor, Rules
from portfolio_shared.evaluation.classification import fit_temperature

N_CALIBRATION = 100
"""Training pictures that the ranges of 8 bit activations are measured on."""
N_PARITY = 16
N_EXAMPLES = 5
EXAMPLE_SIDE = 320

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Assembled:
    """What is served, and what was found on the way."""

    predictor: Predictor
    temperature: float
    calibration: Calibration
    quantised: Quantised
    validation: NDArray[np.float64]
    """Probabilities of the validation part as they are served [n, n_classes]."""


def assemble(
    classifier: Classifier,
    normalize: Normalize,
    preprocessing: Preprocessing,
    splits: Splits,
    validation_logits: NDArray[np.float64],
    *,
    labels: tuple[str, ...],
    coverage: float,
    seed: int,
) -> Assembled:
    """Export, try 8 bit integers, and find the thresholds with the graph that will be served.

    Parameters
    ----------
    preprocessing
        How pictures are prepared for this classifier.
    validation_logits
        Of the classifier on the validation part, in its order.
    coverage
        Share of pictures whose label set is to hold the true label.
    """
    y_validation = labels_of(splits.validation)
    temperature = fit_temperature(y_validation, validation_logits)
    validation = [pixels_of(photo, preprocessing) for photo in splits.validation]
    graph = to_onnx(Exportable(classifier, normalize, temperature), spread(validation, N_PARITY))

    drawn = np.random.default_rng(seed).permutation(len(splits.train))[:N_CALIBRATION]
    quantised = quantise(graph, [pixels_of(splits.train[i], preprocessing) for i in drawn], validation, y_validation)
    served = quantised.graph if quantised.kept else graph

    found, held_out = run(served, validation)
    features = run_photos(served, splits.train, preprocessing)
    calibration = calibrate(y_validation, found, validation_logits, coverage=coverage)
    novelty = fit_novelty(features, held_out, seed=seed)
    rules = Rules(labels, preprocessing, coverage, calibration.least_probability, calibration.least_confidence)
    predictor = Predictor(served, novelty, rules, examples_of(splits.test))
    return Assembled(predictor, temperature, calibration, quantised, found)


def examples_of(photos: Sequence[Photo]) -> dict[str, bytes]:
    """Return a picture of each of the first classes, small JPEG files for people to try the model on."""
    first = {photo.label: photo for photo in reversed(photos)}
    found = {}
    for number, label in enumerate(sorted(first)[:N_EXAMPLES], start=1):
        image = read_image(first[label].path.read_bytes(), limits=TRUSTED)
        image.thumbnail((EXAMPLE_SIDE, EXAMPLE_SIDE))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=90)
        # The name does not give the answer away.
        found[f"picture-{number}"] = stream.getvalue()
    return found


def pixels_of(photo: Photo, preprocessing: Preprocessing) -> Pixels:
    """Return a photograph as the model sees it, uint8 [crop, crop, 3]."""
    return prepare(photo.path.read_bytes(), preprocessing, limits=TRUSTED)


def pixels_of_image(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """Return a picture that is no file, as the model sees it."""
    return to_pixels(image.convert("RGB"), preprocessing)


def run(graph: bytes, pictures: Sequence[Pixels]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return probabilities [n, n_classes] and features [n, n_features] of an exported graph."""
    running = session(graph)
    found = [running.run(["probabilities", "embedding"], {"pictures": part}) for part in parts_of(pictures)]
    probabilities = np.concatenate([one for one, _ in found]).astype(np.float64)
    return probabilities, np.concatenate([one for _, one in found])


def run_photos(graph: bytes, photos: Sequence[Photo], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return the features of photographs, read a few at a time."""
    running = session(graph)
    rows = []
    for start in range(0, len(photos), 32):
        pixels = np.stack([pixels_of(photo, preprocessing) for photo in photos[start : start + 32]])
        rows.append(running.run(["embedding"], {"pictures": pixels})[0])
    return np.concatenate(rows)
