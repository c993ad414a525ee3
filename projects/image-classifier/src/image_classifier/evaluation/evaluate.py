"""What the test split says of what is served, the baselines beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_classifier.data.load import Photo
from image_classifier.evaluation.out_of_distribution import Stranger, sample_photographs
from image_classifier.models.batches import labels_of
from image_classifier.models.fit import pixels_of, pixels_of_image
from image_classifier.models.predictor import Answer, Predictor
from portfolio_shared.evaluation.classification import (
    accuracy_score,
    confusion_matrix,
    expected_calibration_error,
    f1_macro_score,
    log_loss_error,
)
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval

METRIC_LABELS = {
    "accuracy": "accuracy",
    "f1_macro": "F1, mean over classes",
    "log_loss": "log loss",
    "calibration_error": "expected calibration error",
    "set_coverage": "label sets that hold the truth",
    "set_size": "labels in a set, mean",
    "unsure": "unsure, of pictures of the classes",
    "unsure_strangers": "unsure, of pictures of none",
    "accuracy_if_sure": "accuracy where not unsure",
}


@dataclass(frozen=True)
class Evaluation:
    """Answers to the pictures of a part, and what they come to.

    Attributes
    ----------
    photos
        The part.
    labels
        True label numbers [n].
    answers
        Of the served model, in the same order.
    strangers
        By kind: the share of the pictures of no class that the model is unsure of.
    sample_photographs
        Answers to the photographs that come with scikit-learn.
    metrics
        With their 95 % bootstrap intervals over pictures.
    """

    photos: tuple[Photo, ...]
    labels: NDArray[np.int64]
    answers: tuple[Answer, ...]
    strangers: dict[str, float]
    sample_photographs: dict[str, Answer]
    metrics: dict[str, Interval]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities [n, n_classes]."""
        return np.stack([answer.probabilities for answer in self.answers])

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Pictures by true and by named class."""
        return confusion_matrix(self.labels, self.probabilities)


def evaluate(
    predictor: Predictor, photos: Sequence[Photo], strangers: Sequence[Stranger], *, seed: int = 0
) -> Evaluation:
    """Classify every photograph and every stranger as the service would, and measure."""
    answers = answers_of(predictor, photos)
    labels = labels_of(photos)
    probabilities = np.stack([answer.probabilities for answer in answers])
    metrics = measure(labels, probabilities, seed=seed)
    held = np.array([label in answer.label_set for label, answer in zip(labels, answers, strict=True)], dtype=float)
    sizes = np.array([len(answer.label_set) for answer in answers], dtype=float)
    unsure = np.array([answer.unsure is not None for answer in answers], dtype=float)
    others = _answers_to_images(predictor, [stranger.image for stranger in strangers])
    unsure_strangers = np.array([answer.unsure is not None for answer in others], dtype=float)
    right = probabilities.argmax(axis=1) == labels
    rows = {
        "set_coverage": held,
        "set_size": sizes,
        "unsure": unsure,
        "unsure_strangers": unsure_strangers,
    }
    if not unsure.all():
        rows["accuracy_if_sure"] = right[unsure == 0].astype(float)
    metrics |= {name: bootstrap_interval(np.mean, values, seed=seed) for name, values in rows.items()}
    kinds = np.array([stranger.kind for stranger in strangers])
    by_kind = {kind: float(unsure_strangers[kinds == kind].mean()) for kind in dict.fromkeys(kinds.tolist())}
    samples = sample_photographs()
    to_samples = dict(zip(samples, _answers_to_images(predictor, list(samples.values())), strict=True))
    return Evaluation(tuple(photos), labels, tuple(answers), by_kind, to_samples, metrics)


def measure(labels: NDArray[np.int64], probabilities: NDArray[np.float64], *, seed: int = 0) -> dict[str, Interval]:
    """Return the metrics of any probabilities, served or not, with their intervals."""
    metrics = {
        "accuracy": accuracy_score,
        "f1_macro": f1_macro_score,
        "log_loss": log_loss_error,
        "calibration_error": expected_calibration_error,
    }
    return {
        name: bootstrap_interval(metric, labels, probabilities, n_resamples=1000, seed=seed)
        for name, metric in metrics.items()
    }


def answers_of(predictor: Predictor, photos: Sequence[Photo], *, heat: bool = False) -> list[Answer]:
    """Classify photographs a few at a time; the memory does not grow with their number."""
    answers: list[Answer] = []
    for start in range(0, len(photos), 32):
        pixels = [pixels_of(photo, predictor.preprocessing) for photo in photos[start : start + 32]]
        answers += predictor.predict(pixels, heat=heat)
    return answers


def _answers_to_images(predictor: Predictor, images: Sequence[Image.Image]) -> list[Answer]:
    return [predictor.predict([pixels_of_image(image, predictor.preprocessing)])[0] for image in images]
